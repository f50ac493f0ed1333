"""The data stage: one dataset -> data/{train,validation,test}.jsonl."""

from bench import artifacts, config, plugins, runtime, splits


def main() -> str:
    params, meter = config.read(), runtime.Meter()
    loaded = plugins.find("dataset", params.data.dataset).load(params.data)
    rows, dropped = splits.checked(loaded, params.data)
    for split in artifacts.SPLITS:
        artifacts.write_rows(artifacts.split_path(split), rows[split])
        meter.facts |= {f"{split}_rows": len(rows[split]), f"{split}_dropped": dropped.get(split, 0)}
    artifacts.write_json(artifacts.cost_path("data", "data"), meter.costs())
    counts = [f"{len(rows[split])} {split}" for split in artifacts.SPLITS]
    counts += [f"{count} left out of {split}, which another split holds too" for split, count in dropped.items()]
    return f"data: {params.data.dataset}, {', '.join(counts)}"


if __name__ == "__main__":
    runtime.stage(main)
