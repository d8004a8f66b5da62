"""Check the weights of a checkpoint for models that translate names themselves."""

import pytest
import torch
from torch import nn

from mmcoat import CoaT
from mmcoat.checkpoints import CheckpointError
from mmcoat.engine.hooks import fine_tune
from tests import golden


class Model(nn.Module):
    """A backbone and a head whose weights once were called ``old``."""

    def __init__(self, classes=5):
        super().__init__()
        self.backbone = CoaT('lite_tiny')
        self.head = nn.Sequential(nn.BatchNorm1d(320), nn.Linear(320, classes))

    def _load_from_state_dict(self, state_dict, prefix, *args):
        for key in [key for key in state_dict if key.startswith('old.')]:
            state_dict[key.replace('old.', 'head.')] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)


def test_translated_names_with_another_shape(capsys):
    weights = {k.replace('head.', 'old.'): v + 1 for k, v in Model(7).state_dict().items()}
    kept = dict(weights)
    model = Model(5)
    whole = fine_tune(model, weights, 'x.pth')
    line = capsys.readouterr().out
    assert 'head.1.weight (7, 320) -> (5, 320), head.1.bias (7,) -> (5,)' in line
    assert 'left out' not in line and 'new in the model' not in line
    assert weights == kept  # the caller's dict is as it was
    assert whole.keys() == model.state_dict().keys()
    assert torch.equal(whole['head.0.weight'], weights['old.0.weight'])
    name = 'backbone.stages.0.cls_token'
    assert torch.equal(whole[name], weights[name])


def test_official_backbone_under_its_prefix(capsys):
    spec = golden.load('coat.json')[golden.ARCHS['lite_tiny']]['state_dict']
    official = {f'backbone.{k}': v for k, v in golden.state_dict(spec).items() if '.head' not in k}
    model = Model()
    fine_tune(model, official, 'x.pth')
    assert 'new in the model: head' in capsys.readouterr().out
    torch.testing.assert_close(
        model.backbone.stages[0].cls_token.data, official['backbone.cls_token1']
    )
    tiny = golden.load('coat.json')[golden.ARCHS['lite_mini']]['state_dict']
    other = {f'backbone.{k}': v for k, v in golden.state_dict(tiny).items()}
    with pytest.raises(CheckpointError, match="seem to be of arch 'lite_mini'"):
        fine_tune(Model(), other, 'x.pth')


def test_old_files_have_no_counters(capsys):
    """BatchNorm's num_batches_tracked came with PyTorch 0.4.1."""
    weights = {k: v for k, v in Model().state_dict().items() if 'num_batches' not in k}
    fine_tune(Model(), weights, 'x.pth')
    assert 'every tensor fits' in capsys.readouterr().out
