"""Every block of README and of the documentation runs, and leaves what its page says."""

import re

import pytest

from tests.docs.blocks import AFTER, ROOT, blocks, run_page

PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')])
# those that another page begins with are run there
BEGINNINGS = {p.with_name(name) for p in PAGES for name in re.findall(AFTER, p.read_text())}
NAMES = [p.relative_to(ROOT).as_posix() for p in PAGES if blocks(p) and p not in BEGINNINGS]
LEAVES = {  # files, and how many of them
    'README.md': {'pictures/*': 1, 'results/*_overlay.png': 2},
    'docs/analysis.md': {
        **dict.fromkeys(('data.png', 'curves.png', 'confusion.png', 'confusion.json'), 1),
        'results/best.jpg': 1,
        'results/worst/*.png': 1,  # one image is in the split
    },
    'docs/check_dataset.md': {'report.json': 1, 'report.png': 1},
    'docs/checkpoints.md': {'x-*.pth': 1, 'timm.safetensors': 1},
    'docs/inference.md': {
        'results/*_overlay.*': 4,
        'work_dirs/tour/results/*_overlay.png': 2,
        'work_dirs/tour/model/model.safetensors': 1,
    },
    'docs/own_data.md': {'look/*': 3},
    'docs/segmentation_benchmark.md': {'work_dirs/robustness/*.json': 1},
    'docs/visualization.md': {'visualized/*.*': 5},
}


@pytest.mark.parametrize('name', NAMES)
def test_every_block_runs(name, monkeypatch, tmp_path):
    pytest.importorskip('mmdet')
    pytest.importorskip('safetensors')
    run_page(ROOT / name, tmp_path, monkeypatch)
    for pattern, number in LEAVES.get(name, {}).items():
        files = list(tmp_path.glob(pattern))
        assert len(files) >= number, f'{name} left {files} for {pattern}'
        assert all(file.stat().st_size > 100 for file in files)
