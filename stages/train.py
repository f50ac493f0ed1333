"""The train stage: one variant, by its method -> models/<variant>/."""

import sys

from bench import artifacts, config, plugins, runtime
from bench.context import TrainContext


def main(variant: str) -> str:
    params, meter = config.read(), runtime.Meter()
    block, seed = params.variant(variant), params.seed_of(variant)
    method = plugins.find("method", block.method)
    device = "cpu" if method.LEARNS_FROM == "nothing" else runtime.prepare(params.compute, seed)
    context = TrainContext(
        variant=variant,
        init=block.init,
        learns_from=block.learns_from,
        seed=seed,
        text=params.text,
        compute=params.compute,
        device=device,
        train=artifacts.read_split("train"),
        validation=artifacts.read_split("validation"),
        meter=meter,
    )
    record = method.train(block, context)
    meter.facts |= record | {"checkpoint_bytes": artifacts.stored_bytes(variant)}
    artifacts.write_json(artifacts.cost_path("train", variant), meter.costs())
    facts = {
        k: v
        for k, v in record["facts"].items()
        if k.startswith(("final", "validation", "pairs", "last_kl", "last_reward"))
    }
    shown = ", ".join(f"{key} {value:.4g}" for key, value in facts.items())
    share = record["trainable_parameters"] / max(record["total_parameters"], 1)
    return f"train {variant}: {block.method} from {block.init}, {share:.2%} trainable{', ' if shown else ''}{shown}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
