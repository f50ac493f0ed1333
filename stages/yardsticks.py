"""The yardsticks stage: Lead-3 and the human ceiling, scored by the same metrics -> scores/{lead-3,human}.jsonl."""

from bench import artifacts, config, runtime, scoring
from bench.context import ScoreContext


def main() -> str:
    params, meter, said = config.read(), runtime.Meter(), []
    device, examples = runtime.prepare(params.compute, params.seed), artifacts.read_split("test")
    for name in artifacts.YARDSTICKS:
        context = ScoreContext(
            variant=name, start=None, examples=examples, predictions=scoring.lead_3(examples), text=params.text,
            generation=params.generation, device=device)
        rows = scoring.human(params, context) if name == "human" else scoring.score(params, context)
        scoring.write(params, context, rows)
        said.append(f"{name} {scoring.headline(params, rows)}")
    artifacts.write_json(artifacts.cost_path("score", "yardsticks"), meter.costs())
    return f"yardsticks: {'; '.join(said)}"


if __name__ == "__main__":
    runtime.stage(main)
