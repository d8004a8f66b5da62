"""The timed steps: one call is one inference, or one forward and backward pass."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .cases import DTYPES, SEED, Case

GRAPH_WARMUP = 3  # calls on a side stream before a capture, as PyTorch asks for


@dataclass
class Outcome:
    """The result of a step's first call."""

    seconds: float  # compilation included
    maps: tuple[Tensor, ...]  # the backbone's outputs, detached
    gradient_norm: float | None = None  # of all parameters together; None if it is not compared


class Step:
    """Inference or training step of a backbone on random images. There is no optimizer.

    The loss of a training step is the sum of the maps, weighted with fixed random numbers. The gradient of a
    plain sum would be one broadcast value, which no head produces.

    Args:
        model: Images (B, 3, H, W) -> maps; compiled or not.
        case: Mode and precision.
        device: Where.
    """

    compares_gradients = True

    def __init__(self, model: nn.Module, case: Case, device: torch.device):
        self.model, self.case, self.device = model, case, device
        self.backbone = model  # the part of the model whose maps are compared
        self.training = case.mode == 'train'
        self.data: Any = self.make_data()
        self.gradients: list[Tensor] = []

    def make_data(self) -> Any:
        """Return the images."""
        generator = torch.Generator().manual_seed(SEED)
        shape = self.case.batch, 3, *self.case.size
        return torch.randn(shape, generator=generator).to(self.device)

    def forward(self) -> Any:
        """Return the maps."""
        return tuple(self.model(self.data))

    def backward(self, result: Any) -> None:
        """Send the fixed gradients back through the maps."""
        if not self.gradients:
            generator = torch.Generator().manual_seed(SEED)
            for m in result:
                numbers = torch.randn(m.shape, generator=generator) / m.numel() ** 0.5
                self.gradients.append(numbers.to(m))
        torch.autograd.backward(result, self.gradients)

    def __call__(self) -> None:
        """Run once."""
        self._run()
        if self.training:
            self.model.zero_grad(set_to_none=True)

    def first(self) -> Outcome:
        """Run once, and return the time, the backbone's maps and the gradients' norm."""
        maps: list[Tensor] = []
        hook = self.backbone.register_forward_hook(lambda module, x, found: maps.extend(found))
        start = time.perf_counter()
        self._run()
        synchronize(self.device)
        seconds, norm = time.perf_counter() - start, None
        hook.remove()
        if self.training and self.compares_gradients:
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            norm = float(nn.utils.get_total_norm(gradients))
        self.model.zero_grad(set_to_none=True)
        return Outcome(seconds, tuple(m.detach() for m in maps), norm)

    def _run(self) -> None:
        kind = DTYPES[self.case.dtype]
        precision = nullcontext() if kind is None else torch.autocast(self.device.type, kind)
        with torch.set_grad_enabled(self.training), precision:
            result = self.forward()
        if self.training:
            self.backward(result)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done its work."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def graph_step(step: Step) -> Callable[[], None]:
    """Capture an inference step as a CUDA graph; return a function that replays it and owns its tensors."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    # The cache of autocast would hold weights of another graph's memory.
    with torch.autocast('cuda', torch.bfloat16, step.case.dtype == 'bf16', cache_enabled=False):
        with torch.cuda.stream(stream):
            for _ in range(GRAPH_WARMUP):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph):
            step()

    def replay(kept: Step = step) -> None:
        graph.replay()  # which itself does not keep weights and images alive

    return replay
