"""Parameters, FLOPs, latency and memory of a segmentor at the size of its test images."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.memory import peak_memory
from benchmarks.timing import quartiles, time_steps
from mmcoat import CoaT, runs
from mmcoat.analysis.flops import count_parameters

DIVISOR = 32


@dataclass
class Costs:
    """The costs of a model.

    Attributes:
        size: Height and width of the image that was measured.
        parameters: Number of parameters, including auxiliary heads, which only training uses.
        backbone_parameters: Those of the backbone.
        macs: Multiply-accumulate operations for one image, as ``tools/get_flops.py`` counts them.
        milliseconds: Median time for one image.
        quartiles: Lower and upper quartile of that time.
        peak_bytes: Most memory held during one image, above weights and image.
    """

    size: tuple[int, int]
    parameters: int
    backbone_parameters: int
    macs: int
    milliseconds: float | None = None
    quartiles: tuple[float, float] | None = None
    peak_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what the report's file holds."""
        return asdict(self)


def test_size(cfg: Config) -> tuple[int, int]:
    """Return the input size of the model for the first test image: its window, or the whole padded image."""
    if cfg.model.test_cfg.get('mode') == 'slide':
        height, width = cfg.model.test_cfg.crop_size
        return height, width
    init_default_scope('mmseg')
    image = DATASETS.build(cfg.test_dataloader.dataset)[0]['inputs']
    height, width = (-(-side // DIVISOR) * DIVISOR for side in image.shape[-2:])
    return height, width


def build(cfg: Config) -> nn.Module:
    """Build the untrained model of a config for inference."""
    import mmseg.models  # noqa: F401  registers what the config names

    cfg = copy.deepcopy(cfg)
    runs.fit_to_devices(cfg)
    init_default_scope('mmseg')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.eval()
    return model.requires_grad_(False)


def count(model: nn.Module, size: tuple[int, int]) -> Costs:
    """Count parameters and operations."""
    counted = copy.deepcopy(model)
    for module in counted.modules():
        if isinstance(module, CoaT):
            module.set_backend('reference')  # the counter cannot see into fused operations
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        counted(torch.zeros(1, 3, *size), mode='tensor')
    parts = count_parameters(model), count_parameters(model.backbone)
    return Costs(size, *parts, counter.get_total_flops() // 2)


def _step(model: nn.Module, image: torch.Tensor) -> Callable[[], object]:
    return torch.inference_mode()(lambda: model(image, mode='tensor'))


def measure(
    models: dict[str, nn.Module], sizes: dict[str, tuple[int, int]], repeats: int
) -> dict[str, Costs]:
    """Count and time all models in turns, so that a slow minute affects all of them."""
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    found = {name: count(model, sizes[name]) for name, model in models.items()}
    steps = {}
    for name, model in models.items():
        steps[name] = _step(model.to(device), torch.randn(1, 3, *sizes[name], device=device))
    for name, timing in time_steps(steps, device, repeats, 0.0, warmup=2).items():
        if timing.error is not None:
            raise timing.error
        low, middle, high = quartiles([1e3 * sample for sample in timing.samples])
        found[name].milliseconds, found[name].quartiles = middle, (low, high)
        found[name].peak_bytes = peak_memory(steps[name], device)
    return found
