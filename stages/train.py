"""The train stage: one variant, by its method, once with each of its seeds -> models/<variant>/."""

import sys
from typing import Any

from bench import artifacts, config, plugins, runtime
from bench.context import TrainContext


def main(variant: str) -> str:
    params, meter = config.read(), runtime.Meter()
    records = [train(params, variant, training, meter) for training in params.trainings_of(variant)]
    record, block = records[0], params.variants[variant]  # trainings differ by their seed alone
    meter.facts |= record | {"checkpoint_bytes": artifacts.stored_bytes(variant)}
    artifacts.write_json(artifacts.cost_path("train", variant), meter.costs())
    wanted = ("final", "validation", "pairs", "last_kl", "last_reward")
    shown = "".join(f", {key} {value:.4g}" for key, value in record["facts"].items() if key.startswith(wanted))
    share = record["trainable_parameters"] / max(record["total_parameters"], 1)
    times = f"; the first of {len(records)} seeds" if len(records) > 1 else ""
    return f"train {variant}: {block.method} from {block.init}, {share:.2%} trainable{shown}{times}"


def train(params: config.Params, variant: str, training: config.Training, meter: runtime.Meter) -> dict[str, Any]:
    block = params.variants[variant]
    method = plugins.find("method", block.method)
    context = TrainContext(
        variant=training.name,
        init=block.init,
        learns_from=block.learns_from,
        seed=training.seed,
        text=params.text,
        compute=params.compute,
        device="cpu" if method.LEARNS_FROM == "nothing" else runtime.prepare(params.compute, training.seed),
        train=artifacts.read_split("train"),
        validation=artifacts.read_split("validation"),
        meter=meter,
    )
    return method.train(block, context)


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
