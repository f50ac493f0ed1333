"""What a stage does around its work."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys

import pytest

from bench.core import runtime
from bench.core.blocks import ComputeConfig


def test_what_a_training_leaves_behind_is_collected_though_the_next_prepares_anew() -> None:
    class Left:
        gone = False

        def __init__(self) -> None:
            self.itself = self  # only the collector finds it

        def __del__(self) -> None:
            Left.gone = True

    runtime.prepare(ComputeConfig(device="cpu"), 0)
    gc.disable()  # not by chance before it is looked for
    try:
        Left()
        runtime.prepare(ComputeConfig(device="cpu"), 1)
    finally:
        gc.enable()
    gc.collect()
    assert Left.gone


SCRIPT = """
import gc, sys
from bench.core import runtime
if sys.argv[1] == "missing":
    sys.modules["transformers"] = None
try:
    runtime.import_libraries()
except ImportError:
    pass
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


@pytest.mark.parametrize(("libraries", "said"), [("there", "True True"), ("missing", "True False")])
def test_the_collector_works_again_whether_or_not_the_libraries_load(libraries: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, libraries], capture_output=True, text=True)
    assert done.stdout.strip() == said, done.stderr


SCIPY = """
import sys
from bench.core import runtime
runtime.import_libraries()
left_out = "scipy.optimize" not in sys.modules
from transformers import utils
print(left_out, utils.is_scipy_available())
"""


def test_scipy_stays_out_of_what_is_imported_and_can_still_be_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", SCIPY], capture_output=True, text=True)
    known = importlib.util.find_spec("scipy") is not None
    assert done.stdout.strip() == f"True {known}", done.stderr


LEAVING = """
import atexit
from bench.core import runtime
atexit.register(print, "taken apart")
def main():
    return "done"
main.__module__ = {module!r}
runtime.stage(main)
"""


@pytest.mark.parametrize(
    ("module", "said"), [("__main__", ["done (0 s)"]), ("stages.x", ["done (0 s)", "taken apart"])]
)
def test_a_stage_that_is_a_process_of_its_own_leaves_at_once(module: str, said: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", LEAVING.format(module=module)], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()) == (0, said)
