"""The timed steps: one call is one inference, or one forward and backward pass."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .cases import DTYPES, Case
from .weights import SEED

GRAPH_WARMUP = 3  # calls on a side stream before a capture, as PyTorch asks for


@dataclass
class Outcome:
    """The result of a step's first call.

    Attributes:
        seconds: Its time, including compilation.
        maps: The backbone's outputs, detached.
        gradient_norm: Euclidean norm of all parameters' gradients, None if it is not compared.
    """

    seconds: float
    maps: tuple[Tensor, ...]
    gradient_norm: float | None = None


class Step(ABC):
    """Inference or training step of a model. There is no optimizer.

    Args:
        model: Owner of the parameters.
        case: Mode and precision.
        device: Where.
    """

    compares_gradients = True

    def __init__(self, model: nn.Module, case: Case, device: torch.device):
        self.model = model
        self.case = case
        self.device = device

    @property
    def training(self) -> bool:
        """Whether it is a training step."""
        return self.case.mode == 'train'

    def __call__(self) -> None:
        """Run once."""
        result = self.forward()
        if self.training:
            self.backward(result)
            self.model.zero_grad(set_to_none=True)

    def first(self) -> Outcome:
        """Run once, and return the result."""
        start = time.perf_counter()
        result = self.forward()
        if self.training:
            self.backward(result)
        synchronize(self.device)
        seconds, norm = time.perf_counter() - start, None
        if self.training and self.compares_gradients:
            norm = gradient_norm(self.model)
        self.model.zero_grad(set_to_none=True)
        return Outcome(seconds, tuple(m.detach() for m in self.maps(result)), norm)

    def contexts(self) -> AbstractContextManager:
        """Return the context of the case's precision."""
        kind = DTYPES[self.case.dtype]
        return nullcontext() if kind is None else torch.autocast(self.device.type, kind)

    @abstractmethod
    def forward(self) -> Any:
        """Return the maps, predictions, or the loss."""

    @abstractmethod
    def backward(self, result: Any) -> None:
        """Compute the gradients from the result of :meth:`forward`."""

    @abstractmethod
    def maps(self, result: Any) -> tuple[Tensor, ...]:
        """Return the values to compare with the reference."""


class BackboneStep(Step):
    """A step of a backbone.

    The loss of a training step is the sum of the maps, weighted with fixed random numbers. The gradient of a
    plain sum would be one broadcast value, which no head produces.

    Args:
        model: Images -> maps; compiled or not.
        images: (B, 3, H, W) on the device.
        case: Mode and precision.
    """

    def __init__(self, model: nn.Module, images: Tensor, case: Case):
        super().__init__(model, case, images.device)
        self.images = images
        self.gradients: list[Tensor] = []

    def forward(self) -> tuple[Tensor, ...]:
        """Return the maps."""
        with torch.set_grad_enabled(self.training), self.contexts():
            return tuple(self.model(self.images))

    def backward(self, result: tuple[Tensor, ...]) -> None:
        """Send the fixed gradients back through the maps."""
        if not self.gradients:
            self.gradients = _map_gradients(result)
        torch.autograd.backward(result, self.gradients)

    def maps(self, result: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the maps themselves."""
        return result


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

    def replay(
        kept: Step = step,
    ) -> None:  # the graph itself does not keep weights and images alive
        graph.replay()

    return replay
