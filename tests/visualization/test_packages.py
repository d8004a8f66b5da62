"""The taps with the packages grad-cam and Captum, if these are installed: the examples of the docs."""

import re
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from benchmarks.peers import declare_torchvision_operators
from mmcoat import create_model
from mmcoat.apis import models as apis_models
from mmcoat.errors import UsageError
from mmcoat.models.backbones.taps import taps
from mmcoat.visualization import grad_cam
from mmcoat.visualization.look import Wish, look
from mmcoat.visualization.subject import prepare
from tests.helpers import ROOT, load

PACKAGES = ('pytorch_grad_cam', 'captum')
needs = {
    name: pytest.mark.skipif(find_spec(name) is None, reason=f'{name} is not installed')
    for name in (*PACKAGES, 'mmpretrain')
}
DOC = ROOT / 'docs' / 'visualization.md'


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_model('coat_lite_tiny', num_classes=5).eval()


@pytest.fixture
def image():
    return torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))


def blocks_of_the_document() -> list[str]:
    return re.findall(r'```python\n(.*?)```', DOC.read_text(), re.DOTALL)


def examples() -> dict[str, str]:
    """The Python blocks of the document by the package that they import."""
    blocks = blocks_of_the_document()
    found = {name: [b for b in blocks if f'from {name}' in b] for name in PACKAGES}
    return {name: blocks[0] for name, blocks in found.items()}


def run_example(name: str, model, image) -> dict:
    variables = dict(model=model, images=image)
    exec(compile(examples()[name], str(DOC), 'exec'), variables)
    return variables


def test_the_document_has_both():
    assert set(examples()) == set(PACKAGES)


@needs['pytorch_grad_cam']
def test_grad_cam(model, image):
    """The package's map is ours, through the layer of a tap, without a reshape."""
    declare_torchvision_operators()
    heat = run_example('pytorch_grad_cam', model, image)['heat']
    ours = grad_cam(model, image, 2, stage=2).heat
    assert ours.max() == 1
    assert heat.shape == (1, *image.shape[2:])
    # at its full size the package's map is ours, enlarged and stretched from 0 to 1
    enlarged = torch.nn.functional.interpolate(
        ours[None, None], size=image.shape[2:], mode='bilinear', align_corners=False
    )[0, 0].numpy()
    assert np.corrcoef(heat[0].ravel(), enlarged.ravel())[0, 1] > 0.999
    assert not any(m._forward_hooks for m in model.modules())


@needs['captum']
def test_captum(model, image):
    """Captum's layer Grad-CAM is ours before the largest value is divided by."""
    heat = run_example('captum', model, image)['heat']
    ours = grad_cam(model, image, 2, stage=2).heat
    torch.testing.assert_close(heat[0, 0] / heat.max(), ours, atol=1e-5, rtol=1e-5)


@needs['captum']
def test_captum_replaces_the_map_of_a_layer(model, image):
    """Layer integrated gradients put maps of their own in the layer's place: their sum is the change."""
    from captum.attr import LayerIntegratedGradients

    name = 'stages.2'  # all that stage 3 gets; a later map has a class token beside it
    with taps(model.backbone, name) as layers:
        method = LayerIntegratedGradients(model, layers[name])
        parts, delta = method.attribute(
            image, target=1, n_steps=64, return_convergence_delta=True, internal_batch_size=8
        )
    with torch.no_grad():
        change = (model(image) - model(torch.zeros_like(image)))[0, 1]
    assert abs(change) > 1e-3
    torch.testing.assert_close(parts.sum(), change, atol=0.05 * abs(change.item()), rtol=0)
    assert delta.abs().max() < 0.05 * abs(change)


@needs['mmpretrain']
def test_classifiers_of_mmpretrain():
    """Resized by Pillow and cropped: every kind of look, and pixels that the crop has cut off."""
    declare_torchvision_operators()
    torch.manual_seed(0)
    cfg = load('coat_t_in1k.py')
    model, meta = apis_models.build(cfg, None)
    assert len(meta['classes']) == 1000
    smooth = np.random.default_rng(0).integers(0, 255, (6, 12, 3), dtype=np.uint8)
    photo = np.kron(smooth, np.ones((50, 50, 1), np.uint8))  # 600 x 300
    view = prepare(model, apis_models.pipeline(cfg), photo)
    assert view.image.shape == (224, 224, 3)
    x, y = view.locate((300, 150))
    assert abs(x - 112) <= 1
    assert abs(y - 112) <= 1
    with pytest.raises(UsageError, match='outside of what the test pipeline keeps'):
        view.locate((20, 150))
    seen = look(
        model, view, 'gradcam', Wish(class_name=meta['classes'][7], classes=meta['classes'])
    )
    assert seen.arrays['class_index'] == 7
    with pytest.raises(UsageError, match=r'class .* is unknown; close to it: .*; 1000 in all'):
        look(model, view, 'gradcam', Wish(class_name='tenchh', classes=meta['classes']))
    with torch.no_grad():
        logits = model(view.inputs, mode='tensor')
    assert seen.arrays['score'] == pytest.approx(logits[0, 7].item(), rel=1e-3, abs=1e-5)
    assert look(model, view, 'class-token', Wish()).arrays['image'].shape == (8, 7, 7)
