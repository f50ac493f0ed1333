"""The params stage: params.yaml is right, and what each other stage is made of -> checked/stages/.

DVC fills names of params.yaml into paths, and clears those paths before a stage runs: so this stage, which refuses other
names than those of a folder, comes before every other.
"""

from bench import config
from bench.core import graph, runtime, storage


def main() -> str:
    params = config.read()
    for path, stage in graph.stages(params).items():
        storage.write_text(path, stage.text())
    return f"params: {params.study}, {len(params.checkpoints)} checkpoints, {len(params.variants)} variants"


if __name__ == "__main__":
    runtime.stage(main)
