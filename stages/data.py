"""The data stage: one dataset -> data/{train,validation,test}.jsonl."""

from bench import artifacts, config, plugins, runtime


def main() -> str:
    params, meter = config.read(), runtime.Meter()
    splits = plugins.find("dataset", params.data.dataset).load(params.data)
    for split in artifacts.SPLITS:
        artifacts.write_rows(artifacts.split_path(split), splits[split])
    artifacts.write_json(artifacts.cost_path("data", "data"), meter.costs())
    counts = ", ".join(f"{len(splits[split])} {split}" for split in artifacts.SPLITS)
    return f"data: {params.data.dataset}, {counts}"


if __name__ == "__main__":
    runtime.stage(main)
