"""Options that cannot work are one line, and nothing is overwritten."""

import pytest
from mmengine.config import Config

from mmcoat import runs
from mmcoat.errors import UsageError


@pytest.mark.parametrize('value', [None, {}, dict(base_batch_size=-4), dict(base_batch_size=0)])
def test_auto_scale_lr_needs_a_batch(value):
    with pytest.raises(UsageError, match='base_batch_size'):
        runs.enable_auto_scale_lr(Config(dict(auto_scale_lr=value)))


def test_interval_below_one():
    cfg = Config(dict(default_hooks=dict(visualization=dict(type='SegVisualizationHook'))))
    with pytest.raises(UsageError, match='not 0'):
        runs.enable_drawing(cfg, False, 'x', 0, 0)


def test_out_is_not_overwritten(tmp_path):
    out = tmp_path / 'out.pkl'
    cfg = Config(dict(test_evaluator=dict(type='IoUMetric'), default_scope='mmseg'))
    runs.keep_predictions(cfg, str(out))
    assert len(cfg.test_evaluator) == 2
    out.write_text('earlier')
    with pytest.raises(UsageError, match='already'):
        runs.keep_predictions(cfg, str(out))
