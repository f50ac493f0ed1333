"""The course lab's way: plain Trainer on padded rows, one dialogue or text at a time, trl 0.11.4's PPO.

Nothing of ours runs here but the encoding of a dialogue, so that both sides see the same tokens (the lab cuts a long
prompt's end off, instruction included), and the validation loss afterwards, so that one judge sees both models.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, Trainer, TrainingArguments

from bench.lm import models, prompts
from benchmarks.rival.counting import Watch, Weights
from benchmarks.rival.laps import Lap, Pace, encoded
from benchmarks.rival.task import (
    ADAPTER,
    LEARNING_RATE,
    PPO_BATCH,
    PPO_LEARNING_RATE,
    PPO_MINIBATCH,
    PPO_TOKENS,
    TEXT,
    TRAIN_BATCH,
    Task,
)


def load(task: Task) -> tuple[Any, Any]:
    """Model in float32 and tokenizer, as transformers loads them."""
    torch.set_num_threads(task.threads)
    torch.manual_seed(task.seed)
    folder = Path("models") / task.base
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).to(task.device)
    return model, AutoTokenizer.from_pretrained(folder)


def training(task: Task, lap: Lap) -> dict[str, Any]:
    """Source and target padded to the tokenizer's maximum, 512, as in the lab."""
    return padded_training(task, lap, TEXT.max_source_tokens)


def training_to_limits(task: Task, lap: Lap) -> dict[str, Any]:
    """Kinder to the lab: targets padded to this project's limit."""
    return padded_training(task, lap, TEXT.max_target_tokens)


def padded_training(task: Task, lap: Lap, target: int) -> dict[str, Any]:
    """Train one epoch. Padding is masked, so that the loss is ours; the lab attended to it and learnt to write it."""
    from bench.training.trainer import validation_loss

    model, tokenizer = load(task)
    weights, source = Weights.of(model), TEXT.max_source_tokens
    rows = encoded(task, tokenizer, "train", task.dialogues)
    pad = [
        {
            "input_ids": row["input_ids"] + [tokenizer.pad_token_id] * (source - len(row["input_ids"])),
            "attention_mask": [1] * len(row["input_ids"]) + [0] * (source - len(row["input_ids"])),
            "labels": row["labels"] + [models.IGNORE_INDEX] * (target - len(row["labels"])),
        }
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            learning_rate=LEARNING_RATE,
            num_train_epochs=1,
            per_device_train_batch_size=TRAIN_BATCH,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=task.seed,
            use_cpu=task.device == "cpu",
            log_level="error",
        )
        lap()
        pace = Pace(task.dialogues // TRAIN_BATCH // task.rounds, lap)
        trainer = Trainer(model=model, args=settings, train_dataset=pad, callbacks=[pace])  # type: ignore[arg-type]
        trainer.train()
    model.eval()
    loaded = models.Loaded(task.base, model, tokenizer, "full", None)
    steps = task.dialogues // TRAIN_BATCH
    return {
        "flops": steps * weights.training_flops(TRAIN_BATCH, source, target),
        "tokens": task.dialogues * (source + target),
        "filled": sum(len(row["input_ids"]) + len(row["labels"]) for row in rows),
        "validation_loss": validation_loss(loaded, encoded(task, tokenizer, "dev", 32), batch_size=8),
        "weights": weights.facts(),
    }


def generation(task: Task, lap: Lap) -> dict[str, Any]:
    """`model.generate` for one dialogue after the other."""
    model, tokenizer = load(task)
    model.eval()
    examples, watch, weights = task.examples("test", task.dialogues), Watch(model), Weights.of(model)
    wanted, rows = lap(), list[list[int]]()
    while wanted:
        rows = []
        for example in examples:
            ids = prompts.encode_source(tokenizer, example.source, TEXT).ids
            found = model.generate(
                input_ids=torch.tensor([ids], device=task.device),
                max_new_tokens=task.max_new_tokens,
                num_beams=1,
                do_sample=False,
            )
            rows.append(found[0, 1:].tolist())
        wanted = lap(**watch.take())
    return {"rows": rows, "weights": weights.facts()}


def classifier(task: Task, lap: Lap) -> dict[str, Any]:
    """transformers' pipeline on one text after the other; labels by name."""
    from transformers import pipeline

    torch.set_num_threads(task.threads)
    score = pipeline("text-classification", model="models/reward", device=task.device)
    texts, scores = task.scored(), list[dict[str, float]]()
    wanted = lap()
    while wanted:
        scores = []
        for text in texts:
            found = score(text, top_k=None, function_to_apply="none", truncation=True)
            scores.append({one["label"]: one["score"] for one in found})
        wanted = lap()
    return {"scores": scores}


def ppo(task: Task, lap: Lap) -> dict[str, Any]:
    """A step as the lab takes it: sample one summary after the other, score them with a pipeline, `PPOTrainer.step`."""
    from peft import LoraConfig, get_peft_model
    from transformers import pipeline
    from trl import AutoModelForSeq2SeqLMWithValueHead, PPOConfig, PPOTrainer, create_reference_model

    model, tokenizer = load(task)
    policy = get_peft_model(model, LoraConfig(task_type="SEQ_2_SEQ_LM", **ADAPTER))  # type: ignore[arg-type]
    actor = AutoModelForSeq2SeqLMWithValueHead.from_pretrained(policy, is_trainable=True)
    config = PPOConfig(
        model_name=task.base,
        learning_rate=PPO_LEARNING_RATE,
        ppo_epochs=1,
        mini_batch_size=PPO_MINIBATCH,
        batch_size=PPO_BATCH,
        seed=task.seed,
        accelerator_kwargs={"cpu": task.device == "cpu"},
    )
    trainer = PPOTrainer(config=config, model=actor, ref_model=create_reference_model(actor), tokenizer=tokenizer)
    score = pipeline("text-classification", model="models/reward", device=task.device)
    examples, lengths, step = task.examples("train", PPO_BATCH * task.rounds), list[int](), 0
    wanted = lap()
    while wanted:
        queries, answers = [], []
        for example in examples[PPO_BATCH * step :][:PPO_BATCH]:
            ids = prompts.encode_source(tokenizer, example.source, TEXT).ids
            queries.append(torch.tensor(ids, device=task.device))
            sampled = trainer.generate(
                queries[-1], min_length=5, top_k=0, top_p=1.0, do_sample=True, max_new_tokens=PPO_TOKENS
            )
            answers.append(sampled.squeeze(0))
        texts = [tokenizer.decode(answer, skip_special_tokens=True) for answer in answers]
        scored = score(texts, top_k=None, function_to_apply="none", truncation=True, batch_size=PPO_BATCH)
        rewards = [torch.tensor(next(one["score"] for one in row if one["label"] == task.label)) for row in scored]
        trainer.step(queries, answers, rewards)
        lengths += [len(answer) - 1 for answer in answers]
        step += 1
        wanted = lap()
    return {"tokens": sum(lengths), "summaries": len(lengths)}
