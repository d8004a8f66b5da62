"""Figures and files of a whole look, from images after the toolboxes' pipelines, and the tool."""

import re

import cv2
import numpy as np
import pytest
import torch

from mmcoat.apis import models as apis_models
from mmcoat.errors import UsageError
from mmcoat.visualization.look import KINDS, Wish, look
from mmcoat.visualization.subject import prepare
from tests.helpers import load, run_tool

pytest.importorskip('mmseg')
SIZE = (120, 90)  # width and height of the photo


def tiny():
    """A real config with a small full CoaT and small test images."""
    cfg = load('fpn_coat_lite_t_ade20k.py')
    cfg.model.backbone.update(
        init_cfg=None,
        arch=dict(
            embed_dims=[16, 24, 24, 24],
            serial_depths=[1, 1, 1, 1],
            mlp_ratios=[2, 2, 2, 2],
            num_heads=8,
            parallel_depth=2,
            parallel_stages=[1, 2, 3],
        ),
    )
    cfg.model.neck.in_channels = [16, 24, 24, 24]
    for step in cfg.test_dataloader.dataset.pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (256, 60)
    return cfg


@pytest.fixture(scope='module')
def photo():
    smooth = np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(smooth, SIZE)


@pytest.fixture(scope='module')
def subject(photo):
    cfg = tiny()
    torch.manual_seed(0)
    model, meta = apis_models.build(cfg, None)
    steps = apis_models.pipeline(cfg)
    return model, prepare(model, steps, photo), meta['classes'], steps


def test_the_view_is_what_the_network_gets(subject, photo):
    _, view, *_ = subject
    assert view.image.shape == (60, 80, 3)
    assert view.inputs.shape == (1, 3, 64, 96)
    expected = cv2.resize(photo, (80, 60))[..., ::-1]
    np.testing.assert_array_equal(view.image, expected)
    assert view.size == SIZE
    assert view.locate((0, 0)) == (0, 0)
    assert view.locate((119, 89)) == (79, 59)
    x, y = view.locate((60, 30))
    assert abs(x - 60 * 80 / 120) <= 1
    assert abs(y - 30 * 60 / 90) <= 1
    with pytest.raises(UsageError, match='pixel must be x,y from 0,0 to 119,89 in this image'):
        view.locate((120, 0))


class Crop:
    """A transform that keeps the middle, mirrored."""

    def __call__(self, item):
        image = item['img']
        return {**item, 'img': image[20:70, 30:90][:, ::-1], 'img_shape': (50, 60)}


def test_pixels_are_found_through_any_transform(subject, photo):
    model, *_, steps = subject
    view = prepare(model, [Crop(), steps[-1]], photo)
    assert view.image.shape == (50, 60, 3)
    for pixel in ((30, 20), (89, 69), (50, 33)):
        x, y = view.locate(pixel)
        assert (x, y) == (89 - pixel[0], pixel[1] - 20)
        np.testing.assert_array_equal(view.image[y, x], photo[pixel[1], pixel[0]][::-1])
    with pytest.raises(UsageError, match='pixel 0,0 is outside of what the test pipeline keeps'):
        view.locate((0, 0))


@pytest.mark.parametrize('kind', KINDS)
def test_looks(subject, kind, tmp_path):
    model, view, classes, _ = subject
    wish = Wish(stage=1, block='p0', pixel=(100, 80), class_name='sky', classes=classes)
    seen = look(model, view, kind, wish)
    paths = seen.save(tmp_path, 'photo', arrays=True)
    assert [path.name for path in paths] == [f'photo_{kind}.png', f'photo_{kind}.npz']
    picture = cv2.imread(str(paths[0]))
    assert picture.std() > 10
    arrays = np.load(paths[1])
    np.testing.assert_array_equal(arrays['view'], view.image)
    expected = {
        'attention': dict(image=(8, 8, 12), class_token=(8,), filters=(8, 3, 7, 7), query=(2,)),
        'class-token': dict(image=(8, 8, 12), class_token=(8,)),
        'gradcam': dict(heat=(8, 12), class_index=(), score=()),
        'features': dict(stage1_colours=(8, 12, 3), stage1_map=(24, 8, 12)),
        'exchange': dict(shares=(2, 3, 3), norms_stage1=(2, 3, 8, 12), norms_stage3=(2, 3, 2, 3)),
    }[kind]
    for name, shape in expected.items():
        assert arrays[name].shape == shape, name
    if kind == 'attention':
        assert arrays['query'].tolist() == [6, 8]  # 80 * 60 / 90 / 8 and 100 * 80 / 120 / 8


def test_words_for_what_is_missing(subject):
    model, view, classes, _ = subject
    for kind, wish, message in [
        ('nonsense', Wish(), 'what to look at must be one of attention, class-token, gradcam'),
        ('gradcam', Wish(class_name='skyy', classes=classes), "class 'skyy' is unknown; .* wall, "),
        ('gradcam', Wish(class_name='sky'), 'known by number only'),
        ('gradcam', Wish(class_name='150'), 'class must be from 0 to 149'),
        ('exchange', Wish(block='0'), 'scales exchange in the blocks p0, p1, not in 0'),
        ('attention', Wish(stage=4), 'stage must be one of 0, 1, 2, 3'),
    ]:
        with pytest.raises(UsageError, match=message):
            look(model, view, kind, wish)


def test_tool(monkeypatch, tmp_path, photo, capsys):
    cfg = tiny()
    torch.manual_seed(0)
    model, _ = apis_models.build(cfg, None)
    torch.save(dict(state_dict=model.state_dict(), meta=dict()), tmp_path / 'a.pth')
    cfg.dump(tmp_path / 'mine.py')
    cv2.imwrite(str(tmp_path / 'photo.png'), photo)
    out = tmp_path / 'out'
    files = [tmp_path / 'mine.py', tmp_path / 'a.pth', tmp_path / 'photo.png']
    arguments = ['visualize', *files, '--out-dir', out, '--device', 'cpu']
    status = run_tool(
        monkeypatch, *arguments, '--what', 'attention,gradcam', '--pixel', '10,20', '--arrays'
    )
    assert status == 0
    assert sorted(path.name for path in out.iterdir()) == [
        f'photo_{kind}.{suffix}' for kind in ('attention', 'gradcam') for suffix in ('npz', 'png')
    ]
    assert len(capsys.readouterr().out.splitlines()) >= 4
    for wrong, message in [
        (['--pixel', '10'], '--pixel takes X,Y in whole pixels'),
        (['--pixel=-1,5'], 'pixel must be x,y from 0,0 to 119,89 in this image, got -1,5'),
        (['--what', 'attention,all'], "one of attention, .*, got 'all'"),
        (['--block', 'p2'], 'block of stage 3 must be one of 0, p0, p1, got p2'),
        (['--what', 'gradcam', '--class', 'skyy'], "class 'skyy' is unknown"),
    ]:
        assert run_tool(monkeypatch, *arguments, *wrong) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert re.search(message, error), error
