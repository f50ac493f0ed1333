"""The checkpoint stage: bring or build one pretrained model -> models/<name>/, checked/checkpoints/."""

import sys

from bench import checkpoints
from bench.checkpoints import BuildContext
from bench.core import costs, parameters, paths, resume, runtime, storage


def main(name: str) -> str:
    params, meter = parameters.read(), runtime.Meter()
    block = params.checkpoint(name)
    source = checkpoints.find(block.source)
    with storage.atomic_folder(paths.model_path(name)) as out:
        if source.TRAINS:  # the thread count is part of the result
            runtime.prepare(params.compute, params.seed)
            work = resume.Work.of("checkpoint", name, block, params.compute, [])
            facts = source.build(block, BuildContext(out, work=work))
        else:
            facts = source.build(block, BuildContext(out))
        facts |= {"problem_type": block.problem_type} if block.problem_type else {}
        storage.write_json(out / "facts.json", facts)
    digest = storage.sha256_folder(paths.model_path(name))
    storage.write_json(paths.CHECKED / "checkpoints" / f"{name}.json", {"sha256": digest})
    costs.record("checkpoint", name, meter.costs())
    if source.TRAINS:
        resume.finish("checkpoint", name)
    shown = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()
    )
    return f"checkpoint {name}: {block.source}, {shown}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
