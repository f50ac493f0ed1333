"""The preferences stage: rankings of summaries by one source -> preferences/<name>/{train,validation,test}.jsonl."""

import sys

from bench import preferences, rankings
from bench.core import costs, parameters, paths, resume, runtime, storage
from bench.training.context import TrainContext


def main(name: str) -> str:
    params = parameters.read()
    block, inputs, train = params.preferences[name], [paths.split_path("train")], storage.read_split("train")
    context = TrainContext.of_block(params, "preferences", name, "preferences", inputs, train)
    found = preferences.find(block.source).rankings(block, context)
    split = rankings.split(found, block.validation, block.test, context.seed)
    about = preferences.about(block, split, context)
    for part, rows in split.items():
        storage.write_rows(paths.preferences_path(name, part), rows)
    storage.write_json(paths.about_preferences_path(name), about)
    costs.record("preferences", name, context.meter.costs())
    resume.finish("preferences", name)
    counts = ", ".join(f"{len(rows)} {part}" for part, rows in split.items())
    return f"preferences {name}: {block.source}, rankings: {counts}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
