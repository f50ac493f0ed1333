"""The preferences stage: rankings of summaries by one source -> preferences/<name>/{train,validation,test}.jsonl."""

import sys
from pathlib import Path

from bench import preferences, rankings
from bench.core import costs, manifest, parameters, paths, resume, runtime, storage
from bench.training.context import TrainContext


def main(name: str) -> str:
    params, meter = parameters.read(), runtime.Meter()
    block = params.preferences[name]
    seed = params.seed if block.seed is None else block.seed
    text = params.text_of(block.init) if block.init in params.variants else params.text
    inputs = [paths.split_path("train"), *manifest.lineage(block.init), Path(block.learns_from)]
    context = TrainContext(
        variant=name,
        init=block.init,
        learns_from=block.learns_from,
        seed=seed,
        text=text,
        compute=params.compute,
        device=runtime.prepare(params.compute, seed),
        train=storage.read_split("train"),
        meter=meter,
        work=resume.Work.of("preferences", name, [block, seed, text], params.compute, inputs),
        part="preferences",
    )
    found = preferences.find(block.source).rankings(block, context)
    split = rankings.split(found, block.validation, block.test, seed)
    about = preferences.about(block, split, context)
    for part, rows in split.items():
        storage.write_rows(paths.preferences_path(name, part), rows)
    storage.write_json(paths.about_preferences_path(name), about)
    costs.record("preferences", name, meter.costs())
    resume.finish("preferences", name)
    counts = ", ".join(f"{len(rows)} {part}" for part, rows in split.items())
    return f"preferences {name}: {block.source}, rankings: {counts}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
