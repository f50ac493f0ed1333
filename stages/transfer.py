"""The transfer stage: every variant on the test split of another dataset -> predictions/on/<name>, scores/on/<name>."""

import sys
from typing import Any

from bench import datasets, methods
from bench.core import costs, manifest, parameters, paths, resume, runtime, storage
from bench.data import splits
from bench.evaluation import scoring


def main(name: str) -> str:
    params, meter = parameters.read(), runtime.Meter()
    device = runtime.prepare(params.compute, params.generation.seed)
    from bench.evaluation import writing
    from bench.lm import models

    block = params.evaluate_on[name]
    learnt = {path.stem: storage.read_examples(path) for path in params.learnt_from}
    examples = splits.unseen(datasets.load_other(name, block), learnt, block, f"evaluate_on.{name}")
    storage.write_rows(paths.split_path(paths.elsewhere(name)), examples)
    loaded, items, said = dict[tuple[str, str], Any](), list[str](), list[str]()
    for variant, method in params.variants.items():
        if methods.find(method.method).LEARNS_FROM == "outputs":
            continue  # that system cannot be asked for more
        system, contexts = paths.elsewhere(name, variant), []
        for training in params.trainings_of(variant):
            items.append(f"{name}.{training.name.replace('/', '.')}")
            model = models.to_write(training.name, device, params.compute.inference)
            inputs = [paths.split_path(paths.elsewhere(name)), *manifest.lineage(training.name)]
            settings = [params.generation, params.text, params.decoding_of(variant)]
            work = resume.Work.of("transfer", items[-1], settings, params.compute, inputs)
            written, _ = writing.summaries(params, variant, model, examples, work)
            rows = [row.model_copy(update={"seed": training.mark}) for row in written]
            contexts.append(scoring.elsewhere(params, system, training, examples, rows, device, loaded))
        storage.write_rows(paths.predictions_path(system), [row for each in contexts for row in each.predictions])
        said.append(f"{variant} {scoring.headline(params, scoring.score_and_write(params, *contexts, on=name))}")
    costs.record("transfer", name, meter.costs())
    for item in items:
        resume.finish("transfer", item)
    return f"transfer {name}: {len(examples)} dialogues; {'; '.join(said)}"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
