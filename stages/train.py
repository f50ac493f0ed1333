"""The train stage: one variant, by its method, once with each of its seeds -> models/<variant>/."""

import sys
from pathlib import Path

from bench import artifacts, config, plugins, processes, resume, runtime
from bench.context import TrainContext


def main(variant: str) -> str:
    params, meter = config.read(), runtime.Meter()
    if processes.spread("stages.train", params.compute, variant):
        return ""
    block, records = params.variant(variant), []
    method = plugins.find("method", block.method)
    inputs = [artifacts.split_path("train"), *artifacts.lineage(block.init), Path(block.learns_from)]
    for name, seed, _ in params.trainings_of(variant):
        context = TrainContext(
            variant=name,
            init=block.init,
            learns_from=block.learns_from,
            seed=seed,
            text=params.text,
            compute=params.compute,
            device="cpu" if method.LEARNS_FROM == "nothing" else runtime.prepare(params.compute, seed),
            train=artifacts.read_split("train"),
            validation=artifacts.read_split("validation"),
            meter=meter,
            work=resume.Work.of("train", name, [block, seed, params.text], params.compute, inputs),
        )
        records.append(method.train(block, context))
    processes.wait()
    record = records[0]  # trainings differ by their seed alone
    meter.facts |= record | {"checkpoint_bytes": artifacts.stored_bytes(variant)}
    artifacts.write_json(artifacts.cost_path("train", variant), meter.costs())
    resume.finish("train", variant)
    told = ("final", "validation", "pairs", "last_kl", "last_reward")
    shown = "".join(f", {key} {value:.4g}" for key, value in record["facts"].items() if key.startswith(told))
    share = record["trainable_parameters"] / max(record["total_parameters"], 1)
    return f"train {variant}: {block.method} from {block.init}, {share:.2%} trainable{shown}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
