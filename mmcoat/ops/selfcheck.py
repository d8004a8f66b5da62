"""At its first use on a device, every fused operation is compared once with the plain form.

The kernels are compiled for the user's GPU, and no test suite covers all GPUs. If an operation does not
compile, does not fit, or gives other numbers, its plain form replaces it, and one line says which operation
and why. The verdict is stored in a file, for each GPU, driver, PyTorch, Triton and code version.
"""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from . import plain, reference
from .common import compute_dtype

# relative to the largest element of the float64 result: a few roundings of the dtype
LIMITS = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
# an operation that needs another's result in its own format is replaced together with it
TOGETHER = {'pack_filters': 'conv_attention'}
HEADS, WIDTH = 8, 19  # heads whose first channel is not aligned for loads
CHANNELS = HEADS * WIDTH

any_replaced = False  # torch.compile guards on it, and checks nothing else while it is False
_forms: dict[str, Any] = {}


def checked(fused: Any, x: Tensor, must: bool = False) -> Any:
    """Return the form whose operations passed the trial on the device and in the dtypes of ``x``.

    Args:
        fused: The package, or an object with its functions.
        x: Tokens that the operations will process.
        must: Raise instead of replacing.

    Raises:
        RuntimeError: An operation failed, and ``must`` is True.
    """
    key = f'{x.device}/{x.dtype}/{compute_dtype(x)}'
    if key not in _forms:
        _forms[key] = _form(fused, examine(fused, x.device, x.dtype, compute_dtype(x)))
    form = _forms[key]
    failures = getattr(form, 'failures', {})
    if must and failures:
        raise RuntimeError(
            f"backend='fused', but on this device {_text(failures)}; backend='auto' replaces it"
        )
    return form


def _form(fused: Any, failures: dict[str, str]) -> Any:
    global any_replaced
    if not failures:
        return fused
    any_replaced = True
    print_log(
        f'fused operations: {_text(failures)}; the plain form takes its place. Please report this line '
        'with the output of `python -m mmcoat`',
        logger='current',
    )
    gone = {*failures, *(TOGETHER[n] for n in failures if n in TOGETHER)}
    gone |= {name for name, other in TOGETHER.items() if other in gone}
    picked = {n: getattr(plain if n in gone else fused, n) for n in reference.__all__}
    return SimpleNamespace(**picked, failures=failures)


def _text(failures: dict[str, str]) -> str:
    return '; '.join(f'{name} failed its trial: {why}' for name, why in failures.items())


def examine(
    fused: Any, device: torch.device, kind: torch.dtype, compute: torch.dtype
) -> dict[str, str]:
    """Try all operations, forward and backward, and return the failed ones with their reasons.

    Args:
        fused: Object with the operations.
        device: Where.
        kind: Dtype of the tokens.
        compute: Dtype of the products; under autocast it may differ from that of the tokens.
    """
    key = f'{machine(device)}/{kind}/{compute}'
    known = _read()
    verdicts = known.get(key, {})
    failures = {}
    for name, run in _trials().items():
        if name not in verdicts:
            # a fault in a kernel can end the process; the next process finds this line and skips the
            # operation
            _write(key, name, 'it ended the process that tried it')
            verdicts[name] = _try(run, fused, device, kind, compute)
            _write(key, name, verdicts[name])
        if verdicts[name]:
            failures[name] = verdicts[name]
    return failures


def _try(run: Callable, fused: Any, device: Any, kind: Any, compute: Any) -> str:
    """Return the reason why an operation fails, '' if it does not fail."""
    try:
        with torch.random.fork_rng(devices=[device] if device.type == 'cuda' else []):
            torch.manual_seed(0)
            right = run(plain, lambda *s: torch.randn(s).to(device, torch.float64))
            torch.manual_seed(0)
            with torch.autocast(device.type, compute, enabled=compute != kind):
                found = run(fused, lambda *s: torch.randn(s).to(device, kind))
    except Exception as error:
        lines = str(error).strip().splitlines()
        return f'{type(error).__name__}: {lines[0][:200] if lines else "no message"}'
    worst = max(_distance(a, b) for a, b in zip(found, right, strict=True))
    limit = LIMITS[min(kind, compute, key=lambda dtype: dtype.itemsize)]
    # not "worst > limit", so that NaN fails too
    return '' if worst <= limit else f'off by {worst:.1e} of the largest value, allowed {limit:.0e}'


def _distance(found: Tensor, right: Tensor) -> float:
    if found.shape != right.shape:
        return float('inf')
    found, right = found.detach(), right.detach()
    return float((found.double() - right).abs().max() / right.abs().max().clamp(min=1e-3))


def _with_grads(outputs: Iterable[Tensor], inputs: Iterable[Tensor]) -> list[Tensor]:
    """Return outputs, and gradients of their sum with fixed weights."""
    outputs = list(outputs)
    weights = [torch.cos(torch.arange(x.numel(), device=x.device)).view(x.shape) for x in outputs]
    loss = sum((x.double() * w).sum() for x, w in zip(outputs, weights, strict=True))
    return [*outputs, *torch.autograd.grad(loss, list(inputs))]


def _trials() -> dict[str, Callable]:
    """Return a trial of each operation on small odd sizes: (form, draw) -> outputs and gradients."""

    def leaf(draw: Callable, *shape: int) -> Tensor:
        return draw(*shape).requires_grad_()

    def tokens(draw: Callable) -> tuple[Tensor, Tensor]:
        return leaf(draw, 2, 1, CHANNELS), leaf(draw, 2, 3, 5, CHANNELS)

    def conv_pos_enc(form: Any, draw: Callable) -> list[Tensor]:
        x, w, b = (
            leaf(draw, 2, 3, 5, CHANNELS),
            leaf(draw, CHANNELS, 1, 3, 3),
            leaf(draw, CHANNELS),
        )
        return _with_grads([form.conv_pos_enc(x, w, b)], (x, w, b))

    def norm_qkv(form: Any, draw: Callable) -> list[Tensor]:
        x, norm = tokens(draw), (leaf(draw, CHANNELS), leaf(draw, CHANNELS))
        layer = leaf(draw, 3 * CHANNELS, CHANNELS), leaf(draw, 3 * CHANNELS)
        return _with_grads(form.norm_qkv(x, *norm, 1e-6, *layer), (*x, *norm, *layer))

    def conv_attention(form: Any, draw: Callable) -> list[Tensor]:
        qkv = leaf(draw, 2, 1, 3, CHANNELS), leaf(draw, 2, 3, 5, 3, CHANNELS)
        windows = ((3, 2), (5, 3), (7, 3))
        weights = [leaf(draw, n * WIDTH, 1, k, k) for k, n in windows]
        biases = [leaf(draw, n * WIDTH) for _, n in windows]
        filters = form.pack_filters(weights, biases, HEADS)
        out = form.conv_attention(*qkv, filters, HEADS, WIDTH**-0.5)
        return _with_grads(out, (*qkv, *weights, *biases))

    def linear_add(form: Any, draw: Callable) -> list[Tensor]:
        x, skip = tokens(draw), tokens(draw)
        layer, factor = (leaf(draw, CHANNELS, CHANNELS), leaf(draw, CHANNELS)), draw(2).abs()
        return _with_grads(form.linear_add(x, *layer, skip, factor), (*x, *skip, *layer))

    def norm_mlp(form: Any, draw: Callable) -> list[Tensor]:
        x, norm = tokens(draw), (leaf(draw, CHANNELS), leaf(draw, CHANNELS))
        weights = leaf(draw, 2 * CHANNELS, CHANNELS), leaf(draw, CHANNELS, 2 * CHANNELS)
        biases = leaf(draw, 2 * CHANNELS), leaf(draw, CHANNELS)
        out = form.norm_mlp(x, *norm, 1e-6, weights, biases, draw(2).abs())
        return _with_grads(out, (*x, *norm, *weights, *biases))

    def scale_exchange(form: Any, draw: Callable) -> list[Tensor]:
        sizes = ((5, 7), (2, 3), (1, 1))
        maps, skips = ([leaf(draw, 2, *size, CHANNELS) for size in sizes] for _ in range(2))
        out = form.scale_exchange(maps, skips, [draw(2).abs(), None, draw(2).abs()])
        return _with_grads(out, (*maps, *skips))

    found = (conv_pos_enc, norm_qkv, conv_attention, linear_add, norm_mlp, scale_exchange)
    return {trial.__name__: trial for trial in found}


# ---------------------------------------------------------------------- the file of verdicts


def cache_file() -> Path:
    """Return the file that keeps the verdicts; ``MMCOAT_CACHE`` names another folder."""
    folder = os.environ.get('MMCOAT_CACHE')
    return Path(folder or Path.home() / '.cache' / 'mmcoat') / 'selfcheck.json'


def machine(device: torch.device) -> str:
    """Return what a verdict depends on: GPU, driver, PyTorch, Triton, and this code."""
    gpu = torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type
    driver = getattr(torch._C, '_cuda_getDriverVersion', lambda: '')()
    import triton

    return f'{gpu}/driver {driver}/torch {torch.__version__}/triton {triton.__version__}/{_code()}'


@functools.cache
def _code() -> str:
    folder, found = Path(__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob('*.py')):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def _read() -> dict[str, dict[str, str]]:
    try:
        found = json.loads(cache_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(key: str, name: str, verdict: str) -> None:
    """Store a verdict; if the file cannot be written, every process repeats the trial."""
    path, found = cache_file(), _read()
    found.setdefault(key, {})[name] = verdict
    part = path.with_name(f'{path.name}.{os.getpid()}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(found, indent=1))
        part.replace(path)
    except OSError:
        pass
