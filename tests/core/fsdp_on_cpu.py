"""`python -m stages.train` with Accelerate's FSDP on CPUs, where Accelerate itself leaves it off; torch does not mind."""

import sys
from typing import Any

from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from bench.core import runtime
from stages.train import main

without = AcceleratorState.__init__


def with_fsdp(self: AcceleratorState, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
    without(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    if fsdp_plugin is not None:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin


if __name__ == "__main__":
    AcceleratorState.__init__ = with_fsdp  # type: ignore[method-assign]
    runtime.stage(main, *sys.argv[1:])
