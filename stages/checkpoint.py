"""The checkpoint stage: bring or build one pretrained model -> models/<name>/."""

import sys

from bench import artifacts, config, plugins, runtime


def main(name: str) -> str:
    params, meter = config.read(), runtime.Meter()
    block = params.checkpoints[name]
    out = artifacts.model_path(name)
    facts = plugins.find("checkpoint", block.source).build(block, out, runtime.progress)
    artifacts.write_json(out / "facts.json", facts)
    artifacts.write_json(artifacts.cost_path("checkpoint", name), meter.costs())
    shown = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()
    )
    return f"checkpoint {name}: {block.source}, {shown}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
