"""Mixed precision on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmcoat.ops.processor import warn_of_slow_bf16
from mmcoat.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Run the model in bfloat16 where autocast allows it; weights, gradients and the optimizer stay float32.

    MMEngine's ``AmpOptimWrapper`` needs a GPU. bfloat16 has float32's range, so no loss scaling is needed.
    Processors with AMX or AVX512-BF16 become faster, others slower; those without AVX-512 many times, which
    a line in the log says.

    The arguments are those of MMEngine's ``OptimWrapper``: optimizer, accumulative_counts, clip_grad.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        warn_of_slow_bf16('cpu')

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast the forward pass; MMEngine handles gradient accumulation."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield
