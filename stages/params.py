"""The params stage: params.yaml is right, and its names are fit to be folders -> checked/params.

DVC fills them into paths, and clears those paths before a stage runs: so every other stage comes after this one.
"""

from bench import artifacts, config, runtime


def main() -> str:
    params = config.read()
    artifacts.write_text(artifacts.CHECKED / "params", "params.yaml is right\n")
    return f"params: {params.study}, {len(params.checkpoints)} checkpoints, {len(params.variants)} variants"


if __name__ == "__main__":
    runtime.stage(main)
