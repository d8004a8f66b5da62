"""Binary and multi-label segmentation: the loss, the threshold search, and a run on drawn data."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from mmcoat.datasets.synthetic import make_layout
from mmcoat.evaluation import ThresholdSearch
from mmcoat.models import MaskLoss
from mmcoat.models.losses.mask_loss import dice_loss, lovasz_hinge, mask_targets
from tests.helpers import ROOT, load, run_tool

pytest.importorskip('mmseg')
CONFIG = 'unet_coat_lite_s_drive_masks.py'
MULTI_LABEL = 'unet_coat_lite_s_drive_multilabel.py'


def test_targets():
    index = torch.tensor([[[0, 1], [2, 255]]])
    assert mask_targets(index, 2, 'index')[0].tolist() == [[[0, 1], [0, 0]], [[0, 0], [1, 0]]]
    bits = torch.tensor([[[0, 3], [2, 1]]], dtype=torch.uint8)
    assert mask_targets(bits, 2, 'bits')[0].tolist() == [[[0, 1], [0, 1]], [[0, 1], [1, 0]]]
    soft = torch.tensor([[[0, 127], [254, 255]]])
    assert mask_targets(soft, 1, 'soft')[0, 0].tolist() == [[0, 0.5], [1, 1]]
    with pytest.raises(ValueError, match='holds one mask'):
        mask_targets(soft, 2, 'soft')
    with pytest.raises(ValueError, match='up to 8'):
        mask_targets(bits, 9, 'bits')


def test_lovasz_is_mmsegmentations():
    from mmseg.models.losses.lovasz_loss import lovasz_hinge as theirs

    torch.manual_seed(0)
    scores, label = torch.randn(2, 1, 9, 7), torch.randint(0, 2, (2, 9, 7))
    ours = MaskLoss(bce=0, dice=0, lovasz=1)(scores, label)
    torch.testing.assert_close(ours, theirs(scores[:, 0], label))
    two = torch.cat([scores, -scores], dim=1).transpose(0, 1).flatten(1)
    targets = torch.stack([label.flatten().float()] * 2)
    both = lovasz_hinge(two, targets)
    torch.testing.assert_close(
        both, (theirs(scores[:, 0], label) + theirs(-scores[:, 0], label)) / 2
    )


def test_sum_ignores_and_softness():
    torch.manual_seed(0)
    scores = torch.randn(1, 1, 4, 4, requires_grad=True)
    label = torch.randint(0, 254, (1, 4, 4))
    label[0, 0] = 255
    flat, target = scores[0, 0, 1:].flatten(), label[0, 1:].flatten() / 254
    expected = F.binary_cross_entropy_with_logits(flat, target)
    expected = expected + 2 * dice_loss(flat.sigmoid()[None], target[None])
    loss = MaskLoss(labels='soft', bce=1, dice=2)(scores, label, ignore_index=255)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert (scores.grad[0, 0, 0] == 0).all() and (scores.grad[0, 0, 1:] != 0).all()
    nothing = MaskLoss()(scores, torch.full((1, 4, 4), 255))
    assert nothing == 0 and nothing.requires_grad


def test_perfect_dice_is_zero():
    mask = torch.tensor([[1.0, 0, 1, 1]])
    assert dice_loss(mask, mask) == 0
    assert dice_loss(1 - mask, mask) == pytest.approx(1 - 1 / 5)
    assert dice_loss(torch.zeros(1, 4), torch.zeros(1, 4)) == 0


@pytest.mark.parametrize('wrong', [dict(labels='words'), dict(bce=-1.0), dict(bce=0, dice=0)])
def test_errors(wrong):
    with pytest.raises(ValueError, match='got'):
        MaskLoss(**wrong)
    with pytest.raises(ValueError, match='leave the sampler out'):
        MaskLoss()(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2), weight=torch.ones(1, 2, 2))


def test_threshold_search_is_brute_force():
    """Two overlapping masks over two images, a pixel that does not count."""
    torch.manual_seed(0)
    metric, truths, chances = ThresholdSearch(labels='bits'), [], []
    for _ in range(2):
        label = torch.randint(0, 4, (1, 6, 5))
        scores = torch.randn(2, 6, 5) + (mask_targets(label, 2, 'bits')[0] * 2)
        label[0, 0, 0] = 255
        sample = dict(gt_sem_seg=dict(data=label), seg_logits=dict(data=scores))
        metric.process(None, [sample])
        truths.append(mask_targets(label, 2, 'bits')[0].flatten(1)[:, 1:])
        chances.append(scores.sigmoid().flatten(1)[:, 1:])
    truth, chance = torch.cat(truths, 1).numpy() > 0.5, torch.cat(chances, 1).numpy()
    found = metric.compute_metrics(metric.results)
    dice = np.array([
        [2 * (t & (c >= k / 200)).sum() / (t.sum() + (c >= k / 200).sum()) for k in range(201)]
        for t, c in zip(truth, chance, strict=True)
    ])  # fmt: skip
    assert found['dice'] == pytest.approx(100 * dice.max(1).mean())
    assert found['dice_at_half'] == pytest.approx(100 * dice[:, 100].mean())
    for mask in range(2):
        k = round(found[f'threshold_{mask}'] * 200)
        assert dice[mask, k] == pytest.approx(dice[mask].max())
    assert found['dice'] > found['dice_at_half']


def small_config(tmp_path, name: str, layout: str):
    """Write a small form of a config, and draw its data; return its path, and arguments of the tools."""
    root = tmp_path / layout
    make_layout(root, layout, train=4, val=2, size=(80, 64), seed=1)
    small = tmp_path / 'small.py'
    small.write_text(f"""
_base_ = {str(ROOT / 'configs' / name)!r}
data_root = {str(root)!r}
crop_size = (64, 64)
model = dict(
    backbone=dict(arch='lite_tiny', init_cfg=None),
    decode_head=dict(in_channels=[64, 128, 256, 320]),
)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2), visualization=None)
""")
    scales = [f'{n}_dataloader.dataset.pipeline.1.scale=(160,64)' for n in ('val', 'test')]
    scales += ['train_dataloader.dataset.pipeline.2.scale=(160,64)']
    return small, ['--work-dir', tmp_path, '--cfg-options', *scales]


def test_config_trains_and_finds_a_threshold(monkeypatch, tmp_path):
    small, arguments = small_config(tmp_path, CONFIG, 'drive')
    assert run_tool(monkeypatch, 'train', small, *arguments) == 0
    assert list(tmp_path.glob('best_mask_dice*.pth'))
    test = [small, tmp_path / 'iter_2.pth', *arguments, 'model.decode_head.threshold=0.4']
    assert run_tool(monkeypatch, 'test', *test) == 0


def test_multi_label_config_trains_and_finds_a_threshold_for_each_mask(monkeypatch, tmp_path):
    """Through the tools, on drawn label maps in which the two masks overlap."""
    small, arguments = small_config(tmp_path, MULTI_LABEL, 'drive_multilabel')
    maps = sorted((tmp_path / 'drive_multilabel/annotations').rglob('*.png'))
    values = {int(v) for path in maps for v in np.unique(np.asarray(Image.open(path)))}
    assert {1, 3} <= values <= {0, 1, 2, 3}
    assert run_tool(monkeypatch, 'train', small, *arguments) == 0
    assert list(tmp_path.glob('best_mask_dice*.pth'))
    assert run_tool(monkeypatch, 'test', small, tmp_path / 'iter_2.pth', *arguments) == 0
    logs = ''.join(path.read_text() for path in tmp_path.rglob('*.log'))
    for mask in (0, 1):
        assert f'mask {mask}: Dice' in logs and f'mask/threshold_{mask}' in logs
    losses = re.findall(r'decode.loss_mask: ([\d.]+)', logs)
    assert all(float(loss) > 0 for loss in losses)


def test_check_of_the_data_knows_that_bits_are_combinations(monkeypatch, tmp_path, capsys):
    small, _ = small_config(tmp_path, MULTI_LABEL, 'drive_multilabel')
    three = 'model.decode_head.num_classes=3'
    check = ('check_dataset', small, '--splits', 'train')
    assert run_tool(monkeypatch, *check) == 0
    assert 'num_classes' not in capsys.readouterr().out  # two masks, four values
    run_tool(monkeypatch, *check, '--cfg-options', three)
    assert 'num_classes 8' in capsys.readouterr().out
    path = next((tmp_path / 'drive_multilabel/annotations/training').glob('*.png'))
    Image.fromarray(np.full((64, 80), 4, np.uint8)).save(path)
    assert run_tool(monkeypatch, *check) != 0


def test_multi_label_model_learns():
    """Two masks that overlap, as bits of the label map."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    model_cfg = load(MULTI_LABEL).model
    init_default_scope('mmseg')
    model_cfg.backbone.update(arch='lite_tiny', init_cfg=None)
    model_cfg.decode_head.update(in_channels=[64, 128, 256, 320], norm_cfg=dict(type='BN'))
    torch.manual_seed(0)
    model = MODELS.build(model_cfg)
    sample = SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64)))
    label = torch.zeros(1, 64, 64, dtype=torch.long)
    label[:, :40] += 1
    label[:, 20:] += 2
    sample.gt_sem_seg = PixelData(data=label)
    image = torch.randn(2, 3, 64, 64)
    optimizer, values = torch.optim.AdamW(model.parameters(), 1e-3), []
    for _ in range(4):
        loss = model.loss(image, [sample, sample])['decode.loss_mask']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]
