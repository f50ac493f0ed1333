"""The check stage: what training and scoring will need is there, before any of it starts -> checked/inputs."""

from bench import artifacts, config, preflight, runtime


def main() -> str:
    params, meter = config.read(), runtime.Meter()
    splits = {split: artifacts.read_split(split) for split in artifacts.SPLITS}
    preflight.check_classifiers(params)
    lengths = preflight.check_starts(params, splits)
    meter.facts["lengths"] = {
        start: {split: counts.model_dump() for split, counts in found.items()} for start, found in lengths.items()
    }
    artifacts.write_json(artifacts.cost_path("check", "inputs"), meter.costs())
    # The same text whatever was checked: training again is for those whose own inputs changed.
    artifacts.write_text(artifacts.CHECKED / "inputs", "models, labels, adapters and lengths are right\n")
    cut = sum(counts.sources_cut for counts in next(iter(lengths.values())).values())
    return f"check: {len(params.variants)} variants can be trained and scored; {cut} dialogues lose their end"


if __name__ == "__main__":
    runtime.stage(main)
