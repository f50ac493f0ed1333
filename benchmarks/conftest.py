"""Benchmarks take their time: they run when they are asked for by path or by --benchmark-only, never with the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out of a plain `pytest`."""
    if collection_path.is_file() and collection_path.parent == HERE and not _asked_for(config):
        return True
    return None


def _asked_for(config: pytest.Config) -> bool:
    named = [(config.invocation_params.dir / word.split("::")[0]).resolve() for word in config.args]
    return bool(config.getoption("benchmark_only", False)) or any(
        path == HERE or HERE in path.parents for path in named
    )


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Timings on one thread: what other cores do in the meantime matters less."""
    import torch

    torch.set_num_threads(1)
