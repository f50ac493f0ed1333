"""The score stage: every metric of one variant's predictions -> scores/<variant>.jsonl."""

import sys
from typing import Any

from bench import artifacts, config, runtime, scoring
from bench.context import ScoreContext


def main(variant: str) -> str:
    params, meter = config.read(), runtime.Meter()
    predictions, examples = artifacts.read_predictions(variant), artifacts.read_split("test")
    device, loaded = runtime.prepare(params.compute, params.seed), dict[tuple[str, str], Any]()
    contexts = [
        ScoreContext(
            variant=training.name,
            start=params.start_of(variant),
            examples=examples,
            predictions=[row for row in predictions if row.seed == training.mark],
            text=params.text,
            generation=params.generation,
            device=device,
            seed=training.mark,
            loaded=loaded,
        )
        for training in params.trainings_of(variant)
    ]
    rows = scoring.score_and_write(params, *contexts)
    artifacts.write_json(artifacts.cost_path("score", variant), meter.costs())
    return f"score {variant}: {scoring.headline(params, rows)}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
