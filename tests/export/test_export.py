"""From a config and a checkpoint to a file that its own runtime runs; and messages if this fails."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mmcoat.export import ExportError, ExportOptions, VerificationError, export_model, verify
from mmcoat.export.parts import Labels, Preprocessing, build_part
from tests.helpers import ROOT, load, run_tool

pytest.importorskip('mmseg')
from mmcoat.apis import models
from tests.export.common import CLASSES, segmentor, weights

SHAPE = ('--shape', 64, 96)
needs_onnx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ('onnx', 'onnxscript', 'onnxruntime')),
    reason='the extra export is not installed',
)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """A config as a file, and weights for it."""
    folder = tmp_path_factory.mktemp('model')
    cfg = segmentor('segformer')
    cfg.dump(folder / 'tiny.py')
    return folder / 'tiny.py', weights(cfg, folder / 'tiny.pth')


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    for seed in range(3):
        pixels = verify.draw_images((1, 3, 50, 90), uint8=True, seed=seed)
        Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).save(folder / f'{seed}.png')
    return folder


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(format='tflite'), r"format must be one of .*, got 'tflite'"),
        (dict(precision='int4'), r"precision must be one of .*, got 'int4'"),
        (dict(dynamic=('depth',)), 'dynamic takes batch, height, width, got depth'),
        (dict(format='torch-export', precision='fp16'), 'torch-export keeps fp32'),
        (dict(precision='int8'), 'int8 needs --calibration'),
        (dict(calibration='photos'), 'int8 needs --calibration'),
    ],
)
def test_options_that_cannot_be(settings, message):
    with pytest.raises(ExportError, match=message):
        ExportOptions(**settings)


@pytest.mark.parametrize(
    ('settings', 'name', 'message'),
    [
        (dict(part='neck'), 'a.onnx', 'has no neck; take --part backbone'),
        (dict(part='backbone', output='labels'), 'a.onnx', 'labels come out of --part model'),
        (dict(), 'a.pt2', r'a.pt2 must end in .onnx for onnx'),
    ],
)
def test_parts_that_are_not_there(model, tmp_path, settings, name, message):
    with pytest.raises(ExportError, match=message):
        export_model(*model, tmp_path / name, ExportOptions(shape=(64, 96), **settings))


def test_detectors_up_to_their_neck():
    pytest.importorskip('mmdet.models')
    cfg = load('retinanet_coat_lite_s_1x_coco.py')
    detector, _ = models.build(cfg, None)
    with pytest.raises(ExportError, match='take --part neck or --part backbone'):
        build_part(detector, 'detection', 'model')
    image = torch.randn(1, 3, 128, 160)
    with torch.inference_mode():
        maps = build_part(detector, 'detection', 'neck')(image)
        expected = detector.eval().extract_feat(image)
    assert [m.shape[1] for m in maps] == [256] * 5
    torch.testing.assert_close(maps, tuple(expected))


def test_queries_are_no_scores():
    pytest.importorskip('mmdet.models')
    segmentor, _ = models.build(load('mask2former_coat_lite_s_ade20k.py'), None)
    with pytest.raises(ExportError, match='Mask2FormerHead gives something other than scores'):
        build_part(segmentor, 'segmentation', 'model')


def test_preprocessing_is_the_configs():
    """RGB, uint8, against MMSegmentation's preprocessor, which takes BGR."""
    cfg = segmentor('segformer')
    built, _ = models.build(cfg, None)
    built.data_preprocessor.test_cfg = None  # no padding, which would need data samples
    image = verify.draw_images((1, 3, 64, 96), uint8=True, seed=0)
    expected = built.data_preprocessor(dict(inputs=[image[0].flip(0)]), training=False)['inputs']
    torch.testing.assert_close(Preprocessing.of(cfg).apply(image), expected)
    cfg.model.data_preprocessor.mean = None
    with pytest.raises(ExportError, match='must have a mean and a std'):
        Preprocessing.of(cfg)


def test_torch_export(monkeypatch, capsys, model, tmp_path):
    """The whole way with the tool; the file runs in a process without mmcoat."""
    path = tmp_path / 'new' / 'program.pt2'
    arguments = ['--format', 'torch-export', '--preprocess', '--verify', '--out', path, *SHAPE]
    assert run_tool(monkeypatch, 'export', *model, *arguments) == 0
    assert capsys.readouterr().out.count('as PyTorch at 1 x 3 x 64 x 96') == 3
    code = (
        'import sys, torch\n'
        "extra = {'mmcoat.json': ''}\n"
        f'program = torch.export.load({str(path)!r}, extra_files=extra)\n'
        'out = program.module()(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))\n'
        "assert 'mmcoat' not in sys.modules\n"
        "print(tuple(out.shape)); print(extra['mmcoat.json'])\n"
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    shape, metadata = result.stdout.strip().splitlines()
    assert shape == f'(1, {CLASSES}, 64, 96)'
    assert json.loads(metadata)['preprocess'] is True


def test_a_wrong_program_stays_and_is_told(monkeypatch, capsys, model, tmp_path):
    def wrong(path):
        run = kept(path)
        return lambda image: [x + 0.01 * x.std() * (x == x.max()) for x in run(image)]

    kept = verify.load
    monkeypatch.setattr(verify, 'load', wrong)
    path = tmp_path / 'program.pt2'
    arguments = ['--format', 'torch-export', '--verify', '--out', path, *SHAPE]
    assert run_tool(monkeypatch, 'export', *model, *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert (
        'the program is not PyTorch: 1 x 3 x 64 x 96, largest error 1.0e-02 of the spread' in error
    )
    assert path.exists()


class Scores(nn.Module):
    def forward(self, image):
        return image


def compare(change, output='logits', precision='fp32'):
    part, image = Scores(), torch.randn(1, 3, 8, 8)
    labels = Labels(part, None)
    given = change(image.clone())
    given = labels.of(given) if output == 'labels' else given
    one = verify.compare(
        lambda _: [given.numpy()], part, labels, image, verify.TOLERANCES[precision]
    )
    verify.check([one], precision)
    return one


def swap(image):
    image[0, :, 3, 3] = image[0, [1, 2, 0], 3, 3]
    return image


@pytest.mark.parametrize(
    ('change', 'output'),
    [
        (swap, 'logits'),
        (swap, 'labels'),
        (lambda x: x * 1.001, 'logits'),
        (lambda x: x * float('nan'), 'logits'),
        (lambda x: x[..., :7], 'logits'),
    ],
)
def test_verification_can_fail(change, output):
    torch.manual_seed(0)
    with pytest.raises(VerificationError):
        compare(change, output)


def test_verification_passes_ties_and_rounding():
    torch.manual_seed(0)
    assert compare(lambda x: x + 1e-6).error < 1e-4
    assert compare(lambda x: x, 'labels').agreement == 1.0


@needs_onnx
def test_onnx_and_the_example(monkeypatch, capsys, model, photos, tmp_path):
    """Dynamic sizes, verified at three other sizes; then the example, in a process without PyTorch."""
    path = tmp_path / 'program.onnx'
    arguments = ['--dynamic', 'height,width', '--verify', '--out', path, *SHAPE]
    assert run_tool(monkeypatch, 'export', *model, *arguments) == 0
    assert capsys.readouterr().out.count('100.000 % of labels equal') == 3
    import onnx

    program = onnx.load(path)
    dims = program.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ['batch', 3, 'height', 'width']
    assert {node.domain for node in program.graph.node} <= {'', 'pkg.onnxscript.torch_lib'}
    lines = run_example(path, photos / '0.png', tmp_path / 'overlay.png')
    assert len(lines) >= 2
    assert lines[-1].startswith('overlay: ')
    assert Image.open(tmp_path / 'overlay.png').size == (90, 50)


def run_example(program, image, out) -> list[str]:
    """Run the example with PyTorch and OpenMMLab out of reach."""
    code = (
        'import runpy, sys\n'
        "for name in ('torch', 'mmcoat', 'mmengine', 'cv2'): sys.modules[name] = None\n"
        f'sys.argv = {["x", str(program), str(image), "--out", str(out)]!r}\n'
        f'runpy.run_path({str(ROOT / "examples" / "onnx_inference.py")!r}, run_name="__main__")\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    return result.stdout.strip().splitlines()


@needs_onnx
def test_int8_keeps_softmax_and_norms_in_float(model, photos, tmp_path):
    import onnx

    path = tmp_path / 'int8.onnx'
    options = ExportOptions(
        precision='int8', calibration=str(photos), preprocess=True, shape=(64, 96), verify=True
    )
    found = export_model(*model, path, options)
    assert min(one.agreement for one in found) > 0.95
    graph = onnx.load(path).graph
    weights_of = {tensor.name for tensor in graph.initializer}
    rounded = [node for node in graph.node if node.op_type == 'DequantizeLinear']
    whole = [
        onnx.numpy_helper.to_array(t)
        for t in graph.initializer
        if t.data_type == onnx.TensorProto.INT8
    ]
    largest = max(abs(int(value)) for w in whole if w.ndim > 1 for value in (w.min(), w.max()))
    assert largest == 64  # eight bits overflow on processors without VNNI
    rounded_weights = {node.output[0] for node in rounded if node.input[0] in weights_of}
    kinds = {node.op_type for node in graph.node if rounded_weights & set(node.input)}
    assert {'Conv', 'MatMul'} <= kinds <= {'Conv', 'MatMul', 'Gemm'}
    products = [
        n for n in graph.node if n.op_type == 'MatMul' and not rounded_weights & set(n.input)
    ]
    assert products  # the attention's
    outputs = {node.output[0] for node in rounded}
    for node in [*products, *(n for n in graph.node if n.op_type in ('Exp', 'ReduceSum'))]:
        assert not outputs & set(node.input)


@needs_onnx
def test_openvino(model, tmp_path):
    pytest.importorskip('openvino')
    path = tmp_path / 'program.xml'
    options = ExportOptions(
        format='openvino', precision='fp16', output='labels', shape=(64, 96), verify=True
    )
    assert len(export_model(*model, path, options)) == 3
    assert path.with_suffix('.bin').stat().st_size > 1000
    labels = verify.load(path)(np.zeros((1, 3, 64, 96), np.float32))
    assert labels[0].shape == (1, 64, 96)


def test_missing_packages(monkeypatch, model, tmp_path):
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    with pytest.raises(
        ExportError, match=r"needs the package onnx.* pip install 'mmcoat\[export\]'"
    ):
        export_model(*model, tmp_path / 'a.onnx', ExportOptions(shape=(64, 96)))
