"""The inferencer against the toolboxes' own, its results, and the tool."""

import errno
import json
import os
import re
import sys
import threading

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmcoat import checkpoints, cli
from mmcoat.apis import Inferencer, TilePlan, fast
from mmcoat.apis import models as apis_models
from mmcoat.apis.label_maps import spare_memory
from mmcoat.apis.results import SegmentationResult
from mmcoat.checkpoints import CheckpointError
from mmcoat.errors import UsageError
from tests.helpers import load, run_tool

pytest.importorskip('mmseg')
SEGMENTORS = ('fpn_coat_lite_s_ade20k', 'mask2former_coat_lite_s_ade20k')


def tiny(name: str):
    """A real config with a small backbone, few queries, and small test images."""
    cfg = load(f'{name}.py')
    cfg.model.backbone.init_cfg = None
    if 'panoptic_head' in cfg.model:
        cfg.model.panoptic_head.num_queries = 20
    if 'num_queries' in cfg.model.get('decode_head', {}):
        cfg.model.decode_head.num_queries = 20
    for step in cfg.test_dataloader.dataset.pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (128, 64)
    cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline  # where MMSegmentation looks
    return cfg


def weights(cfg, path):
    """Save random weights as MMEngine does, and return the file."""
    torch.manual_seed(0)
    model, _ = apis_models.build(cfg, None)
    torch.save(dict(state_dict=model.state_dict(), meta=dict()), path)
    return path


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp('photos') / 'photo.png'
    smooth = cv2.resize(
        np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8), (120, 90)
    )
    cv2.imwrite(str(path), smooth)
    return path


@pytest.fixture(scope='module', params=SEGMENTORS)
def segmentor(request, tmp_path_factory):
    if request.param.startswith('mask2former'):
        pytest.importorskip('mmdet.models')
    cfg = tiny(request.param)
    return cfg, weights(cfg, tmp_path_factory.mktemp('weights') / 'seg.pth')


def test_equals_mmsegmentations_own(segmentor, photo):
    from mmseg.apis import inference_model

    cfg, checkpoint = segmentor
    inferencer = Inferencer(cfg, checkpoint, device='cpu', precision='fp32')
    [result] = inferencer(photo)
    inferencer.model.cfg = cfg  # where inference_model looks for the pipeline
    expected = inference_model(inferencer.model, str(photo)).pred_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(result.label_map, expected)
    assert len(inferencer.classes) == 150
    assert result.label_map.shape == (90, 120)


def test_tiles(segmentor, photo):
    """One tile equals the whole image; several tiles cover every pixel, with every head."""
    cfg, checkpoint = segmentor
    inferencer = Inferencer(cfg, checkpoint, device='cpu', precision='fp32')
    image = cv2.imread(str(photo))
    whole = inferencer._tile_scores(image).argmax(0).numpy()
    np.testing.assert_array_equal(inferencer.segment_tiles(image, 128), whole)
    seen = []
    labels = inferencer.segment_tiles(image, 64, progress=lambda *n: seen.append(n))
    assert labels.shape == (90, 120)
    assert seen[-1] == (6, 6)


def test_no_seams_on_a_smooth_scene(tmp_path):
    """Labels change no more often across the seams than elsewhere, and less than with hard edges."""
    cfg = tiny('fpn_coat_lite_s_ade20k')
    inferencer = Inferencer(cfg, weights(cfg, tmp_path / 'a.pth'), device='cpu', precision='fp32')
    image = cv2.resize(np.random.default_rng(1).integers(0, 255, (6, 8, 3), np.uint8), (448, 96))
    plan = TilePlan((96, 96), 24)
    spans = plan.spans(448, 1)
    labels = inferencer.segment_tiles(image, 96)
    changes = (labels[:, 1:] != labels[:, :-1]).mean(0)
    hard = [s.start for s in spans[1:]] + [s.stop for s in spans[:-1]]
    at_edges = np.mean([changes[edge - 1] for edge in hard])
    assert at_edges <= changes.mean() + 0.05


def test_files(segmentor, photo, tmp_path):
    inferencer = Inferencer(*segmentor, device='cpu', precision='fp32')
    [result] = inferencer([str(photo)])
    written = result.save(tmp_path, ('overlay', 'png', 'npz'))
    assert [p.name for p in written] == ['photo_overlay.png', 'photo.png', 'photo.npz']
    png = Image.open(tmp_path / 'photo.png')
    np.testing.assert_array_equal(np.asarray(png), result.label_map)
    assert png.getpalette()[:6] == inferencer.palette[:2].ravel().tolist()
    np.testing.assert_array_equal(np.load(tmp_path / 'photo.npz')['label_map'], result.label_map)
    plain, full = result.plot(0.0), result.plot(1.0)
    np.testing.assert_array_equal(plain[:90, :120], result.image)
    np.testing.assert_array_equal(full[:90, :120], inferencer.palette[result.label_map])
    assert plain.shape[1] > 120  # the legend
    with pytest.raises(UsageError, match='no COCO form'):
        result.to_coco()


def test_detection_equals_mmdetections_own(photo, tmp_path):
    pytest.importorskip('mmdet.models')
    from mmdet.apis import inference_detector
    from pycocotools import mask as coco_mask

    cfg = tiny('mask_rcnn_coat_lite_s_1x_coco')
    checkpoint = weights(cfg, tmp_path / 'det.pth')
    inferencer = Inferencer(cfg, checkpoint, device='cpu', score_thr=0.0)
    assert inferencer.precision == 'fp32'
    [result] = inferencer(photo)
    inferencer.model.cfg = cfg
    expected = inference_detector(inferencer.model, str(photo)).pred_instances
    assert len(result.scores) == len(expected) > 0
    best = np.argsort(-expected.scores.numpy(), kind='stable')
    np.testing.assert_allclose(result.boxes, expected.bboxes.numpy()[best], atol=1e-4)
    np.testing.assert_array_equal(result.masks, expected.masks.numpy()[best])
    entry = result.to_coco(7)[0]
    x, y, w, h = entry['bbox']
    np.testing.assert_allclose([x, y, x + w, y + h], result.boxes[0], rtol=1e-5)
    assert entry['image_id'] == 7
    assert entry['category_name'] == inferencer.classes[result.labels[0]]
    np.testing.assert_array_equal(coco_mask.decode(entry['segmentation']), result.masks[0])
    assert result.plot().shape == (90, 120, 3)


def test_errors(segmentor, tmp_path):
    cfg, checkpoint = segmentor
    with pytest.raises(UsageError, match='nonsense is neither'):
        Inferencer('nonsense', checkpoint)
    with pytest.raises(UsageError, match='needs a checkpoint'):
        Inferencer('fpn_coat_lite_s_ade20k')
    with pytest.raises(UsageError, match='fp16 needs a GPU'):
        Inferencer(cfg, checkpoint, device='cpu', precision='fp16')
    with pytest.raises(UsageError, match='score_thr'):
        Inferencer(cfg, checkpoint, score_thr=2)
    torch.save({'state_dict': {'a': torch.zeros(1)}}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match='does not fit'):
        Inferencer(cfg, tmp_path / 'other.pth')


@pytest.mark.parametrize(
    'entry', [e for e in checkpoints.list() if e.task != 'detectron2'], ids=lambda entry: entry.name
)
def test_published_names_have_configs(entry):
    cfg, checkpoint = apis_models.find(entry.name, None)
    assert checkpoint == entry.url
    assert cfg.model.backbone.arch == entry.arch


def test_tool(monkeypatch, tmp_path, photo, capsys):
    cfg = tiny('fpn_coat_lite_s_ade20k')
    checkpoint = weights(cfg, tmp_path / 'a.pth')
    cfg.dump(tmp_path / 'mine.py')
    folder = tmp_path / 'photos'
    folder.mkdir()
    (folder / 'good.png').write_bytes(photo.read_bytes())
    (folder / 'broken.png').write_bytes(b'no image')
    arguments = ['infer', tmp_path / 'mine.py', checkpoint, folder, '--out-dir', tmp_path / 'out']
    assert run_tool(monkeypatch, *arguments, '--save', 'overlay,png', '--device', 'cpu') == 1
    printed = capsys.readouterr()
    assert 'broken.png' in printed.err
    assert '1 of 2 inputs' in printed.out
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['good.png', 'good_overlay.png']
    assert run_tool(monkeypatch, *arguments, '--save', 'gif') == 2
    capsys.readouterr()
    assert run_tool(monkeypatch, *arguments[:4], '--out-dir', folder, '--save', 'png') == 2
    assert 'would both be' in capsys.readouterr().err
    assert (folder / 'good.png').read_bytes() == photo.read_bytes()
    assert run_tool(monkeypatch, 'infer', tmp_path / 'mine.py', checkpoint, tmp_path / 'none') == 2


def test_tool_writes_while_the_next_image_runs(monkeypatch, tmp_path, photo, capsys):
    cfg = tiny('fpn_coat_lite_s_ade20k')
    checkpoint = weights(cfg, tmp_path / 'a.pth')
    cfg.dump(tmp_path / 'mine.py')
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name in 'abcde':
        (folder / f'{name}.png').write_bytes(photo.read_bytes())
    threads, save = [], SegmentationResult.save

    def watched(self, *args):
        threads.append(threading.current_thread())
        if self.name == 'd':
            raise OSError(errno.ENOSPC, 'No space left on device')
        return save(self, *args)

    monkeypatch.setattr(SegmentationResult, 'save', watched)
    out = tmp_path / 'out'
    arguments = ['infer', tmp_path / 'mine.py', checkpoint, folder, '--out-dir', out]
    assert run_tool(monkeypatch, *arguments, '--device', 'cpu') == 2
    assert 'No space left on device' in capsys.readouterr().err
    assert threading.main_thread() not in threads
    assert {f'{name}_overlay.png' for name in 'abc'} <= {p.name for p in out.iterdir()}


def test_tool_spares_and_keeps_memory(monkeypatch, tmp_path, photo, capsys):
    cfg = tiny('fpn_coat_lite_s_ade20k')
    checkpoint = weights(cfg, tmp_path / 'a.pth')
    cfg.dump(tmp_path / 'mine.py')
    kept, sparing = [], []
    monkeypatch.setattr(cli, 'keep_memory', lambda: kept.append(True))
    monkeypatch.setattr(
        fast, 'spare_memory', lambda model: sparing.append(1) or spare_memory(model)
    )
    for out, options in (('a', []), ('b', ['--spare-memory', '--keep-memory'])):
        arguments = [tmp_path / 'mine.py', checkpoint, photo, '--out-dir', tmp_path / out]
        options = [*options, '--save', 'png', '--device', 'cpu', '--precision', 'fp32']
        assert run_tool(monkeypatch, 'infer', *arguments, *options) == 0
        assert len(kept) == (out == 'b') and len(sparing) == 'ab'.index(out) + 1
    speeds = re.findall(r'1/1 (\d+\.\d\d) images/s', ''.join(capsys.readouterr()))
    assert speeds and float(speeds[-1]) > 0  # of a single image too
    whole = Inferencer(cfg, checkpoint, device='cpu', precision='fp32', spare_memory=False)
    expected = whole(photo)[0].label_map
    for out in 'ab':
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / out / 'photo.png')), expected
        )
    assert len(sparing) == 2


def test_tool_writes_coco(monkeypatch, tmp_path, photo):
    pytest.importorskip('mmdet.models')
    cfg = tiny('mask_rcnn_coat_lite_s_1x_coco')
    checkpoint = weights(cfg, tmp_path / 'a.pth')
    cfg.dump(tmp_path / 'mine.py')
    out = tmp_path / 'out'
    arguments = ['--out-dir', out, '--save', 'coco', '--score-thr', '0', '--device', 'cpu']
    assert run_tool(monkeypatch, 'infer', tmp_path / 'mine.py', checkpoint, photo, *arguments) == 0
    entries = json.loads((out / 'results.json').read_text())
    assert {entry['image_id'] for entry in entries} == {1}
    assert json.loads((out / 'images.json').read_text()) == [dict(id=1, file_name='photo.png')]


def test_only_some_classes(segmentor, photo):
    inferencer = Inferencer(*segmentor, device='cpu', precision='fp32')
    [result] = inferencer(photo)
    values, counts = np.unique(result.label_map, return_counts=True)
    name = inferencer.classes[values[counts.argmax()]]
    kept = result.only([name])
    assert sorted({*np.unique(kept.label_map).tolist()} - {255}) == [values[counts.argmax()]]
    assert (kept.label_map != 255).sum() == counts.max()
    with pytest.raises(UsageError, match="did you mean 'building'"):
        result.only(['bulding'])


def test_large_overlays_are_drawn_smaller(segmentor, photo, monkeypatch):
    inferencer = Inferencer(*segmentor, device='cpu', precision='fp32')
    [result] = inferencer(photo)
    monkeypatch.setattr('mmcoat.apis.results.MOST_DRAWN', 90 * 120 // 4)
    assert result.plot(legend=False).shape == (45, 60, 3)


def test_detection_in_tiles(photo, tmp_path):
    """One tile is the whole image; several give boxes and masks in pixels of the image."""
    pytest.importorskip('mmdet.models')
    cfg = tiny('mask_rcnn_coat_lite_s_1x_coco')
    inferencer = Inferencer(cfg, weights(cfg, tmp_path / 'd.pth'), device='cpu', score_thr=0.0)
    [whole] = inferencer(photo)
    [one] = inferencer(photo, tiles=256)
    # the same objects, but for those that overlap so much that they are one
    assert 0 < len(one.boxes) <= len(whole.boxes)
    np.testing.assert_array_equal(one.scores[0], whole.scores[0])
    [several] = inferencer(photo, tiles=64)
    assert several.masks.shape[1:] == (90, 120)
    assert several.boxes.min() >= 0
    assert several.boxes[:, 2].max() > 64


def test_video(segmentor, tmp_path):
    writer = cv2.VideoWriter(
        str(tmp_path / 'in.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 12.0, (96, 64)
    )
    for value in range(5):
        writer.write(np.full((64, 96, 3), 40 * value, np.uint8))
    writer.release()
    inferencer = Inferencer(*segmentor, device='cpu', precision='fp32')
    seen = []
    target = tmp_path / 'out' / 'video.mp4'
    count = inferencer.video(
        tmp_path / 'in.mp4', target, batch_size=2, progress=lambda *n: seen.append(n)
    )
    assert count == 5
    assert seen[-1] == (5, 5)
    capture = cv2.VideoCapture(str(target))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.0
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert capture.read()[1].shape == (64, 96, 3)
    assert [p.name for p in target.parent.iterdir()] == ['video.mp4']
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    with pytest.raises(UsageError, match=r'broken.mp4 is damaged'):
        inferencer.video(tmp_path / 'broken.mp4', target)


def test_hub_round_trip(segmentor, photo, tmp_path):
    pytest.importorskip('safetensors')
    inferencer = Inferencer(*segmentor, device='cpu', precision='fp32')
    folder = inferencer.save_pretrained(tmp_path / 'model', dict(mIoU=12.5))
    assert sorted(p.name for p in folder.iterdir()) == [
        'README.md',
        'config.json',
        'mmcoat.json',
        'model.safetensors',
    ]
    assert '| mIoU | 12.5 |' in (folder / 'README.md').read_text()
    again = Inferencer.from_pretrained(folder, device='cpu', precision='fp32')
    assert again.classes == inferencer.classes
    np.testing.assert_array_equal(again.palette, inferencer.palette)
    np.testing.assert_array_equal(again(photo)[0].label_map, inferencer(photo)[0].label_map)
    (folder / 'model.safetensors').unlink()
    with pytest.raises(UsageError, match=r'model\.safetensors is missing'):
        Inferencer.from_pretrained(folder)
    with pytest.raises(UsageError, match='neither a folder nor a name of the hub'):
        Inferencer.from_pretrained('nowhere')


def test_hub_offline_and_upload(segmentor, tmp_path, monkeypatch):
    """With a fake hub client: the uploaded data, and the message if it fails."""
    pytest.importorskip('safetensors')

    class Client:
        sent: dict = {}

        @staticmethod
        def create_repo(repo_id, private, exist_ok):
            Client.sent['repo'] = (repo_id, private, exist_ok)

        @staticmethod
        def upload_folder(repo_id, folder_path):
            Client.sent['files'] = sorted(os.listdir(folder_path))
            return f'https://hub/{repo_id}'

        @staticmethod
        def snapshot_download(repo_id, allow_patterns):
            raise OSError('no network\nmore lines')

    monkeypatch.setitem(sys.modules, 'huggingface_hub', Client)
    inferencer = Inferencer(*segmentor, device='cpu', precision='fp32')
    assert inferencer.push_to_hub('me/model') == 'https://hub/me/model'
    assert Client.sent['repo'] == ('me/model', False, True)
    assert 'model.safetensors' in Client.sent['files']
    with pytest.raises(UsageError, match=r'me/model cannot be fetched from the hub: no network$'):
        Inferencer.from_pretrained('me/model')
