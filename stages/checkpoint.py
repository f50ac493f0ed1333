"""The checkpoint stage: bring or build one pretrained model -> models/<name>/."""

import sys

from bench import artifacts, config, plugins, runtime


def main(name: str) -> str:
    params, meter = config.read(), runtime.Meter()
    block = params.checkpoint(name)
    out, source = artifacts.model_path(name), plugins.find("checkpoint", block.source)
    if source.TRAINS:  # the thread count is part of the result
        runtime.prepare(params.compute, params.seed)
    facts = source.build(block, out, runtime.progress)
    artifacts.write_json(out / "facts.json", facts)
    artifacts.write_json(artifacts.cost_path("checkpoint", name), meter.costs())
    shown = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()
    )
    return f"checkpoint {name}: {block.source}, {shown}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
