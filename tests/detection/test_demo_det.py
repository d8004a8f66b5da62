"""The detection demo trains the real config; what it overrides is what it says."""

from mmcoat.demo_det import CONFIG, DetDemoOptions, det_demo_config
from tests.helpers import load


def test_overrides_no_more_than_it_says(tmp_path):
    cfg, real = det_demo_config(DetDemoOptions(work_dir=str(tmp_path)), tmp_path), load(CONFIG)
    assert cfg.model.backbone.init_cfg is None
    cfg.model.backbone.init_cfg = real.model.backbone.init_cfg
    assert cfg.model == real.model
    for name in ('train_dataloader', 'val_dataloader'):
        ours, theirs = cfg[name].dataset, real[name].dataset
        assert ours.data_root == str(tmp_path) != theirs.data_root
        steps = [[step.type for step in dataset.pipeline] for dataset in (ours, theirs)]
        assert steps[0] == steps[1]
    assert cfg.optim_wrapper.paramwise_cfg == real.optim_wrapper.paramwise_cfg
    assert cfg.val_evaluator.ann_file.startswith(str(tmp_path))
