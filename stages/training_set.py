"""The training_set stage: examples to imitate, by one source -> training_sets/<name>.jsonl, counted in checked/training_sets/."""

import sys

from bench import training_sets
from bench.core import costs, parameters, paths, resume, runtime, storage
from bench.data import splits
from bench.training.context import TrainContext


def main(name: str) -> str:
    params = parameters.read()
    block, inputs = params.training_sets[name], [paths.split_path(split) for split in paths.SPLITS]
    context = TrainContext.of_block(params, "training_sets", name, "training_set", inputs, storage.read_split("train"))
    made = training_sets.find(block.source).examples(block, context)
    held_out = {split: storage.read_split(split) for split in ("validation", "test")}
    kept = splits.held_out_left(made.examples, held_out, f"training_sets.{name}")
    counts = made.counts | {"in another split": len(made.examples) - len(kept), "kept": len(kept)}
    storage.write_rows(paths.training_set_path(name), kept)
    storage.write_json(paths.about_training_set_path(name), {"source": block.source, "counts": counts})
    costs.record("training_set", name, context.meter.costs())
    resume.finish("training_set", name)
    return f"training set {name}: {block.source}, " + ", ".join(f"{what} {count}" for what, count in counts.items())


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
