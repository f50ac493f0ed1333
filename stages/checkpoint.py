"""The checkpoint stage: bring or build one pretrained model -> models/<name>/."""

import sys

from bench import artifacts, config, plugins, resume, runtime


def main(name: str) -> str:
    params, meter = config.read(), runtime.Meter()
    block = params.checkpoint(name)
    source = plugins.find("checkpoint", block.source)
    with artifacts.whole_folder(artifacts.model_path(name)) as out:
        if source.TRAINS:  # the thread count is part of the result
            runtime.prepare(params.compute, params.seed)
            work = resume.Work.of("checkpoint", name, block, params.compute, [])
            facts = source.build(block, out, runtime.progress, work)
        else:
            facts = source.build(block, out, runtime.progress)
        artifacts.write_json(out / "facts.json", facts)
    artifacts.write_json(artifacts.cost_path("checkpoint", name), meter.costs())
    if source.TRAINS:
        resume.finish("checkpoint", name)
    shown = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()
    )
    return f"checkpoint {name}: {block.source}, {shown}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
