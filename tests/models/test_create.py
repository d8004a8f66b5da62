"""Models without configs: golden logits, maps as timm names them, weights, errors."""

import pytest
import torch

from mmcoat.checkpoints import CheckpointError
from mmcoat.errors import UsageError
from mmcoat.models.create import create_model
from tests import golden


@pytest.mark.parametrize('arch', ['coat_lite_tiny', 'coat_tiny'])
def test_official_classifier(arch, tmp_path):
    """An official file gives the official logits."""
    spec = golden.load('coat.json')[golden.ARCHS[arch.removeprefix('coat_')]]
    weights = golden.state_dict({**spec['state_dict'], **spec['classifier']['extra_state_dict']})
    torch.save({'model': weights}, tmp_path / 'official.pth')
    model = create_model(arch, pretrained=str(tmp_path / 'official.pth')).eval()
    with torch.no_grad():
        logits = model(golden.image(spec['classifier']['input']))
    golden.assert_matches(logits, spec['classifier']['logits'])


def test_features():
    model = create_model('coat_lite_tiny', features_only=True, in_channels=5, out_indices=(1, 3))
    maps = model(torch.zeros(2, 5, 64, 96))
    assert [tuple(x.shape) for x in maps] == [(2, 128, 8, 12), (2, 320, 2, 3)]
    info = model.feature_info
    assert info.channels() == [128, 320]
    assert info.reduction() == [8, 32]
    assert info.get_dicts()[0] == dict(num_chs=128, reduction=8)


def test_other_classes_keep_a_new_head(tmp_path):
    full = create_model('coat_lite_tiny')
    weights = {f'backbone.{k}': v for k, v in full.backbone.state_dict().items()}
    torch.save({'state_dict': weights}, tmp_path / 'own.pth')
    model = create_model('coat_lite_tiny', pretrained=str(tmp_path / 'own.pth'), num_classes=7)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    torch.testing.assert_close(model.backbone.state_dict(), full.backbone.state_dict())
    assert create_model('coat_lite_tiny', num_classes=0)(torch.zeros(1, 3, 64, 64)).shape == (
        1,
        320,
    )
    with pytest.raises(CheckpointError, match='no fitting head'):
        create_model('coat_lite_tiny', pretrained=str(tmp_path / 'own.pth'))


def test_errors():
    with pytest.raises(UsageError, match="'coat_huge' is unknown"):
        create_model('coat_huge')
    with pytest.raises(UsageError, match='decides out_type'):
        create_model('coat_small', out_type='featmap')
