"""The reward stage: one reward model from preferences -> models/<name>/, and how often it is right -> checked/rewards/."""

import sys
from pathlib import Path
from typing import Any

from bench import reward_models
from bench.core import costs, manifest, parameters, paths, resume, runtime, storage
from bench.training.context import TrainContext


def main(name: str) -> str:
    params, meter = parameters.read(), runtime.Meter()
    block: Any = params.rewards[name]
    seed = params.seed if block.seed is None else block.seed
    text = params.text_of(block.init) if block.init in params.variants else params.text
    inputs = [*manifest.lineage(block.init), Path(block.learns_from), Path(block.tested_on)]
    context = TrainContext(
        variant=name,
        init=block.init,
        learns_from=block.learns_from,
        seed=seed,
        text=text,
        compute=params.compute,
        device=runtime.prepare(params.compute, seed),
        meter=meter,
        work=resume.Work.of("reward", name, [block, seed, text], params.compute, inputs),
        part="rewards",
    )
    from bench.evaluation import reward_models as measured
    from bench.training import reward_models as training

    model = reward_models.find(block.form).build(block, context)
    facts = training.train(model, block, context)
    about = measured.about(name, model, block, model.save(name, reward_models.settings_of(block, text), facts))
    storage.write_json(paths.reward_path(name), about)
    costs.record("reward", name, meter.costs())
    resume.finish("reward", name)
    said = "; ".join(f"{of} {found['rows'][0]['accuracy']['value']:.1%}" for of, found in about["tests"].items())
    return f"reward {name}: {block.form} on {block.init}, held-out pairs right: {said}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
