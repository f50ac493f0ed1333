"""The score stage: every metric of one variant's predictions -> scores/<variant>.jsonl."""

import sys

from bench.core import costs, parameters, resume, runtime
from bench.evaluation import scoring


def main(variant: str) -> str:
    params, meter = parameters.read(), runtime.Meter()
    device = runtime.prepare(params.compute, params.seed)
    rows = scoring.score_and_write(params, *scoring.contexts(params, variant, device))
    costs.record("score", variant, meter.costs())
    resume.finish("score", variant)
    return f"score {variant}: {scoring.headline(params, rows)}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
