"""What the benchmarks share: the tests' tiny model, and one thread."""

from __future__ import annotations

import pytest

from tests.conftest import base_template as base_template
from tests.conftest import tiny_base as tiny_base
from tests.conftest import workdir as workdir


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Timings on one thread: what other cores do in the meantime matters less."""
    import torch

    torch.set_num_threads(1)
