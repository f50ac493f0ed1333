"""The check stage: what training and scoring will need is there, before any of it starts -> checked/inputs."""

from bench.core import costs, parameters, paths, runtime, storage
from bench.evaluation import preflight


def main() -> str:
    params, meter = parameters.read(), runtime.Meter()
    runtime.import_libraries()
    splits = {split: storage.read_split(split) for split in paths.SPLITS}
    preflight.check_compiler(params)
    preflight.check_classifiers(params)
    preflight.check_metrics(params, splits["test"])
    preflight.check_tags(params, splits)
    preflight.check_other_datasets(params, splits)
    preflight.check_outputs(params, splits["test"])
    preflight.check_preferences(params)
    preflight.check_training_sets(params, splits["train"])
    preflight.check_reward_models(params, splits["train"])
    lengths = preflight.check_starts(params, splits)
    found = {start: {split: c.model_dump() for split, c in counts.items()} for start, counts in lengths.items()}
    storage.write_json(paths.lengths_path(), found)
    costs.record("check", None, meter.costs())
    # The same text whatever was checked: training again is for those whose own inputs changed.
    storage.write_text(paths.CHECKED / "inputs", "models, labels, adapters and lengths are right\n")
    cut = sum(counts.sources_cut for counts in next(iter(lengths.values())).values())
    return f"check: {len(params.variants)} variants can be trained and scored; {cut} dialogues lose their end"


if __name__ == "__main__":
    runtime.stage(main)
