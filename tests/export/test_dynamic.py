"""Programs with dynamic sizes: every head is correct at sizes that were not traced, or is refused."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmcoat.export import ExportError, ExportOptions, export_model
from mmcoat.export.dynamic import ExactPool, ExactUpBlock, make_dynamic
from mmcoat.export.parts import Features, build_part
from mmcoat.export.torch_export import smallest_side, trace
from mmcoat.export.verify import draw_images, other_shapes
from mmcoat.models import CoaT

pytest.importorskip('mmseg')
from mmcoat.apis import models
from tests.export.common import DIMS, segmentor, weights

AXES = ('batch', 'height', 'width')
SHAPE = (2, 3, 96, 160)


class Pyramid(nn.Module):
    """Maps like CoaT's from four convolutions, which are traced quickly."""

    def __init__(self):
        super().__init__()
        ends = zip((3, *DIMS[:-1]), DIMS, (4, 2, 2, 2), strict=True)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, step, step) for a, b, step in ends)

    def forward(self, x):
        maps = []
        for conv in self.convs:
            x = conv(x)
            maps.append(x)
        return tuple(maps)


def check(part: nn.Module, traced: nn.Module) -> None:
    """Trace and compare at three other shapes, one of the smallest height and odd ones among them."""
    image = torch.randn(SHAPE)
    smallest = smallest_side(part, image)
    assert smallest == 64
    program = trace(traced, image, AXES, smallest)
    run = program.module()
    shapes = other_shapes(SHAPE, AXES, smallest)
    assert SHAPE not in shapes
    for seed, shape in enumerate(shapes):
        other = draw_images(shape, uint8=False, seed=seed)
        torch.testing.assert_close(run(other), part(other), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('kind', ['fpn', 'upernet', 'segformer', 'unet', 'daformer'])
def test_heads(kind):
    torch.manual_seed(0)
    model, _ = models.build(segmentor(kind), None)
    model.backbone = Pyramid()
    model.decode_head.conv_seg.weight.normal_()  # MMSegmentation begins with nearly equal scores
    part = build_part(model, 'segmentation', 'model')
    traced = copy.deepcopy(part)
    make_dynamic(traced)
    check(part, traced)


@torch.no_grad()
@pytest.mark.parametrize('parallel', [False, True])
def test_backbone(parallel):
    """Serial and parallel CoaT; nothing but PyTorch's own operators."""
    torch.manual_seed(0)
    arch = dict(
        embed_dims=[8, 16, 16, 16],
        serial_depths=[1, 0, 1, 1],
        mlp_ratios=[2, 2, 2, 2],
        num_heads=8,
        parallel_depth=int(parallel),
        parallel_stages=[1, 2, 3] if parallel else [],
    )
    part = Features(CoaT(arch)).eval()
    check(part, part)


@pytest.mark.parametrize('kind', ['fpn', 'segformer'])
def test_labels_of_raw_images(kind, tmp_path):
    """Preprocessing inside and labels out, written, read again, at other sizes than the traced one."""
    cfg = segmentor(kind)
    options = ExportOptions(
        format='torch-export',
        dynamic=AXES,
        output='labels',
        preprocess=True,
        shape=SHAPE[2:],
        verify=True,
    )
    path = tmp_path / 'program.pt2'
    found = export_model(cfg, weights(cfg, tmp_path / 'a.pth'), path, options)
    assert [one.shape for one in found] == other_shapes(SHAPE, AXES, 64)
    assert all(one.wrong == 0 and one.agreement > 0.999 for one in found)
    program = torch.export.load(str(path)).module()
    labels = program(draw_images((2, 3, 77, 131), uint8=True, seed=9))
    assert labels.shape == (2, 77, 131)
    assert labels.dtype == torch.int64
    assert len(labels.unique()) > 1


def test_the_part_in_pytorch_keeps_its_modules():
    model, _ = models.build(segmentor('fpn'), None)
    part = build_part(model, 'segmentation', 'model')
    traced = copy.deepcopy(part)
    make_dynamic(traced)
    names = [[type(m).__name__ for m in p.modules()] for p in (model, part, traced)]
    assert ['ExactUpsample' in found for found in names] == [False, False, True]


@pytest.mark.parametrize('bins', [(1, 1), (2, 2), (3, 3), (6, 6), (3, 5)])
def test_pooling_is_exact(bins):
    """At sizes that are no multiples, and smaller than the number of bins."""
    for size in ((1, 1), (2, 3), (5, 7), (6, 6), (13, 16), (31, 17)):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(ExactPool(bins)(x), F.adaptive_avg_pool2d(x, bins))


@pytest.mark.parametrize('upsample', ['bilinear', 'pixel_shuffle'])
def test_up_block_is_exact(upsample):
    from mmcoat.models.decode_heads.unet_head import UpBlock

    block = UpBlock(8, 4, 6, upsample, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU')).eval()
    for sizes in (((3, 4), (6, 8)), ((3, 4), (7, 9)), ((4, 4), (4, 4))):
        x, skip = torch.randn(1, 8, *sizes[0]), torch.randn(1, 4, *sizes[1])
        torch.testing.assert_close(ExactUpBlock(block)(x, skip), block(x, skip))


def test_heads_that_nobody_tested_are_refused():
    cfg = segmentor('segformer')
    cfg.model.decode_head = dict(
        type='PSPHead', in_channels=DIMS[-1], in_index=3, channels=8, num_classes=7
    )
    model, _ = models.build(cfg, None)
    with pytest.raises(ExportError, match=r'PSPHead: not known .* take --dynamic batch or none'):
        make_dynamic(build_part(model, 'segmentation', 'model'))


@pytest.mark.parametrize(
    ('module', 'message'),
    [
        (nn.AdaptiveAvgPool2d((None, 1)), 'keeps a size of the example'),
        ('mmseg', r'scale_factor 1.5 keeps sizes of the example'),
    ],
)
def test_modules_without_an_exact_form_are_refused(module, message):
    if module == 'mmseg':
        from mmseg.models.utils import Upsample

        module = Upsample(scale_factor=1.5)
    with pytest.raises(ExportError, match=message):
        make_dynamic(nn.Sequential(nn.ReLU(), nn.Sequential(module)))


def test_a_model_that_fixes_a_size_is_refused():
    class Fixed(nn.Module):
        def forward(self, x):
            return x.reshape(x.shape[0], 3, 96, x.shape[3])

    with pytest.raises(ExportError, match=r'cannot all stay open: .*take fewer axes'):
        trace(Fixed(), torch.randn(SHAPE), ('height',), 64)


def test_operators_that_need_a_library_are_refused():
    @torch.library.custom_op('mmcoat_test::twice', mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    @twice.register_fake
    def _(x):
        return torch.empty_like(x)

    class Twice(nn.Module):
        def forward(self, x):
            return twice(x)

    with pytest.raises(ExportError, match='would need operators of mmcoat_test'):
        trace(Twice(), torch.randn(1, 3, 64, 64), (), 64)
