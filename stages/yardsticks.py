"""The yardsticks stage: Lead-3 and the human ceiling, scored by the same metrics -> scores/{lead-3,human}.jsonl."""

from bench.core import costs, parameters, paths, runtime, storage
from bench.evaluation import scoring


def main() -> str:
    params, meter, said = parameters.read(), runtime.Meter(), []
    device = runtime.prepare(params.compute, params.seed)
    for name in paths.YARDSTICKS:
        contexts = scoring.yardstick(name, params, device)
        if contexts:
            said.append(f"{name} {scoring.headline(params, scoring.score_and_write(params, *contexts))}")
        else:
            storage.write_rows(paths.scores_path(name), [])
            storage.write_json(paths.signatures_path(name), {"signatures": {}})
    costs.record("yardsticks", None, meter.costs())
    return f"yardsticks: {'; '.join(said) or 'none'}"


if __name__ == "__main__":
    runtime.stage(main)
