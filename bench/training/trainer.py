"""transformers' Seq2SeqTrainer as the benchmark uses it: its settings, its loss, its curve."""

from __future__ import annotations

import math
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PrinterCallback, Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback

from bench.core import distributed, storage
from bench.core.schema import UserError
from bench.lm import architectures, models
from bench.lm.models import Loaded
from bench.training import adalora, passes, states
from bench.training.batches import Collator, OrderedDataset, Rows, batch_order
from bench.training.context import TrainContext
from bench.training.memory import MicroBatches
from bench.training.settings import OptimConfig

# Accelerate's second FSDP: each block of the model (by its `_no_split_modules`) is gathered when it computes.
FSDP = {"version": 2, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "state_dict_type": "FULL_STATE_DICT"}


def steps_of(config: OptimConfig, examples: int) -> int:
    """Count the optimiser steps that the settings ask for with that many examples."""
    return config.steps or math.ceil(examples * (config.epochs or 1) / config.batch_size)


def arguments(config: OptimConfig, context: TrainContext, steps: int) -> dict[str, Any]:
    """Return the Trainer's settings. It keeps its states in the stage's work folder, when `SaveStateCallback` says."""
    if config.batch_size % distributed.world_size():
        raise UserError(
            f"params.yaml: {context.where}.optim.batch_size: {config.batch_size} examples cannot be shared "
            f"by {distributed.world_size()} processes; give a multiple."
        )
    return {
        "output_dir": str(context.work.folder / "trainer"),
        "learning_rate": config.learning_rate,
        "max_steps": steps,
        "per_device_train_batch_size": config.batch_size // distributed.world_size(),
        "warmup_steps": config.warmup_steps,
        "lr_scheduler_type": config.schedule,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "bf16": context.compute.precision == "bfloat16",
        "use_cpu": context.device == "cpu",
        "seed": context.seed,
        "save_strategy": "steps",
        "save_steps": steps,
        "save_total_limit": 2,  # the last whole one stays until the next is whole
        "report_to": [],
        "logging_steps": max(1, steps // 50),  # a curve of about fifty points
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # a curve shows what happened, also to a trainer that is not ours
        "log_level": "error",
        "remove_unused_columns": False,
        "train_sampling_strategy": "sequential",  # `OrderedDataset` has the order
        "dataloader_pin_memory": context.device == "cuda",
        "disable_tqdm": not sys.stderr.isatty(),  # a bar belongs on a terminal, not in a log
    }


def one_gpu(settings: Any) -> Any:
    """Keep a Trainer's settings to one GPU a process: with more in sight it would multiply the batch by their number.

    `compute.processes` is what spreads a training over GPUs.
    """
    settings._n_gpu = min(settings.n_gpu, 1)
    return settings


class LossTrainer(Seq2SeqTrainer):
    """Seq2SeqTrainer whose loss is a mean over the whole optimiser step, in however many micro-batches it is computed.

    When memory runs out the micro-batches are halved and the step is done again, so the batch, and with it the result
    but for rounding, stays what the params say. A loss that is not finite ends the training with the step's number,
    before the next state is kept; it is looked at a step later, for a GPU would have to be waited for.
    """

    def __init__(self, *args: Any, where: str, accumulation: int = 1, compiled: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.where, self.compiled = where, compiled
        advice = "shorten text.max_source_tokens, or train an adapter"
        self.micro_batches = MicroBatches(where, ("example", "examples"), advice, accumulation)
        self.model_accepts_loss_kwargs = False  # the scale is ours: `training_step`
        self.scale = torch.ones(())
        self.latest: tuple[int, torch.Tensor] | None = None  # a step and its loss, not looked at yet

    def units(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Count the units that the loss is a mean over, (): target tokens."""
        return (inputs["labels"] != models.IGNORE_INDEX).sum()

    def loss_sum(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Sum the loss over the units of `inputs`."""
        return architectures.of(model).loss(model, models.Batch(**inputs)) * self.units(inputs)

    def compute_loss(  # type: ignore[override]
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        """Compute a micro-batch's share of the step's mean loss."""
        with passes.for_training(self.args.device, self.compiled):
            loss = self.loss_sum(model, inputs) * self.scale
        if (penalty := adalora.penalty(self.accelerator.unwrap_model(model))) is not None:
            # Once a step: each micro-batch adds its share of the units.
            loss = loss + penalty * self.units(inputs) * self.scale
        return (loss, None) if return_outputs else loss

    def training_step(
        self, model: Any, inputs: dict[str, torch.Tensor], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Accumulate the gradients of one optimiser step; returns its loss, whose mean over the processes is the batch's."""
        count = self.accelerator.gather(self.units(inputs).to(self.args.device)).sum()
        self.scale = distributed.world_size() / count  # gradients are averaged over the processes
        step, rows = self.state.global_step + 1, len(inputs["input_ids"])
        loss = self.micro_batches.run(step, rows, lambda: self._accumulate(model, inputs), model.zero_grad)
        self.check_loss()
        self.latest = (step, loss)
        return loss

    def check_loss(self) -> None:
        """Look at the last step's loss.

        Raises:
            UserError: it is not finite.
        """
        if self.latest is not None:
            step, loss = self.latest[0], float(self.latest[1])
            self.latest = None
            if not math.isfinite(loss):
                raise diverged(self.where, loss, step, self.args)

    def _accumulate(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        rows = len(inputs["input_ids"])
        count = min(self.micro_batches.count, rows)
        parts = zip(*(value.chunk(count) for value in inputs.values()), strict=True)
        total, step = torch.zeros((), device=self.args.device), super().training_step
        for number, part in enumerate(parts, 1):
            with nullcontext() if number == count else self.accelerator.no_sync(model):
                total += step(model, dict(zip(inputs, part, strict=True)))
        return total

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save as the Trainer does, but an adapter without the embeddings, whose 'auto' would ask the hub.

        Raises:
            UserError: the loss is not finite: no such state is kept.
        """
        self.check_loss()
        if isinstance(self.model, PeftModel) and not self.is_fsdp_enabled:
            if self.args.should_save:
                self.model.save_pretrained(output_dir or str(self.args.output_dir), save_embedding_layers=False)
        else:
            super().save_model(output_dir, _internal_call)


class NonFiniteLossCallback(TrainerCallback):
    """Ends a training whose logged loss is not finite: trainers that are not ours go on."""

    def __init__(self, where: str) -> None:
        self.where = where

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Look at the loss, where there is one."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise diverged(self.where, loss, state.global_step, args)


def diverged(where: str, loss: float, step: int, args: Any) -> UserError:
    """Return the error of a loss that is not finite."""
    return UserError(
        f"params.yaml: {where}: the loss became {loss} at step {step}; the last good state is kept in {args.output_dir}; "
        "lower optim.learning_rate or raise optim.warmup_steps."
    )


def fit(
    loaded: Loaded,
    rows: Rows,
    config: OptimConfig,
    context: TrainContext,
    collator: Collator,
    trainer_class: type[LossTrainer] = LossTrainer,
    module: torch.nn.Module | None = None,
    callback: TrainerCallback | None = None,
    **extra: Any,
) -> list[dict[str, float]]:
    """Train `loaded` in place, or a `module` round its model; return the curve, one row a logged step."""
    steps = steps_of(config, len(rows))
    settings = arguments(config, context, steps)
    sharded = context.compute.sharding == "fsdp" and distributed.world_size() > 1 and loaded.kind == "full"
    sharded = sharded and trainer_class is LossTrainer  # the one that goes through the whole model's forward
    if sharded:
        settings |= {"fsdp": True, "fsdp_config": FSDP, "save_strategy": "no"}
        # T5 has three modules round one embedding, which FSDP refuses: a parameter belongs to one group.
        loaded.model.set_input_embeddings(loaded.model.get_input_embeddings())
    ranked = adalora.config_of(loaded.model) is not None
    if ranked:  # what importance the ranks have gathered is in no state that could be kept
        adalora.check_steps(loaded.model, steps, context.where)
        settings |= {"save_strategy": "no"}
    planned = OrderedDataset(
        rows, batch_order([len(row["input_ids"]) for row in rows], config.batch_size, steps, context.seed)
    )
    trainer = trainer_class(
        model=loaded.model if module is None else module,
        args=one_gpu(Seq2SeqTrainingArguments(**settings)),
        train_dataset=planned,
        data_collator=collator,
        where=context.where,
        accumulation=config.accumulation,
        compiled=context.compute.compile,
        **extra,
    )
    for one in (adalora.ShareOutRanks() if ranked else None, callback):
        if one is not None:
            trainer.add_callback(one)
    if sharded and not trainer.is_fsdp_enabled:
        raise UserError(
            f"params.yaml: compute.sharding: 'fsdp' is asked for and Accelerate shards on GPUs alone, not on {context.device}; "
            "write 'none'."
        )
    curve = run(trainer, loaded, context, examples=len(planned), tokens=planned.tokens())
    trainer.check_loss()
    if sharded:
        loaded.model = gather_weights(loaded.model, context)
    return curve


def gather_weights(model: torch.nn.Module, context: TrainContext) -> torch.nn.Module:
    """Gather the model that FSDP has sharded, whole in every process."""
    complete: torch.nn.Module = context.start().model
    weights = {name: shard.full_tensor() for name, shard in model.named_parameters()}  # type: ignore[attr-defined]
    for name, weight in complete.named_parameters():
        weight.data.copy_(weights[name])
    return complete


def run(trainer: Any, loaded: Loaded, context: TrainContext, **counts: int) -> list[dict[str, float]]:
    """Run any transformers Trainer quietly, from its last whole state on; note its throughput; return its curve."""
    state = states.last_complete_state(Path(trainer.args.output_dir))
    earlier = storage.read_json(state / states.SaveStateCallback.NOTE)["seconds"] if state else 0.0
    keeper = states.SaveStateCallback(context.work, earlier)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(keeper)
    trainer.add_callback(NonFiniteLossCallback(context.where))
    trainer.train(resume_from_checkpoint=str(state) if state else None)
    context.meter.record("training", keeper.seconds(), **counts)
    # Mixed precision wraps the model's forward; what is measured and saved afterwards is the model itself.
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    loaded.model.eval()
    return [
        {"step": float(row["step"])} | {key: float(row[key]) for key in sorted(row) if key not in ("step", "epoch")}
        for row in trainer.state.log_history
        if "loss" in row
    ]


@torch.no_grad()
def validation_loss(loaded: Loaded, rows: Rows, batch_size: int = 32) -> float:
    """Compute the mean cross-entropy a target token, nats, dropout off: what settings are chosen by."""
    total, tokens = 0.0, 0
    for first in range(0, len(rows), batch_size):
        part = rows[first : first + batch_size]
        batch = models.collate(
            [r["input_ids"] for r in part],
            [r["labels"] for r in part],
            int(loaded.tokenizer.pad_token_id),
            loaded.device,
        )
        logprobs, mask = models.token_logprobs(models.target_logits(loaded.model, batch), batch.labels)
        total, tokens = total - float(logprobs.sum()), tokens + int(mask.sum())
    return total / tokens
