"""The generate stage: a variant's summaries of the test split, and samples -> predictions/<variant>.jsonl."""

import sys

from bench.core import costs, distributed, manifest, parameters, paths, resume, runtime, storage
from bench.data import outputs


def main(variant: str) -> str:
    params, meter = parameters.read(), runtime.Meter()
    if (facts := manifest.read_manifest(variant))["kind"] == "outputs":
        given = outputs.predictions(paths.model_path(variant) / facts["file"], storage.read_split("test"))
        storage.write_rows(paths.predictions_path(variant), given)
        costs.record("generate", variant, meter.costs())
        return f"generate {variant}: {len(given)} summaries of another system"
    if distributed.launch("stages.generate", params.compute, variant):
        return ""
    device = runtime.prepare(params.compute, params.generation.seed)
    from bench.evaluation import writing
    from bench.lm import models

    examples, rows = storage.read_split("test"), []
    for training in params.trainings_of(variant):
        loaded = models.to_write(training.name, device, params.compute.inference)
        inputs = [paths.split_path("test"), *manifest.lineage(training.name)]
        settings = [params.generation, params.text, params.decoding_of(variant)]
        work = resume.Work.of("generate", training.name, settings, params.compute, inputs)
        for part, write in (("generation", writing.summaries), ("sampling", writing.samples)):
            new, seconds = write(params, variant, loaded, examples, work)
            if new:
                meter.record(part, seconds, examples=len(new), tokens=sum(len(row.token_ids) for row in new))
                rows += [row.model_copy(update={"seed": training.mark}) for row in new]
    storage.write_rows(paths.predictions_path(variant), rows)
    costs.record("generate", variant, meter.costs())
    resume.finish("generate", variant)
    words = sum(len(row.text.split()) for row in rows) / len(rows)
    rate = meter.facts["generation_examples_per_second"]
    return f"generate {variant}: {len(rows)} summaries, {words:.1f} words on average, {rate:.0f} examples/s greedy"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
