"""The plain operations equal the reference in value and gradient, and keep less for backward."""

import importlib
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmcoat import CoaT
from mmcoat.ops import common, plain, processor, reference
from tests.helpers import Operators

# the name in the package is the function
conv_attention = importlib.import_module('mmcoat.ops.plain.conv_attention')
linear_add = importlib.import_module('mmcoat.ops.plain.linear_add')
norm_mlp = importlib.import_module('mmcoat.ops.plain.norm_mlp')
HEADS = 8
WIDTHS = (8, 16, 19, 27, 32, 40, 64)  # of a head, over all archs
EPS = 1e-6


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def filters(channels: int, dtype: torch.dtype = torch.float64) -> tuple[list, list]:
    sizes = [(3, 2), (5, 3), (7, 3)]
    parts = [(heads * channels // HEADS, window) for window, heads in sizes]
    return (
        [random(width, 1, window, window, dtype=dtype) for width, window in parts],
        [random(width, dtype=dtype) for width, _ in parts],
    )


def call(module: ModuleType, function: str, *args):
    """Call a function of a form; filters are packed as that form wants them."""
    if function == 'conv_attention':
        qkv_cls, qkv, weights, biases, num_heads, scale = args
        packed = module.pack_filters(weights, biases, num_heads)
        args = qkv_cls, qkv, packed, num_heads, scale
    return getattr(module, function)(*args)


def compare(function: str, tensors: list[Tensor], *args, rtol: float = 1e-9) -> None:
    """Compare values and all gradients; ``args`` use ``tensors``."""
    results = []
    for module in (reference, plain):
        out = call(module, function, *args)
        out = out if isinstance(out, tuple | list) else (out,)
        out = [torch.stack(o, -2) if isinstance(o, tuple) else o for o in out]  # q, k and v
        weights = [torch.linspace(-1, 1, o.numel(), dtype=o.dtype).view_as(o) for o in out]
        loss = sum((o * w).sum() for o, w in zip(out, weights, strict=True))
        results.append([*out, *torch.autograd.grad(loss, tensors)])
        with torch.no_grad():  # the path of inference
            silent = call(module, function, *args)
            silent = silent if isinstance(silent, tuple | list) else (silent,)
            silent = [torch.stack(o, -2) if isinstance(o, tuple) else o for o in silent]
        torch.testing.assert_close(list(silent), list(out), rtol=rtol, atol=rtol)
    torch.testing.assert_close(results[1], results[0], rtol=rtol, atol=rtol)


@pytest.fixture(params=['few tokens', 'many tokens'])
def both_ways(request, monkeypatch):
    """Maps of a test are small, so what runs for few tokens; the second time what runs for many."""
    if request.param == 'many tokens':
        monkeypatch.setattr(common, 'JOINED_ROWS', 0)
        monkeypatch.setattr(conv_attention, '_ONE_BANK', 0)
        monkeypatch.setattr(conv_attention, '_GRAD_AS_FILTER', 0)


@pytest.fixture(params=['this processor', 'without AVX-512'])
def any_processor(request, monkeypatch):
    """Linear layers as this processor runs them, and as those run them that lack AVX-512."""
    if request.param == 'without AVX-512':
        monkeypatch.setattr(processor, 'HAS_AVX512', False)


@pytest.mark.usefixtures('both_ways')
@pytest.mark.parametrize('width', WIDTHS)
@pytest.mark.parametrize('size', [(1, 5, 7), (2, 6, 3), (1, 9, 10), (1, 40, 2)])
def test_conv_attention(width, size):
    channels = HEADS * width
    qkv_cls, qkv = random(size[0], 1, 3, channels), random(*size, 3, channels)
    weights, biases = filters(channels)
    tensors = [qkv_cls, qkv, *weights, *biases]
    compare('conv_attention', tensors, qkv_cls, qkv, weights, biases, HEADS, width**-0.5)


@pytest.mark.usefixtures('both_ways')
@pytest.mark.parametrize('shift', [0, 60, -60, 200, -200])
def test_keys_far_from_zero(shift):
    """In float32, where the maximum is computed only if the sums require it."""
    f32 = dict(dtype=torch.float32)
    qkv_cls, qkv = random(2, 1, 3, 32, **f32), random(2, 5, 4, 3, 32, **f32)
    for tensor in (qkv_cls, qkv):
        tensor.data[..., 1, :] += shift
    weights, biases = filters(32, **f32)
    tensors = [qkv_cls, qkv, *weights, *biases]
    compare('conv_attention', tensors, qkv_cls, qkv, weights, biases, HEADS, 0.5, rtol=1e-3)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('width', [8, 40])
def test_conv_attention_in_low_precision(dtype, width):
    """Against the reference in float64: at most twice the error of the reference in the same precision."""
    channels = HEADS * width
    tensors = [random(2, 1, 3, channels), random(2, 9, 8, 3, channels)]
    weights, biases = filters(channels)
    exact = call(reference, 'conv_attention', *tensors, weights, biases, HEADS, 0.3)
    low = [t.to(dtype) for t in tensors]
    low_filters = [[t.to(dtype) for t in group] for group in (weights, biases)]
    for i in range(2):
        worst = [
            (call(module, 'conv_attention', *low, *low_filters, HEADS, 0.3)[i] - exact[i])
            .abs()
            .max()
            for module in (reference, plain)
        ]
        assert worst[1] <= 2 * worst[0]


@pytest.mark.usefixtures('both_ways')
@pytest.mark.parametrize('shape', [(1, 5, 7, 24), (2, 40, 40, 24)])
def test_norm_qkv(shape):
    """Few tokens, and more than are joined with the class token; three tensors come in inference."""
    cls_token, x = random(shape[0], 1, 24), random(*shape)
    gamma, beta, weight, bias = random(24), random(24), random(72, 24), random(72)
    tensors = [cls_token, x, gamma, beta, weight, bias]
    compare('norm_qkv', tensors, (cls_token, x), gamma, beta, EPS, weight, bias)


def draw_factor(drops: bool, batch: int, dtype: torch.dtype = torch.float64) -> Tensor | None:
    """One sample's branch is dropped, the others' are enlarged."""
    return torch.tensor([2.5, 0.0, 1.25][:batch], dtype=dtype) if drops else None


@pytest.mark.usefixtures('both_ways')
@pytest.mark.parametrize(('residual', 'drops'), [(False, False), (True, False), (True, True)])
def test_linear_add(residual, drops):
    tokens, weight, bias = (random(2, 1, 24), random(2, 5, 7, 24)), random(16, 24), random(16)
    skips = (random(2, 1, 16), random(2, 5, 7, 16)) if residual else None
    tensors = [*tokens, weight, bias, *(skips or [])]
    compare('linear_add', tensors, tokens, weight, bias, skips, draw_factor(drops, 2))


@pytest.mark.usefixtures('both_ways')
@pytest.mark.parametrize('drops', [False, True])
def test_norm_mlp(drops):
    tokens, gamma, beta = (random(3, 1, 24), random(3, 5, 7, 24)), random(24), random(24)
    weights, biases = (random(96, 24), random(24, 96)), (random(96), random(24))
    tensors = [*tokens, gamma, beta, *weights, *biases]
    factor = draw_factor(drops, 3)
    compare('norm_mlp', tensors, tokens, gamma, beta, EPS, weights, biases, factor)


@pytest.mark.usefixtures('any_processor')
@pytest.mark.parametrize('drops', [False, True])
@pytest.mark.parametrize(('dtype', 'rtol'), [(torch.float64, 1e-9), (torch.float32, 2e-3)])
def test_norm_mlp_in_chunks(monkeypatch, dtype, rtol, drops):
    """They begin within a sample, and the last is not full. In float32 each form is 1e-3 from float64."""
    monkeypatch.setattr(common, 'JOINED_ROWS', 0)
    monkeypatch.setattr(norm_mlp, '_CHUNK_VALUES', 1)  # the smallest chunks: 256 tokens
    x, gamma, beta = (random(*shape, dtype=dtype) for shape in ((2, 47, 7, 24), (24,), (24,)))
    weights = random(96, 24, dtype=dtype), random(24, 96, dtype=dtype)
    biases = random(96, dtype=dtype), random(24, dtype=dtype)
    chunks = norm_mlp._chunks(x.view(-1, 24), 96, dtype)
    assert [len(range(658)[chunk]) for chunk in chunks] == [220, 220, 218]
    tensors = [x, gamma, beta, *weights, *biases]
    for tensor in weights:
        tensor.data *= 0.2
    factor = draw_factor(drops, 2, dtype=dtype)
    compare('norm_mlp', tensors, (x,), gamma, beta, EPS, weights, biases, factor, rtol=rtol)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('pack', [False, True])
def test_linear_layers_without_avx512(monkeypatch, dtype, pack):
    """oneDNN's operator is not called, which refuses bfloat16 there; results are no further from float64."""
    monkeypatch.setattr(processor, 'HAS_AVX512', False)
    shapes = (3, 40, 24), (96, 24), (96,), (3, 40, 96)
    tensors = [torch.randn(*shape, dtype=torch.float64).to(dtype) for shape in shapes]
    x, weight, bias, residual = tensors
    exact, rounded = (
        (out, F.gelu(out), out + skip)
        for out, skip in (
            (F.linear(x.double(), weight.double(), bias.double()), residual.double()),
            (F.linear(x, weight, bias), residual),
        )
    )
    weight = linear_add.packed(weight) if pack else weight
    assert not weight.is_mkldnn
    with Operators('mkldnn') as ran, torch.no_grad():
        found = (
            linear_add.linear(x, weight, bias),
            linear_add.linear_gelu(x, weight, bias),
            linear_add.linear(x, weight, bias, residual),
        )
    assert not [name for name in ran.names if name.startswith('_linear')]
    for ours, torchs, right in zip(found, rounded, exact, strict=True):
        assert ours.dtype == dtype
        assert (ours.double() - right).norm() <= 1.1 * (torchs.double() - right).norm()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_conv_pos_enc(dtype):
    tensors = [
        random(2, 5, 7, 24, dtype=dtype),
        random(24, 1, 3, 3, dtype=dtype),
        random(24, dtype=dtype),
    ]
    compare('conv_pos_enc', tensors, *tensors, rtol=1e-9 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize('drops', [False, True])
def test_scale_exchange(drops):
    maps = [random(2, *size, 8) for size in ((9, 11), (4, 5), (2, 2))]
    residuals = [random(*x.shape) for x in maps]
    factors = [draw_factor(drops, 2) if i != 1 else None for i in range(3)]
    compare('scale_exchange', maps + residuals, maps, residuals, factors)


# ---------------------------------------------------------------------- the whole backbone


def backbone_results(model: CoaT, backend: str, x: Tensor) -> list[Tensor]:
    model.set_backend(backend).zero_grad()
    out = model(x)
    sum((o * o).mean() for o in out).backward()
    return [*out, *(p.grad for p in model.parameters() if p.grad is not None)]


@pytest.mark.usefixtures('both_ways')
@pytest.mark.parametrize('arch', ['lite_tiny', 'tiny'])
@pytest.mark.parametrize('arguments', [{}, dict(with_cp=True), dict(frozen_stages=2)])
def test_gradients_of_the_backbone(arch, arguments):
    model = CoaT(arch, **arguments).double()
    x = torch.randn(2, 3, 75, 66, dtype=torch.float64)
    results = [backbone_results(model, name, x) for name in ('reference', 'plain')]
    assert len(results[0]) == len(results[1])
    torch.testing.assert_close(results[1], results[0], rtol=1e-7, atol=1e-9)


@pytest.mark.usefixtures('both_ways', 'any_processor')
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_trains(dtype):
    """Gradients under autocast have the direction of those in float32."""
    model = CoaT('lite_tiny')
    x = torch.randn(2, 3, 64, 64)
    exact = backbone_results(model, 'plain', x)
    with torch.autocast('cpu', dtype):
        low = backbone_results(model, 'plain', x)
        named = backbone_results(model, 'reference', x)
    flat = [torch.cat([t.float().flatten() for t in r[4:]]) for r in (exact, low, named)]
    near = [torch.cosine_similarity(flat[0], flat[i], dim=0) for i in (1, 2)]
    assert near[0] > 0.99
    assert near[0] > near[1] - 0.005  # no worse than the reference under autocast


def saved_bytes(model: CoaT, backend: str, x: Tensor) -> int:
    """Return the bytes that autograd keeps for backward, each storage once, without parameters."""
    model.set_backend(backend)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(x)
    return sum(kept.values())


@pytest.mark.parametrize('arch', ['lite_small', 'tiny'])
@pytest.mark.parametrize('chunks', [False, True])
def test_keeps_for_backward_only_what_it_must(monkeypatch, arch, chunks):
    """Per block x, x', qkv, o and x_mid, 7 passes over the activation, and the MLP's hidden values.

    Of many tokens, worked on in chunks, the hidden values are computed again.
    """
    monkeypatch.setattr(common, 'JOINED_ROWS', 0)  # as if the maps were large
    monkeypatch.setattr(norm_mlp, '_CHUNK_VALUES', 1 if chunks else 2**40)
    model, x = CoaT(arch), torch.randn(1, 3, 128, 128)
    settings, expected = model.arch_settings, 0
    for i, depth in enumerate(settings['serial_depths']):
        depth += settings['parallel_depth'] if i in settings['parallel_stages'] else 0
        tokens = (128 // 2 ** (i + 2)) ** 2
        hidden = 0 if chunks and tokens >= 512 else settings['mlp_ratios'][i]
        passes = depth * (7 + hidden) + 2  # 2: convolution and norm of the patches
        expected += 4 * passes * tokens * settings['embed_dims'][i]
    kept = saved_bytes(model, 'plain', x)
    assert 0.9 * expected < kept < 1.2 * expected
    assert kept < 0.6 * saved_bytes(model, 'reference', x)
