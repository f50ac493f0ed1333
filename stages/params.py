"""The params stage: params.yaml is right, and what each other stage is made of -> checked/stages/.

DVC fills names of params.yaml into paths, and clears those paths before a stage runs: so this stage, which refuses other
names than those of a folder, comes before every other.
"""

import json

from bench import config
from bench.config import sources
from bench.core import graph, parameters, parsing, paths, runtime, storage, sweeps
from bench.core.schema import UserError


def main() -> str:
    params = config.read()
    raw = parsing.parse_yaml(paths.PARAMS.read_bytes(), str(paths.PARAMS))
    for key, value in parameters.defaults(raw).items():  # DVC would say it at the last stage, in its own words
        raise UserError(f"params.yaml: {key}: missing, and DVC looks for it; write `{key}: {json.dumps(value)}`.")
    for variant, block in raw["variants"].items():
        if sweeps.KEY in block:
            raise UserError(
                f"params.yaml: variants.{variant}.sweep: DVC runs variants that stand here by name; write the sweep into "
                f"studies/{params.study}.yaml and run `bench use {params.study}`, which writes them."
            )
    sources.check(params)
    for folder in (
        "sources",
        "preferences",
        "rewards",
        "training_sets",
    ):  # what depends on them finds them, the same each time, where a study has none
        storage.write_text(paths.CHECKED / folder / ".gitkeep", "")
    storage.write_text(paths.TRAINING_SETS / ".gitkeep", "")
    for path, stage in graph.stages(params).items():
        storage.write_text(path, stage.text())
    return f"params: {params.study}, {len(params.checkpoints)} checkpoints, {len(params.variants)} variants"


if __name__ == "__main__":
    runtime.stage(main)
