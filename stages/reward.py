"""The reward stage: one reward model from preferences -> models/<name>/, and how often it is right -> checked/rewards/."""

import sys
from pathlib import Path
from typing import Any

from bench import reward_models
from bench.core import costs, parameters, paths, resume, runtime, storage
from bench.training.context import TrainContext


def main(name: str) -> str:
    params = parameters.read()
    block: Any = params.rewards[name]
    context = TrainContext.of_block(params, "rewards", name, "reward", [Path(block.tested_on)])
    from bench.evaluation import reward_models as measured
    from bench.training import reward_models as training

    model = reward_models.find(block.form).build(block, context)
    facts = training.train(model, block, context)
    record = model.save(name, reward_models.settings_of(block, context.text), facts)
    about = measured.about(name, model, block, record)
    storage.write_json(paths.reward_path(name), about)
    costs.record("reward", name, context.meter.costs())
    resume.finish("reward", name)
    said = "; ".join(f"{of} {found['rows'][0]['accuracy']['value']:.1%}" for of, found in about["tests"].items())
    return f"reward {name}: {block.form} on {block.init}, held-out pairs right: {said}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
