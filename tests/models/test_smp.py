"""CoaT as an encoder: alone, and with the decoders of segmentation_models_pytorch if it is installed."""

from importlib.util import find_spec

import pytest
import torch

from mmcoat import ARCH_ZOO, create_model, smp
from mmcoat.errors import UsageError
from tests.docs.blocks import ROOT, run_page


@pytest.fixture(scope='module')
def library():
    if find_spec('segmentation_models_pytorch') is None:
        pytest.skip('segmentation_models_pytorch is not installed')
    from benchmarks.peers import declare_torchvision_operators

    declare_torchvision_operators()
    return pytest.importorskip('segmentation_models_pytorch')


@pytest.mark.parametrize('depth', [2, 3, 5])
def test_maps(depth):
    encoder = smp.CoaTEncoder('coat_lite_tiny', depth=depth)
    encoder.set_in_channels(4)
    maps = encoder(torch.randn(2, 4, 64, 96))
    assert [x.shape[1] for x in maps] == encoder.out_channels
    assert [tuple(x.shape[2:]) for x in maps] == [
        (64 // 2**i, 96 // 2**i) for i in range(depth + 1)
    ]
    assert encoder.output_stride == 2**depth
    with pytest.raises(ValueError, match='from 2 to 5'):
        smp.CoaTEncoder('coat_lite_tiny', depth=1)


def test_dilated_maps_are_enlarged():
    encoder = smp.CoaTEncoder('coat_lite_tiny')
    x = torch.randn(1, 3, 64, 64)
    plain = encoder(x)
    encoder.make_dilated(16)
    large = encoder(x)
    assert large[-1].shape[2:] == large[-2].shape[2:] == (4, 4)
    torch.testing.assert_close(large[-2], plain[-2])
    torch.testing.assert_close(large[-1].mean(), plain[-1].mean(), atol=0.05, rtol=0)


def test_weights_of_a_file(tmp_path):
    model = create_model('coat_lite_tiny', features_only=True)
    torch.save(dict(state_dict=model.backbone.state_dict()), tmp_path / 'a.pth')
    encoder = smp.CoaTEncoder('coat_lite_tiny')
    encoder.set_in_channels(5)
    encoder.load_pretrained(str(tmp_path / 'a.pth'))
    loaded = encoder.backbone.state_dict()['stages.1.patch_embed.proj.weight']
    assert torch.equal(loaded, model.backbone.state_dict()['stages.1.patch_embed.proj.weight'])


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'segmentation_models_pytorch', None)
    with pytest.raises(UsageError, match='pip install segmentation-models-pytorch'):
        smp.register()


def test_all_names(library):
    names = smp.register()
    assert {f'coat_{arch}' for arch in ARCH_ZOO} <= set(names)
    assert set(names) <= set(library.encoders.get_encoder_names())


def test_the_page(library, monkeypatch, tmp_path):
    run_page(ROOT / 'docs' / 'own_loop.md', tmp_path, monkeypatch)


@pytest.mark.parametrize(
    'decoder', ['Unet', 'FPN', 'DeepLabV3Plus', 'MAnet', 'Segformer', 'UPerNet']
)
@pytest.mark.parametrize('name', ['coat_lite_tiny', 'coat_mini'])
def test_decoders_learn(library, decoder, name):
    smp.register()
    torch.manual_seed(0)
    model = getattr(library, decoder)(name, encoder_weights=None, in_channels=4, classes=2)
    x = torch.randn(2, 4, 64, 64)
    scores = model(x)
    assert scores.shape == (2, 2, 64, 64)
    scores.pow(2).mean().backward()
    lacking = [n for n, p in model.encoder.named_parameters() if p.requires_grad and p.grad is None]
    # DeepLab reads two maps, and what the last parallel block makes of the others goes nowhere
    assert not [n for n in lacking if decoder != 'DeepLabV3Plus' or 'parallel_blocks.5' not in n]
