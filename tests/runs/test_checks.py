"""Channels of the heads against the backbone's, and the model that is compiled under TTA."""

import types

import pytest
from mmengine.config import Config
from mmengine.model import BaseTTAModel
from torch import nn

from mmcoat import runs
from mmcoat.datasets.synthetic import make_ade20k, make_coco
from mmcoat.errors import UsageError
from mmcoat.runs.checks import check_channels
from tests.helpers import ROOT


@pytest.mark.parametrize('path', sorted((ROOT / 'configs').glob('*.py')), ids=lambda p: p.stem)
def test_our_configs_fit(path):
    check_channels(Config.fromfile(path))


@pytest.mark.parametrize('name', ['fpn_coat_s_ade20k', 'upernet_coat_s_ade20k'])
def test_wrong_channels_name_both_lists(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cfg.model.backbone.arch = 'lite_tiny'
    with pytest.raises(UsageError, match=r'152, 320.*64, 128, 256, 320'):
        check_channels(cfg)


def test_compile_under_tta():
    class TTA(BaseTTAModel):
        def merge_preds(self, data_samples_list):
            return data_samples_list

    model = nn.Module()
    model.backbone, model.test_step = nn.Linear(2, 2), None
    runs.compile_backbone(types.SimpleNamespace(model=TTA(model)))
    assert model.backbone._compiled_call_impl is not None


def test_another_layout_is_not_overwritten(tmp_path):
    make_ade20k(tmp_path / 'set', train=1, val=1, size=(64, 64))
    with pytest.raises(ValueError, match='ade20k'):
        make_coco(tmp_path / 'set', train=1, val=1, size=(64, 64), overwrite=True)
    assert (tmp_path / 'set/images').is_dir()
