"""``tools/test.py --show-dir`` with MMPretrain: the same folder as with the other toolboxes."""

import torch

from tests.visualization.test_show_dir import check


def classified(path):
    from mmpretrain.structures import DataSample

    sample = DataSample(metainfo=dict(img_path=path))
    return sample.set_pred_score(torch.ones(3) / 3).set_pred_label(0)


def test_pictures_lie_in_the_folder_itself(monkeypatch, tmp_path):
    check(monkeypatch, tmp_path, 'mmpretrain', 'coat_lite_t_in1k.py', classified)
