"""The detection demo trains the real config; what it overrides is what it says."""

from mmcoat.demo.detection import CONFIG, DetDemoOptions, det_demo_config, run_det_demo
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
    cfg.optim_wrapper.optimizer.lr = real.optim_wrapper.optimizer.lr
    assert cfg.optim_wrapper == real.optim_wrapper
    assert cfg.val_evaluator.ann_file.startswith(str(tmp_path))


def test_runs_with_a_clean_terminal(tmp_path, capfd):
    options = DetDemoOptions(
        work_dir=str(tmp_path), iterations=2, short_side=64, train_images=4, val_images=2
    )
    scores = run_det_demo(options)
    assert all(0 <= score <= 1 for score in scores.values())
    assert list(scores) == ['box AP50', 'mask AP50']
    shown = capfd.readouterr()
    assert len(shown.out.splitlines()) <= 10
    assert 'Average Precision' not in shown.out
    assert shown.err == ''
    logs = [path.read_text() for path in tmp_path.glob('run/*/*.log')]
    assert any('Average Precision' in log or 'empty' in log for log in logs)
    for name in ('detections.png', 'losses.png'):
        assert (tmp_path / 'pictures' / name).stat().st_size > 10_000
