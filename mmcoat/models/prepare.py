"""Models made ready for inference once: weights cast, merged and packed, and watched for changes."""

import copy
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmcoat import ops
from mmcoat.errors import UsageError
from mmcoat.ops.processor import warn_of_slow_bf16

from .backbones.blocks import Mlp
from .backbones.coat import CoaT
from .backbones.conv_attention import ConvRelPosEnc, FactorizedConvAttention
from .watch import Watch

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# methods of the toolboxes' models that compute with weights
METHODS = ('test_step', 'val_step', 'predict', 'extract_feat', 'encode_decode', 'whole_inference')


def prepare_for_inference(model: nn.Module, dtype: torch.dtype | None = None) -> 'Prepared':
    """Return ``model`` made ready for inference in ``dtype``: nothing is cast, merged or packed at each call.

    Results are those of ``model.eval()``; in bfloat16 and float16 those under autocast, which keeps the sums
    of a CoaT's blocks in float32. (A model that is cast wholly is a third further from float64.) Of
    detectors only the backbone runs in lower precision.

    Args:
        model: A backbone, or a whole model of MMSegmentation, MMDetection or MMPretrain; it stays as it is.
        dtype: float32, bfloat16 or float16; None for float32.

    Returns:
        A module that is called as ``model`` is, with float32 images. Changes of the model's weights,
        by loading, an optimizer or otherwise, are noticed at the next call, which prepares anew.

    Raises:
        UsageError: Another dtype.
    """
    return Prepared(model, torch.float32 if dtype is None else dtype)


class Prepared(nn.Module):
    """What :func:`prepare_for_inference` returns.

    Its weights and state dict are those of ``source``, under the same names; ``load_state_dict`` loads there.
    Attributes that it lacks are the source's, and ``test_step`` and its like compute as ``forward`` does.

    Args:
        source: The model.
        dtype: Of the computation.

    Attributes:
        source: The model.
    """

    def __init__(self, source: nn.Module, dtype: torch.dtype):
        super().__init__()
        if dtype not in DTYPES:
            raise UsageError(f'dtype must be one of {", ".join(map(str, DTYPES))}, got {dtype!r}')
        if isinstance(source, Prepared):
            source = source.source
        self.source, self.dtype, self.training = source, dtype, False
        if dtype == torch.bfloat16:
            warn_of_slow_bf16(next((p.device for p in source.parameters()), 'cpu'))
        self._ready: tuple[nn.Module, Watch] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model; tensors that it returns come in float32."""
        return _to_float(self._run('__call__', *args, **kwargs))

    def train(self, mode: bool = True) -> 'Prepared':
        """Stay in evaluation mode.

        Raises:
            UsageError: ``mode`` is True.
        """
        if mode:
            raise UsageError('a prepared model only infers; train the model it was made of')
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the source's."""
        return self.source.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load into the source."""
        return self.source.load_state_dict(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            source = self.__dict__.get('_modules', {}).get('source')
            if source is None or not hasattr(source, name):
                raise
        return partial(self._run, name) if name in METHODS else getattr(source, name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_ready': None}  # copies prepare by themselves

    def prepared(self) -> nn.Module:
        """Return the copy that computes, made anew where the source was changed."""
        return self._current()[0]

    def _current(self) -> tuple[nn.Module, Watch]:
        if self._ready is None or self._ready[1].changed():
            self._ready = _prepare(self.source, self.dtype), Watch(self.source)
        return self._ready

    def _run(self, method: str, *args: Any, **kwargs: Any) -> Any:
        model, watch = self._current()
        whole = not _is_detector(model)
        with torch.no_grad(), _autocast(watch.device.type, self.dtype if whole else torch.float32):
            return getattr(model, method)(*args, **kwargs)


def _autocast(device_type: str, dtype: torch.dtype) -> AbstractContextManager:
    return nullcontext() if dtype == torch.float32 else torch.autocast(device_type, dtype)


def _is_detector(model: Any) -> bool:
    """Whether boxes come out: pixels, for which eight bits are few, and MMCV's operators refuse bfloat16."""
    model = getattr(model, 'module', model)  # of a test-time augmentation
    return any(hasattr(model, f'{name}_head') for name in ('rpn', 'roi', 'bbox', 'panoptic'))


def _to_float(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in DTYPES else value
    if isinstance(value, dict):
        return {key: _to_float(item) for key, item in value.items()}
    return type(value)(map(_to_float, value)) if type(value) in (tuple, list) else value


# what autocast would cast at each call; norms and class tokens stay in float32, as they do there
_CAST = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)


@torch.no_grad()
def _prepare(source: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy of ``source`` with nothing left to cast, merge or pack when autocast takes ``dtype``."""
    model = copy.deepcopy(source).eval().requires_grad_(False)
    coats = [module for module in model.modules() if isinstance(module, CoaT)]
    for part in coats if _is_detector(model) else [model]:
        for module in part.modules():
            if isinstance(module, _CAST):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(dtype)
    for coat in coats:
        _replace_layers(coat)
    if _is_detector(model):
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, CoaT):
                    setattr(module, name, _LowBackbone(child, dtype))
    return model


class _LowBackbone(nn.Module):
    """A backbone in reduced precision between parts in float32."""

    def __init__(self, coat: CoaT, dtype: torch.dtype):
        super().__init__()
        self.coat, self.dtype = coat, dtype

    def forward(self, x: Tensor) -> Any:
        with _autocast(x.device.type, self.dtype):
            return _to_float(self.coat(x))


def _replace_layers(coat: CoaT) -> None:
    """Put what the operations on this device make of the weights into their places."""
    weight = coat.stages[0].cpe.proj.weight
    plain = ops.select(coat.stages[0].cpe.backend, weight) is ops.plain
    for module in list(coat.modules()):
        if isinstance(module, FactorizedConvAttention) and plain:
            module.qkv = _Weights(ops.pack_qkv(module.qkv.weight), module.qkv.bias)
            module.proj = _Weights(ops.packed(module.proj.weight), module.proj.bias)
        elif isinstance(module, Mlp) and plain:
            module.fc1 = _Weights(ops.packed(module.fc1.weight), module.fc1.bias)
            module.fc2 = _Weights(ops.packed(module.fc2.weight), module.fc2.bias)
        for name, child in module.named_children():
            if isinstance(child, ConvRelPosEnc):
                setattr(module, name, _Constant(child(weight)))


class _Weights(nn.Module):
    """Stands where a linear layer was; the operations read its two attributes."""

    def __init__(self, weight: Any, bias: Tensor):
        super().__init__()
        self.weight, self.bias = weight, bias


class _Constant(nn.Module):
    """Returns what it was made with, whatever it is called with."""

    def __init__(self, value: Any):
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Any:
        return self.value
