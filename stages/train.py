"""The train stage: one variant, by its method, once with each of its seeds -> models/<variant>/."""

import sys
from pathlib import Path

from bench import methods
from bench.core import costs, distributed, manifest, parameters, paths, resume, runtime, storage
from bench.training import prompting
from bench.training.context import TrainContext


def main(variant: str) -> str:
    params, meter = parameters.read(), runtime.Meter()
    if distributed.launch("stages.train", params.compute, variant):
        return ""
    block, records = params.variant(variant), []
    method = methods.find(block.method)
    learnt = Path(block.learns_from) if method.LEARNS_FROM == "references" else paths.split_path("train")
    inputs = [paths.split_path("train"), *manifest.lineage(block.init), Path(block.learns_from)]
    for name, seed, _ in params.trainings_of(variant):
        text = prompting.chosen(params, variant, seed)
        context = TrainContext(
            variant=name,
            init=block.init,
            learns_from=block.learns_from,
            seed=seed,
            text=text,
            compute=params.compute,
            device="cpu" if method.LEARNS_FROM in ("nothing", "outputs") else runtime.prepare(params.compute, seed),
            train=storage.read_examples(learnt),
            validation=storage.read_split("validation"),
            meter=meter,
            quantize=block.quantize,
            work=resume.Work.of("train", name, [block, seed, text], params.compute, inputs),
        )
        records.append(method.train(block, context))
        prompting.keep(name, text)
    distributed.barrier()
    costs.record("train", variant, meter.costs())
    resume.finish("train", variant)
    return f"train {variant}: {methods.told(block, records[0])}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
