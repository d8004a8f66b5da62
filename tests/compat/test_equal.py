"""Our operators against MMCV's compiled ones, in values and gradients."""

import importlib
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

pytest.importorskip('mmcv')
from mmcoat.compat import OPERATORS, Extension
from mmcoat.compat.extension import _is_there

pytestmark = pytest.mark.skipif(
    not _is_there() or isinstance(sys.modules.get('mmcv._ext'), Extension),
    reason='MMCV has no compiled operators here',
)
FILES = (
    'nms',
    'roi_align',
    'deform_conv',
    'modulated_deform_conv',
    'multi_scale_deform_attn',
    'focal_loss',
)


class Ours:
    """Our operators under the names that MMCV's files use; any other name is an AttributeError."""

    def __init__(self) -> None:
        self.__dict__.update(OPERATORS)


@pytest.fixture
def ours(monkeypatch) -> Callable:
    """Return a function that calls another with the compiled operators, then with ours."""
    for name in ('nms', 'roi_align'):
        module = importlib.import_module(f'mmcoat.compat.{name}')
        monkeypatch.setattr(module, 'torchvision_ops', lambda device: None)

    def both(function, *inputs):
        """Return what a function gives with the compiled operators and with ours."""
        compiled = function(*inputs)
        with monkeypatch.context() as patch:
            for name in FILES:
                patch.setattr(importlib.import_module(f'mmcv.ops.{name}'), 'ext_module', Ours())
            own = function(*inputs)
        return compiled, own

    return both


def values_and_gradients(operator, *tensors: Tensor, seed: int = 0) -> list[Tensor]:
    """Return an operator's output and the gradients of those tensors that are of floats."""
    leaves = [t.clone().requires_grad_(t.is_floating_point()) for t in tensors]
    output = operator(*leaves)
    generator = torch.Generator().manual_seed(seed)
    output.backward(torch.randn(output.shape, generator=generator).to(output))
    return [output.detach(), *(leaf.grad for leaf in leaves if leaf.requires_grad)]


def assert_close(compiled, own) -> None:
    for first, second in zip(compiled, own, strict=True):
        if first is None or second is None:
            assert first is second
            continue
        assert first.dtype == second.dtype
        torch.testing.assert_close(second, first, rtol=1e-5, atol=1e-5)


def random_boxes(count: int, extent: float = 60.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * extent
    return torch.cat([corner, corner + torch.rand(count, 2, generator=generator) * extent / 2], 1)


# ---------------------------------------------------------------------- nms


@pytest.mark.parametrize('count', [0, 1, 7, 511, 512, 513, 1500])
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.7])
def test_nms(ours, count, offset, threshold):
    from mmcv.ops import nms

    boxes, scores = random_boxes(count), torch.rand(count)
    boxes[count // 2 :] = boxes[: count - count // 2].clone()  # doubles overlap wholly
    for first, second in zip(*ours(nms, boxes, scores, threshold, offset), strict=True):
        assert torch.equal(first, second)


def test_nms_of_a_chain(ours):
    """Each box suppresses the next only: greedy suppression keeps every other one."""
    from mmcv.ops import nms

    start = torch.arange(0, 1200, dtype=torch.float32)[:, None] * 4
    boxes = torch.cat([start, start * 0, start + 10, start * 0 + 10], 1)
    scores = torch.linspace(1, 0.1, len(boxes))
    (_, compiled), (_, own) = ours(nms, boxes, scores, 0.4)
    assert own.tolist() == compiled.tolist() == list(range(0, 1200, 2))


def test_nms_of_equal_scores_and_empty_boxes(ours):
    from mmcv.ops import nms

    boxes = random_boxes(300)
    boxes[::3, 2:] = boxes[::3, :2]  # without area
    scores = torch.randint(0, 4, (300,)) / 4
    (_, compiled), (_, own) = ours(nms, boxes, scores, 0.5)
    assert torch.equal(compiled, own)


@pytest.mark.parametrize('settings', [{}, {'split_thr': 100}, {'class_agnostic': True}])
@pytest.mark.parametrize('kind', ['nms', 'soft_nms'])
def test_batched_nms(ours, settings, kind):
    from mmcv.ops import batched_nms

    boxes, scores, classes = random_boxes(400), torch.rand(400), torch.randint(0, 5, (400,))
    config = dict(type=kind, iou_threshold=0.5, **settings)
    compiled, own = ours(batched_nms, boxes, scores, classes, config)
    assert torch.equal(compiled[1], own[1])
    torch.testing.assert_close(compiled[0], own[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize(
    'count, min_score, offset', [(0, 0.1, 0), (1, 2.0, 0), (90, 0.2, 1), (200, 1e-3, 0)]
)
def test_soft_nms(ours, method, count, min_score, offset):
    from mmcv.ops import soft_nms

    arguments = (random_boxes(count), torch.rand(count), 0.3, 0.5, min_score, method, offset)
    compiled, own = ours(soft_nms, *arguments)
    assert torch.equal(compiled[1], own[1])
    torch.testing.assert_close(compiled[0], own[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('min_score', [1e-3, 0.3])
def test_soft_nms_of_equal_scores(ours, method, min_score):
    from mmcv.ops import soft_nms

    for seed in range(20):
        scores = torch.randint(1, 30, (80,)) / 30
        arguments = (random_boxes(80, seed=seed), scores, 0.3, 0.5, min_score, method, 0)
        compiled, own = ours(soft_nms, *arguments)
        assert torch.equal(compiled[1], own[1])


# ---------------------------------------------------------------------- RoI align


def rois(count: int, batch: int) -> Tensor:
    """Return boxes: small, large, beyond the border, without area."""
    boxes = random_boxes(count, 80.0, seed=1) - 10
    boxes[::5, 2:] = boxes[::5, :2]
    boxes[1::5] = torch.tensor([-40.0, -30.0, 300.0, 200.0])
    return torch.cat([torch.arange(count)[:, None] % batch, boxes], 1)


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 1, 2, 3])
@pytest.mark.parametrize('size', [(7, 7), (14, 3), (1, 1)])
def test_roi_align(ours, mode, aligned, ratio, size):
    from mmcv.ops import roi_align

    torch.manual_seed(0)
    maps, boxes = torch.randn(2, 5, 23, 17), rois(23, 2)

    def run(maps):
        return roi_align(maps, boxes, size, 0.3, ratio, mode, aligned)

    compiled, own = ours(values_and_gradients, run, maps)
    assert_close(compiled, own)


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('count, height, width', [(0, 9, 9), (3, 1, 1), (1, 1, 40), (400, 33, 65)])
def test_roi_align_of_odd_maps(ours, mode, count, height, width):
    from mmcv.ops import roi_align

    maps, boxes = torch.randn(3, 4, height, width), rois(count, 3)

    def run(maps):
        return roi_align(maps, boxes, 7, 1 / 16, 0, mode, True)

    assert_close(*ours(values_and_gradients, run, maps))


def test_roi_align_of_doubles_and_strided_maps(ours):
    from mmcv.ops import roi_align

    maps = torch.randn(2, 8, 12, 14, dtype=torch.double).contiguous(
        memory_format=torch.channels_last
    )
    own = ours(values_and_gradients, lambda m: roi_align(m, rois(9, 2).double(), 5, 0.2, 2), maps)[
        1
    ]
    reference = values_and_gradients(
        lambda m: roi_align(m.contiguous(), rois(9, 2).double(), 5, 0.2, 2), maps
    )
    assert_close(reference, own)


# ---------------------------------------------------------------------- deformable convolution

WINDOWS = [
    # kernel, stride, padding, dilation, groups, offset groups
    ((3, 3), 1, 1, 1, 1, 1),
    ((3, 3), 2, 1, 1, 1, 1),
    ((1, 1), 1, 0, 1, 1, 1),
    ((3, 5), (2, 1), (1, 3), (2, 1), 1, 2),
    ((3, 3), 1, 2, 2, 2, 1),
    ((2, 3), (1, 2), 1, 1, 4, 2),
]


def tensors_of(window, batch: int, modulated: bool, scale: float) -> list[Tensor]:
    kernel, stride, padding, dilation, groups, offset_groups = window
    torch.manual_seed(0)
    maps, weight = torch.randn(batch, 8, 11, 13), torch.randn(12, 8 // groups, *kernel)
    plain = torch.nn.functional.conv2d(maps, weight, None, stride, padding, dilation, groups)
    points = offset_groups * kernel[0] * kernel[1]
    offset = scale * torch.randn(batch, 2 * points, *plain.shape[2:])
    if not modulated:
        return [maps, offset, weight]
    return [maps, offset, torch.rand(batch, points, *plain.shape[2:]), weight, torch.randn(12)]


@pytest.mark.parametrize('window', WINDOWS)
@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('scale', [0.0, 2.0, 20.0])  # at whole pixels, near, far outside
def test_modulated_deform_conv(ours, window, batch, scale):
    from mmcv.ops import modulated_deform_conv2d

    tensors = tensors_of(window, batch, True, scale)

    def run(*tensors):
        return modulated_deform_conv2d(*tensors, *window[1:])

    for leaves in (tensors, tensors[:-1]):  # with bias and without
        compiled, own = ours(
            values_and_gradients, run if leaves is tensors else _unbiased(window), *leaves
        )
        assert_close(_relative(compiled), _relative(own))


def _unbiased(window):
    from mmcv.ops import modulated_deform_conv2d

    return lambda *tensors: modulated_deform_conv2d(*tensors, None, *window[1:])


def _relative(results: list[Tensor]) -> list[Tensor]:
    """Divide by the largest value: sums over hundreds of products differ by their order."""
    return [r / r.abs().max().clamp(min=1) for r in results]


@pytest.mark.parametrize('window', WINDOWS)
@pytest.mark.parametrize('scale', [0.0, 2.0])
def test_deform_conv(ours, window, scale):
    from mmcv.ops import deform_conv2d

    tensors = tensors_of(window, 2, False, scale)

    def run(*tensors):
        return deform_conv2d(*tensors, *window[1:], False, 1)

    compiled, own = ours(values_and_gradients, run, *tensors)
    assert_close(_relative(compiled), _relative(own))


@pytest.mark.parametrize('groups', [1, 2])
def test_offsets_of_a_larger_map(ours, groups):
    """DyHead hands them over: the operator takes the first numbers of each image's memory."""
    from mmcv.ops import modulated_deform_conv2d

    torch.manual_seed(0)
    tensors = [torch.randn(2, 4, 6, 5), torch.randn(2, 18 * groups, 12, 10)]
    tensors += [torch.rand(2, 9 * groups, 12, 10), torch.randn(8, 4, 3, 3)]

    def run(*tensors):
        return modulated_deform_conv2d(*tensors, None, 1, 1, 1, 1, groups)

    compiled, own = ours(values_and_gradients, run, *tensors)
    assert_close(_relative(compiled), _relative(own))


def test_strided_maps_of_modulated_deform_conv(ours):
    from mmcv.ops import modulated_deform_conv2d

    maps, offset, mask, weight, bias = tensors_of(WINDOWS[0], 2, True, 1.0)

    def run(maps):
        return modulated_deform_conv2d(maps, offset, mask, weight, bias, 1, 1)

    strided = maps.contiguous(memory_format=torch.channels_last)
    own = ours(run, strided)[1]
    torch.testing.assert_close(own, run(maps), rtol=1e-5, atol=1e-4)
