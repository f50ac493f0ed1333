"""The yardsticks stage: Lead-3 and the human ceiling, scored by the same metrics -> scores/{lead-3,human}.jsonl."""

from bench.core import costs, parameters, paths, runtime, storage
from bench.evaluation import scoring
from bench.metrics import ScoreContext


def main() -> str:
    params, meter, said = parameters.read(), runtime.Meter(), []
    device, examples = runtime.prepare(params.compute, params.seed), storage.read_split("test")
    for name in paths.YARDSTICKS:
        context = ScoreContext(
            variant=name,
            start=None,
            examples=examples,
            predictions=scoring.lead_3(examples),
            text=params.text,
            generation=params.generation,
            device=device,
            inference=params.compute.inference,
        )
        contexts = scoring.human(context) if name == "human" else [context]
        if not contexts:  # one reference a dialogue: there is no ceiling to measure
            storage.write_rows(paths.scores_path(name), [])
            storage.write_json(paths.signatures_path(name), {"signatures": {}})
            continue
        rows = scoring.score_and_write(params, *contexts)
        said.append(f"{name} {scoring.headline(params, rows)}")
    costs.record("yardsticks", None, meter.costs())
    return f"yardsticks: {'; '.join(said)}"


if __name__ == "__main__":
    runtime.stage(main)
