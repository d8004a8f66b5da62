"""Every block of docs/own_data.md runs, and README's example of own data trains."""

import re

import pytest

from mmcoat.checkpoints import read_checkpoint
from tests.docs.blocks import blocks, run_document
from tests.helpers import ROOT, run_tool
from tests.own.common import draw

pytest.importorskip('mmdet')


def test_every_block_runs(monkeypatch, tmp_path):
    assert run_document(ROOT / 'docs' / 'own_data.md', tmp_path, monkeypatch) > 12
    assert len(list((tmp_path / 'look').glob('*'))) >= 3


def test_a_block_that_fails_is_noticed(monkeypatch, tmp_path):
    document = tmp_path / 'a.md'
    document.write_text(
        '<!-- file: x.py -->\n```python\nimport sys\nsys.exit(3)\n```\n```bash\npython x.py\n```\n'
    )
    assert [(b.language, b.file, b.line) for b in blocks(document)] == [
        ('python', 'x.py', 2),
        ('bash', '', 6),
    ]
    (tmp_path / 'run').mkdir()
    with pytest.raises(AssertionError, match=r'a\.md:6'):
        run_document(document, tmp_path / 'run', monkeypatch)


def test_the_example_of_readme(monkeypatch, tmp_path):
    (text,) = re.findall(
        r"```python\n(_base_ = './fpn_coat_lite_s_own.py'.*?)```",
        (ROOT / 'README.md').read_text(),
        re.S,
    )
    for name in ('fpn_coat_lite_s_own.py', '_base_'):
        (tmp_path / name).symlink_to(ROOT / 'configs' / name)
    (tmp_path / 'mine.py').write_text(text)
    draw(tmp_path / 'data' / 'mine')
    monkeypatch.chdir(tmp_path)
    options = [
        'crop_size=(64,64)',
        'scale=(128,64)',
        'model.backbone.init_cfg=None',
        'train_cfg.max_iters=1',
        'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
    ]
    assert (
        run_tool(monkeypatch, 'train', 'mine.py', '--work-dir', 'run', '--cfg-options', *options)
        == 0
    )
    state = read_checkpoint('run/iter_1.pth')['state_dict']
    assert state['decode_head.conv_seg.weight'].shape[0] == 3
