"""The generate stage: a variant's summaries of the test split, greedy and sampled -> predictions/<variant>.jsonl."""

import sys

from bench import artifacts, config, resume, runtime


def main(variant: str) -> str:
    params, meter = config.read(), runtime.Meter()
    device = runtime.prepare(params.compute, params.generation.seed)
    from bench import generate, models

    examples, rows, works = artifacts.read_split("test"), [], []
    for training in params.trainings_of(variant):
        loaded = models.load(training.name, device)
        inputs = [artifacts.split_path("test"), *artifacts.lineage(training.name)]
        settings = [params.generation, params.text]
        works.append(resume.Work.of("generate", training.name, settings, params.compute, inputs))
        for part, draws in (("generation", 0), ("sampling", params.generation.samples)):
            if part == "generation" or draws:
                with meter.timed(part) as counts:
                    new = generate.predict(loaded, examples, params.text, params.generation, draws, works[-1])
                    counts.update(examples=len(new), tokens=sum(len(row.token_ids) for row in new))
                rows += [row.model_copy(update={"seed": training.mark}) for row in new]
    artifacts.write_rows(artifacts.predictions_path(variant), rows)
    artifacts.write_json(artifacts.cost_path("generate", variant), meter.costs())
    works[0].finish()
    words = sum(len(row.text.split()) for row in rows) / len(rows)
    rate = meter.facts["generation_examples_per_second"]
    return f"generate {variant}: {len(rows)} summaries, {words:.1f} words on average, {rate:.0f} examples/s greedy"


if __name__ == "__main__":
    runtime.stage(main, *sys.argv[1:])
