"""The generate stage: a variant's summaries of the test split, greedy and sampled -> predictions/<variant>.jsonl."""

import sys

from bench import artifacts, config, processes, resume, runtime


def main(variant: str) -> str:
    params, meter = config.read(), runtime.Meter()
    if processes.spread("stages.generate", params.compute, variant):
        return ""
    device = runtime.prepare(params.compute, params.generation.seed)
    from bench import generate, models

    examples, rows = artifacts.read_split("test"), []
    for training in params.trainings_of(variant):
        loaded = models.load(training.name, device)
        inputs = [artifacts.split_path("test"), *artifacts.lineage(training.name)]
        settings = [params.generation, params.text]
        work = resume.Work.of("generate", training.name, settings, params.compute, inputs)
        for part, draws in (("generation", 0), ("sampling", params.generation.samples)):
            if part == "generation" or draws:
                new = generate.predict(loaded, examples, params.text, params.generation, draws, work)
                tokens = sum(len(row.token_ids) for row in new)
                meter.record(part, work.seconds(generate.kept(draws)), examples=len(new), tokens=tokens)
                rows += [row.model_copy(update={"seed": training.mark}) for row in new]
    artifacts.write_rows(artifacts.predictions_path(variant), rows)
    artifacts.write_json(artifacts.cost_path("generate", variant), meter.costs())
    resume.finish("generate", variant)
    words = sum(len(row.text.split()) for row in rows) / len(rows)
    rate = meter.facts["generation_examples_per_second"]
    return f"generate {variant}: {len(rows)} summaries, {words:.1f} words on average, {rate:.0f} examples/s greedy"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
