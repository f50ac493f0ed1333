"""The data stage: one dataset -> data/{train,validation,test}.jsonl."""

from bench import datasets
from bench.core import costs, parameters, paths, runtime, storage
from bench.data import splits, tags


def main() -> str:
    params, meter = parameters.read(), runtime.Meter()
    loaded = datasets.find(params.data.dataset).load(params.data)
    rows, dropped = splits.checked(loaded, params.data)
    for split in paths.SPLITS:
        storage.write_rows(paths.split_path(split), tags.tagged(rows[split], params.data.tags))
    held = {split: {"rows": len(rows[split]), "dropped": dropped.get(split, 0)} for split in paths.SPLITS}
    storage.write_json(paths.counts_path(), held)
    costs.record("data", None, meter.costs())
    counts = [f"{len(rows[split])} {split}" for split in paths.SPLITS]
    counts += [f"{count} left out of {split}, which another split holds too" for split, count in dropped.items()]
    return f"data: {params.data.dataset}, {', '.join(counts)}"


if __name__ == "__main__":
    runtime.stage(main)
