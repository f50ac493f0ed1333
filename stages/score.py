"""The score stage: every metric of one variant's predictions -> scores/<variant>.jsonl."""

import sys

from bench import artifacts, config, runtime, scoring
from bench.context import ScoreContext


def main(variant: str) -> str:
    params, meter = config.read(), runtime.Meter()
    context = ScoreContext(
        variant=variant,
        start=params.start_of(variant),
        examples=artifacts.read_split("test"),
        predictions=artifacts.read_predictions(variant),
        text=params.text,
        generation=params.generation,
        device=runtime.prepare(params.compute, params.seed),
    )
    rows = scoring.score_and_write(params, context)
    artifacts.write_json(artifacts.cost_path("score", variant), meter.costs())
    return f"score {variant}: {scoring.headline(params, rows)}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
