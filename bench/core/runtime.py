"""What a stage does around its work: quiet libraries, fixed seeds and threads, progress, cost, one line at the end."""

from __future__ import annotations

import errno
import gc
import importlib
import io
import logging
import os
import platform
import random
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from bench.core import distributed
from bench.core.blocks import ComputeConfig
from bench.core.schema import UserError
from bench.core.terminal import single_line

Item = TypeVar("Item")
Progress = Callable[..., Iterable[Any]]


def quiet() -> None:
    """Switch off the libraries' notices, not their errors. Call before torch or transformers is imported.

    What the terminal's encoding has no sign for (± in ASCII, → in Windows' 1252) is printed as `?`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # Waiting threads spin for microseconds before they sleep: to wake them takes as long as a small product
    # (docs/tried.md has what it brought).
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    warnings.filterwarnings("ignore")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells whoever imports peft which kernels it lacks


def prepare(compute: ComputeConfig, seed: int) -> str:
    """Fix threads, seeds and algorithms; return the device, `cpu` or `cuda`.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import_libraries()
    import torch
    from transformers.utils import logging as notices

    notices.disable_progress_bar()  # a bar for each file of weights says nothing; the stages have their own
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "params.yaml: compute.device: 'cuda' is asked for and torch sees no GPU; write 'auto' or 'cpu'."
        )
    device = "cuda" if compute.device != "cpu" and torch.cuda.is_available() else "cpu"
    torch.set_num_threads(compute.threads)
    if device == "cpu":
        os.environ[distributed.CPU] = "true"
        torch.use_deterministic_algorithms(True)
        # Filling fresh tensors guards against reading uninitialised memory; it costs 6 % of a step on a CPU.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    else:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = compute.tf32
        gc.collect()  # what an earlier training of this process, with another seed, left behind
        torch.cuda.empty_cache()
    set_seed(seed)
    return device


def import_libraries() -> None:
    """Import torch and transformers, whose code stays: the collector looking through it takes a quarter of the time.

    Once they are there it does nothing: what a training leaves behind must not be kept for good. scipy stays out, an eighth
    of the time: of what is imported here, the losses of object detection alone ask for it.
    """
    if "transformers.modeling_utils" in sys.modules:
        return
    utils: Any = importlib.import_module("transformers.utils")
    asked = utils.is_scipy_available
    gc.disable()
    try:
        utils.is_scipy_available = lambda: False
        importlib.import_module("transformers.modeling_utils")
    finally:
        utils.is_scipy_available = asked
        gc.enable()
    gc.freeze()


def set_seed(seed: int) -> None:
    """Seed every source of randomness that the libraries draw from."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def progress(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Iterate with a bar that shows the remaining time; silent where the error stream is not a terminal."""
    from tqdm import tqdm

    return iter(tqdm(items, desc=label, total=total, leave=False, dynamic_ncols=True, disable=None))


def machine() -> dict[str, Any]:
    """Describe what seconds and bytes depend on beside the code: processor, threads, GPU, versions."""
    listing = Path("/proc/cpuinfo")
    text = listing.read_text(encoding="utf-8", errors="replace") if listing.exists() else ""
    named = (line.partition(":")[2].strip() for line in text.splitlines() if line.lower().startswith("model name"))
    found: dict[str, Any] = {"cpu": next(named, platform.processor() or "unknown"), "cores": os.cpu_count()}
    torch = sys.modules.get("torch")
    if torch is not None:
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
        found |= {"threads": torch.get_num_threads(), "gpu": gpu}
    return found | {name: metadata.version(name) for name in ("torch", "transformers", "peft")}


class Meter:
    """Wall seconds and peak memory of a stage. One process a stage: the kernel's high-water mark never falls."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.facts: dict[str, Any] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[dict[str, int]]:
        """Time a part; every count put into the yielded dict (examples, tokens) also becomes a rate a second."""
        start, counts = time.perf_counter(), dict[str, int]()
        yield counts
        self.record(name, time.perf_counter() - start, **counts)

    def record(self, name: str, seconds: float, **counts: int) -> None:
        """Note a part timed elsewhere. What is noted again under a name adds up: trainings with several seeds."""
        seconds += self.facts.get(f"{name}_seconds", 0.0)
        self.facts[f"{name}_seconds"] = round(seconds, 3)
        for key, new in counts.items():
            count = new + self.facts.get(f"{name}_{key}", 0)
            self.facts[f"{name}_{key}"] = count
            self.facts[f"{name}_{key}_per_second"] = round(count / max(seconds, 1e-9), 3)

    def costs(self) -> dict[str, Any]:
        """Return all facts with the totals of the process so far."""
        facts = dict(
            self.facts,
            wall_seconds=round(time.perf_counter() - self.started, 3),
            peak_resident_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            machine=machine(),
        )
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            facts |= {"peak_gpu_bytes": torch.cuda.max_memory_allocated(), "gpu_name": torch.cuda.get_device_name()}
        return facts


UNWRITABLE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "a file grew larger than this system allows; raise the limit (ulimit -f)",
    errno.EROFS: "the file system is read-only; make it writable",
    errno.EACCES: "this may not be written; give this user the right to",
    errno.EPERM: "this may not be written; give this user the right to",
}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def unwritable(error: BaseException) -> tuple[int, str] | None:
    """Return the system's error number and file when a file could not be written; None when something else failed."""
    chain: BaseException | None = error
    while chain is not None:
        text = str(chain)
        if isinstance(chain, OSError) and chain.errno in UNWRITABLE:
            return chain.errno, str(chain.filename or Path.cwd())
        # Libraries not written in Python hand on the system's words alone, torch not even those.
        found = [code for code in NO_ROOM if os.strerror(code) in text]
        if found or re.search("PytorchStreamWriter|iostream error", text):
            return next(iter(found), errno.ENOSPC), str(Path.cwd())
        chain = chain.__cause__ or chain.__context__
    return None


def no_room(error: BaseException) -> bool:
    """Tell whether an error says that the disk is full, or a quota or file size limit is reached."""
    found = unwritable(error)
    return found is not None and found[0] in NO_ROOM


def stage(main: Callable[..., str], *arguments: str) -> None:
    """Run a stage's main function; print its headline, or one sentence and a non-zero exit for a user's mistake.

    DVC says which item of the graph is meant in DVC_STAGE (`train@lora`): a name in its command would reach a shell.
    """
    quiet()
    arguments = arguments or tuple(os.environ.get("DVC_STAGE", "").split("@", 1)[1:])
    started = time.perf_counter()
    try:
        headline = main(*arguments)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; `dvc repro` goes on from what this stage has kept.")
    except Exception as error:
        if (found := unwritable(error)) is None:
            raise
        sys.exit(f"error: {found[1]}: {UNWRITABLE[found[0]]}; `dvc repro` then goes on from what this stage has kept.")
    if headline and distributed.rank() == 0:
        print(f"{single_line(headline)} ({time.perf_counter() - started:.0f} s)", flush=True)
    # All is written; the system frees what is left faster than the interpreter.
    if main.__module__ == "__main__" and distributed.world_size() == 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    gc.freeze()  # nothing is left to free: looking through torch's modules on the way out would take a second
