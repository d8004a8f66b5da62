"""The tutorials run as scripts, and their notebooks are the same cells."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT

TUTORIALS = sorted((ROOT / 'docs' / 'tutorials').glob('*.py'))


def cells(text: str) -> list[tuple[str, str]]:
    """Return kind and source of each cell of a script in jupytext's percent form, without its header."""
    body = re.sub(r'\A# ---\n.*?\n# ---\n', '', text, flags=re.DOTALL)
    found = []
    for part in re.split(r'^# %%', body, flags=re.MULTILINE)[1:]:
        head, _, source = part.partition('\n')
        kind = 'markdown' if '[markdown]' in head else 'code'
        source = source.strip('\n')
        if kind == 'markdown':
            source = '\n'.join(re.sub(r'^# ?', '', line) for line in source.splitlines())
        found.append((kind, source))
    return found


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
    if script.stem == 'own_segmentation':
        assert [p for p in tmp_path.glob('fields.*') if p.suffix in ('.onnx', '.pt2')]
        assert '4 channels: ' in result.stdout and '8 channels: ' in result.stdout
