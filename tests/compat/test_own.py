"""Operators that MMCV compiles for GPUs only, against independent forms; these run everywhere."""

import sys

import pytest
import torch
import torch.nn.functional as F

from mmcoat.compat import OPERATORS


@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (1.5, 0.6), (0.0, 0.5)])
@pytest.mark.parametrize('weighted', [True, False])
@pytest.mark.parametrize('rows', [0, 1, 13])
def test_sigmoid_focal_loss(gamma, alpha, weighted, rows):
    """Against the paper's formula in double precision and its automatic gradient."""
    torch.manual_seed(0)
    logits = (torch.randn(rows, 5) * 4).double().requires_grad_()
    target = torch.randint(0, 6, (rows,))  # 5 is no class
    weight = torch.rand(5).double() if weighted else torch.empty(0).double()
    right = F.one_hot(target, 6)[:, :5].bool()
    p = torch.where(right, logits.sigmoid(), 1 - logits.sigmoid())
    factor = torch.where(right, alpha, 1 - alpha).double()
    if weighted:
        factor = factor * torch.cat([weight, torch.ones(1).double()])[target][:, None]
    expected = -factor * (1 - p) ** gamma * p.log()
    (gradient,) = torch.autograd.grad(expected.sum(), logits)
    output, grad = torch.zeros(rows, 5).double(), torch.zeros(rows, 5).double()
    plain = logits.detach()
    OPERATORS['sigmoid_focal_loss_forward'](plain, target, weight, output, gamma=gamma, alpha=alpha)
    OPERATORS['sigmoid_focal_loss_backward'](plain, target, weight, grad, gamma=gamma, alpha=alpha)
    torch.testing.assert_close(output, expected.detach(), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(grad, gradient, rtol=1e-7, atol=1e-9)


def test_focal_loss_is_finite_at_extreme_scores():
    logits = torch.tensor([[-200.0, 200.0]])
    output, grad = torch.zeros(1, 2), torch.zeros(1, 2)
    none = torch.empty(0)
    for target in (torch.tensor([0]), torch.tensor([2])):
        for name, result in (('forward', output), ('backward', grad)):
            operator = OPERATORS[f'sigmoid_focal_loss_{name}']
            operator(logits, target, none, result, gamma=2.0, alpha=0.25)
            assert torch.isfinite(result).all()


@pytest.mark.parametrize('sizes', [[(7, 5)], [(9, 12), (5, 6), (1, 1)]])
@pytest.mark.parametrize('batch, queries', [(1, 1), (3, 11), (2, 0)])
def test_ms_deform_attn(sizes, batch, queries):
    """Against ``grid_sample``, level by level, in values and gradients."""
    torch.manual_seed(0)
    heads, dims, points = 2, 4, 3
    pixels = [height * width for height, width in sizes]
    value = torch.randn(batch, sum(pixels), heads, dims, dtype=torch.double)
    locations = torch.rand(batch, queries, heads, len(sizes), points, 2).double() * 1.6 - 0.3
    weights = torch.rand(batch, queries, heads, len(sizes), points).double()
    leaves = [t.requires_grad_() for t in (value, locations, weights)]
    expected = 0
    for i, ((height, width), part) in enumerate(zip(sizes, value.split(pixels, 1), strict=True)):
        maps = part.permute(0, 2, 3, 1).reshape(batch * heads, dims, height, width)
        grid = 2 * locations[:, :, :, i].transpose(1, 2).flatten(0, 1) - 1
        sampled = F.grid_sample(maps, grid, align_corners=False)  # (B * heads, D, Q, points)
        level = weights[:, :, :, i].transpose(1, 2).reshape(batch * heads, 1, queries, points)
        expected = expected + (sampled * level).sum(-1).view(batch, heads, dims, queries)
    expected = expected.permute(0, 3, 1, 2).reshape(batch, queries, heads * dims)
    grad = torch.randn(expected.shape).double()
    gradients = torch.autograd.grad(expected, leaves, grad)

    shapes, starts = torch.tensor(sizes), torch.tensor([0, *pixels]).cumsum(0)[:-1]
    plain = [t.detach() for t in leaves]
    inputs = (plain[0], shapes, starts, plain[1], plain[2])
    output = OPERATORS['ms_deform_attn_forward'](*inputs, im2col_step=64)
    torch.testing.assert_close(output, expected.detach())
    own = [torch.zeros_like(t) for t in plain]
    OPERATORS['ms_deform_attn_backward'](*inputs, grad, *own, im2col_step=64)
    for first, second in zip(own, gradients, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize('dtype', [torch.half, torch.bfloat16])
def test_half_precision_is_computed_in_float(dtype):
    """A mean of many values in half precision would lose digits."""
    torch.manual_seed(0)
    maps = torch.randn(1, 3, 9, 9).to(dtype)
    rois = torch.tensor([[0.0, 0.0, 0.0, 8.0, 8.0]])
    settings = dict(
        aligned_height=2,
        aligned_width=2,
        spatial_scale=1.0,
        sampling_ratio=0,
        pool_mode=1,
        aligned=True,
    )
    none, half, full = torch.empty(0), torch.zeros(1, 3, 2, 2, dtype=dtype), torch.zeros(1, 3, 2, 2)
    OPERATORS['roi_align_forward'](maps, rois.to(dtype), half, none, none, **settings)
    OPERATORS['roi_align_forward'](maps.float(), rois, full, none, none, **settings)
    assert torch.equal(half, full.to(dtype))


def test_torchvision_counts_only_where_its_operators_run(monkeypatch):
    """A successful import is no proof: with another build of torch every call fails."""
    from types import ModuleType

    from mmcoat.compat.vision import torchvision_ops

    def broken(*args):
        raise RuntimeError('operator torchvision::nms does not exist')

    fake, ops = ModuleType('torchvision'), ModuleType('torchvision.ops')
    fake.ops, ops.nms, ops.roi_align = ops, broken, broken
    monkeypatch.setitem(sys.modules, 'torchvision', fake)
    monkeypatch.setitem(sys.modules, 'torchvision.ops', ops)
    torchvision_ops.cache_clear()
    assert torchvision_ops('cpu') is None
    ops.nms = ops.roi_align = lambda *args: None
    torchvision_ops.cache_clear()
    assert torchvision_ops('cpu') is ops
    torchvision_ops.cache_clear()
