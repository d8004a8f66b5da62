"""The page: its code and, if Gradio and a browser are installed, the page itself from end to end."""

import json
import os
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from mmcoat.apis import models
from mmcoat.errors import UsageError
from mmcoat.page.answers import answer, attention, legend_html, read_upright
from mmcoat.page.shelf import Shelf, find_choices
from tests.helpers import ROOT, load, run_tool

pytest.importorskip('mmseg')


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Config and checkpoint of a small segmentor with random weights."""
    folder = tmp_path_factory.mktemp('model')
    cfg = load('fpn_coat_lite_t_ade20k.py')
    cfg.model.backbone.init_cfg = None
    for step in cfg.test_dataloader.dataset.pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (128, 64)
    torch.manual_seed(0)
    net, _ = models.build(cfg, None)
    torch.save(dict(state_dict=net.state_dict(), meta={}), folder / 'fpn.pth')
    cfg.dump(folder / 'fpn.py')
    return folder / 'fpn.py', folder / 'fpn.pth'


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp('photos') / 'photo.png'
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (80, 60)))
    return path


def shelf_of(model, work_dirs='nowhere'):
    return Shelf(find_choices(*map(str, model), work_dirs), 'cpu')


def test_an_answer_and_the_attention_of_a_pixel(model, photo, tmp_path):
    shelf = shelf_of(model)
    inferencer, seconds = shelf.take(shelf.labels('segmentation')[0])
    assert seconds > 0
    assert shelf.take(shelf.labels('segmentation')[0]) == (inferencer, 0.0)
    found = answer(inferencer, photo, tmp_path)
    assert found.overlay.shape == (60, 80, 3)
    assert [p.name for p in found.files] == ['photo_overlay.png', 'photo.png']
    shares = [float(value.rstrip('%')) for _, value, _ in found.legend]
    assert shares == sorted(shares, reverse=True)
    assert 99 < sum(shares) < 101
    assert found.milliseconds > 0
    file, _ = attention(inferencer, photo, (70, 10), tmp_path, stage=1)
    assert cv2.imread(str(file)).shape[0] > 100
    with pytest.raises(UsageError, match='pixel must be'):
        attention(inferencer, photo, (80, 10), tmp_path)


def test_names_in_a_legend_are_no_html():
    text = legend_html([('<script>', '50.0%', np.array([1, 2, 3], np.uint8))])
    assert '&lt;script&gt;' in text
    assert 'rgb(1, 2, 3)' in text
    assert 'nothing found' in legend_html([])


def test_images_that_cannot_be_read(tmp_path):
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    with pytest.raises(UsageError, match=r'^image broken\.jpg is damaged') as error:
        read_upright(tmp_path / 'broken.jpg')
    assert str(tmp_path) not in str(error.value)


def test_what_can_be_chosen(model, tmp_path):
    shelf = shelf_of(model)
    assert shelf.tasks()[0] == 'segmentation'
    assert any('mask_rcnn_coat_small_3x_coco' in label for label in shelf.labels('detection'))
    with pytest.raises(UsageError, match='choose one of the models'):
        shelf.take('another')
    with pytest.raises(UsageError, match='needs a checkpoint'):
        find_choices(str(model[0]))
    run = tmp_path / 'demo' / 'run'
    run.mkdir(parents=True)
    assert find_choices(work_dirs=tmp_path)[0].task != 'segmentation'
    shutil.copy(model[0], run / 'mine.py')
    shutil.copy(model[1], run / 'iter_2.pth')
    [demo] = [c for c in find_choices(work_dirs=tmp_path) if c.task == 'segmentation']
    assert demo.label == 'demo: mine, iter_2.pth'


def test_without_gradio(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    monkeypatch.delitem(sys.modules, 'mmcoat.page.layout', raising=False)
    assert run_tool(monkeypatch, 'page') == 2
    assert 'needs Gradio' in capsys.readouterr().err


@pytest.fixture
def address(model, tmp_path):
    """The address of a running page."""
    pytest.importorskip('gradio')
    command = [sys.executable, ROOT / 'tools' / 'page.py', *model, '--work-dirs', tmp_path]
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    process = subprocess.Popen(
        [*command, '--device', 'cpu'], stdout=subprocess.PIPE, text=True, env=env
    )
    found = None
    while found is None:
        line = process.stdout.readline()
        assert line, 'the page ended before it said its address'
        found = re.search(r'http://\S+', line)
    yield found[0]
    process.terminate()
    process.wait(30)


@pytest.mark.parametrize('width', [1300, 420])
def test_in_a_browser(address, photo, tmp_path, width):
    api = pytest.importorskip('playwright.sync_api')
    browser = shutil.which('chromium') or shutil.which('google-chrome')
    if browser is None:
        pytest.skip('no Chromium')
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    with api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=['--no-sandbox'])
        page = chromium.new_page(viewport=dict(width=width, height=900))
        asked = []
        page.on('request', lambda request: asked.append(request.url))
        page.goto(address)
        upload = '#upload input[type=file]'
        page.set_input_files(upload, str(tmp_path / 'broken.jpg'))
        page.wait_for_selector('.failed', timeout=60_000)
        assert 'broken.jpg is damaged' in page.inner_text('#status')
        page.click('#upload button[aria-label*="emove"], #upload [aria-label="Clear"]')
        page.set_input_files(upload, str(photo))
        page.wait_for_selector('#overlay img', timeout=60_000)
        assert '80 x 60 pixels in' in page.inner_text('#status')
        box = page.query_selector('#overlay img').bounding_box()
        page.click('#overlay img', position=dict(x=box['width'] / 2, y=box['height'] / 2))
        page.wait_for_selector('#attention img', timeout=60_000)
        assert re.search(r'pixel (39|40|41),(29|30|31) in', page.inner_text('#seen'))
        with page.expect_download() as download:
            page.click('#file1')
        labels = cv2.imread(str(download.value.path()), cv2.IMREAD_UNCHANGED)
        assert labels.shape[:2] == (60, 80)
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        hosts = {url.split('/')[2] for url in asked if url.startswith('http')}
        assert hosts == {address.split('/')[2]}, json.dumps(sorted(asked))
        chromium.close()
