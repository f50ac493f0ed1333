"""The yardsticks stage: Lead-3 and the human ceiling, scored by the same metrics -> scores/{lead-3,human}.jsonl."""

from bench import artifacts, config, runtime, scoring
from bench.context import ScoreContext


def main() -> str:
    params, meter, said = config.read(), runtime.Meter(), []
    device, examples = runtime.prepare(params.compute, params.seed), artifacts.read_split("test")
    for name in artifacts.YARDSTICKS:
        context = ScoreContext(
            variant=name,
            start=None,
            examples=examples,
            predictions=scoring.lead_3(examples),
            text=params.text,
            generation=params.generation,
            device=device,
        )
        contexts = scoring.human(context) if name == "human" else [context]
        if not contexts:  # one reference a dialogue: there is no ceiling to measure
            artifacts.write_rows(artifacts.scores_path(name), [])
            artifacts.write_json(artifacts.signatures_path(name), {"signatures": {}})
            continue
        rows = scoring.score_and_write(params, *contexts)
        said.append(f"{name} {scoring.headline(params, rows)}")
    artifacts.write_json(artifacts.cost_path("score", "yardsticks"), meter.costs())
    return f"yardsticks: {'; '.join(said)}"


if __name__ == "__main__":
    runtime.stage(main)
