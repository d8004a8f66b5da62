"""The tutorials run as scripts, and their notebooks are the same cells."""

import json
import os
import subprocess
import sys

import pytest

from docs.hooks import cells, tutorial_page
from tests.helpers import ROOT

TUTORIALS = sorted((ROOT / 'docs' / 'tutorials').glob('own_*.py'))


def test_there_are_tutorials():
    assert [path.stem for path in TUTORIALS] == ['own_coco', 'own_segmentation']


@pytest.mark.parametrize('script', TUTORIALS, ids=lambda p: p.stem)
def test_the_notebook_is_the_script(script):
    """`make tutorials` writes the notebooks anew."""
    notebook = json.loads(script.with_suffix('.ipynb').read_text(encoding='utf-8'))
    assert not any(cell.get('outputs') for cell in notebook['cells'])
    written = [(cell['cell_type'], ''.join(cell['source'])) for cell in notebook['cells']]
    expected = cells(script.read_text(encoding='utf-8'))
    assert len(expected) > 8
    assert written == expected, f'jupytext --to ipynb {script.relative_to(ROOT)}'


def test_the_page_of_a_tutorial():
    page = tutorial_page(TUTORIALS[0])
    assert page.startswith('# Your own COCO JSON\n\nScript: ')
    assert page.count('```') == 2 * page.count('```python') > 8
    assert '%%' not in page


@pytest.mark.parametrize('script', TUTORIALS, ids=lambda p: p.stem)
def test_a_tutorial_runs(script, tmp_path):
    """All of it in a process, as a reader would, with two steps a training, on small pictures."""
    pytest.importorskip('mmdet')
    environment = {
        **os.environ,
        'MMCOAT_TUTORIAL_ITERS': '2',
        'MMCOAT_TUTORIAL_DIR': str(tmp_path),
        'PYTHONPATH': str(ROOT),
        'COLUMNS': '100',
    }
    result = subprocess.run(
        [sys.executable, str(script)],
        cwd=script.parent,  # where a notebook's process starts
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    assert (tmp_path / 'look.png').stat().st_size > 1000
    if script.stem == 'own_coco':
        assert list((tmp_path / 'drawn').glob('*.png'))
    if script.stem == 'own_segmentation':
        assert [p for p in tmp_path.glob('fields.*') if p.suffix in ('.onnx', '.pt2')]
        assert '4 channels: ' in result.stdout and '8 channels: ' in result.stdout
