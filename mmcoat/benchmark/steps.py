"""What is timed: one call is one inference, or one forward and backward."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .cases import DTYPES, Case
from .weights import SEED

GRAPH_WARMUP = 3  # calls on a side stream before a capture, as PyTorch asks for


@dataclass
class Outcome:
    """What the first call of a step gives.

    Attributes:
        seconds: How long it took, compilation included.
        maps: The outputs, detached.
        gradient_norm: Euclidean norm of all parameters' gradients, None in inference.
    """

    seconds: float
    maps: tuple[Tensor, ...]
    gradient_norm: float | None = None


class BackboneStep:
    """Inference or training step of a backbone.

    The loss of a training step is the sum of the maps, weighted with fixed random numbers: a plain sum would
    send one broadcast value back as gradient, which no head does. There is no optimizer.

    Args:
        model: Images -> maps; compiled or not.
        images: (B, 3, H, W) on the device.
        case: Mode and precision.
    """

    def __init__(self, model: nn.Module, images: Tensor, case: Case):
        self.model = model
        self.images = images
        self.case = case
        self.gradients: list[Tensor] = []

    def first(self) -> Outcome:
        """Run once, and return what came out."""
        start = time.perf_counter()
        maps = self._forward()
        if self.case.mode == 'inference':
            synchronize(self.images.device)
            return Outcome(time.perf_counter() - start, maps)
        self.gradients = _map_gradients(maps)
        self._backward(maps)
        synchronize(self.images.device)
        seconds = time.perf_counter() - start
        norm = gradient_norm(self.model)
        self.model.zero_grad(set_to_none=True)
        return Outcome(seconds, tuple(m.detach() for m in maps), norm)

    def __call__(self) -> None:
        """Run once."""
        maps = self._forward()
        if self.case.mode == 'train':
            self._backward(maps)
            self.model.zero_grad(set_to_none=True)

    def _forward(self) -> tuple[Tensor, ...]:
        training = self.case.mode == 'train'
        with torch.set_grad_enabled(training), autocast(self.case.dtype, self.images.device):
            return tuple(self.model(self.images))

    def _backward(self, maps: tuple[Tensor, ...]) -> None:
        torch.autograd.backward(maps, self.gradients)


def autocast(dtype: str, device: torch.device) -> AbstractContextManager:
    """Return the context of a precision."""
    kind = DTYPES[dtype]
    return nullcontext() if kind is None else torch.autocast(device.type, kind)


def _map_gradients(maps: tuple[Tensor, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    gradients = []
    for m in maps:
        numbers = torch.randn(m.shape, generator=generator) / m.numel() ** 0.5
        gradients.append(numbers.to(m.device, m.dtype))
    return gradients


def gradient_norm(model: nn.Module) -> float:
    """Return the norm of all gradients together; it does not depend on the parameters' names."""
    squares = [p.grad.double().square().sum() for p in model.parameters() if p.grad is not None]
    return float(torch.stack(squares).sum().sqrt())


def synchronize(device: torch.device) -> None:
    """Wait until the device has done its work."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def graph_step(step: BackboneStep) -> Callable[[], None]:
    """Capture an inference step as a CUDA graph, and return what replays it."""
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
    return graph.replay
