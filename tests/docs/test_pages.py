"""Pages whose commands need no preparation: the tour, and the Python of Inference and Migration."""

import subprocess
import sys

import pytest

from tests.docs.blocks import blocks, prepare, run_document
from tests.helpers import ROOT

DOCS = ROOT / 'docs'


def run_python(page: str, folder, environment) -> int:
    """Run the Python blocks of a page as one script, and return their number."""
    parts = [block.text for block in blocks(DOCS / page) if block.language == 'python']
    result = subprocess.run(
        [sys.executable, '-c', '\n'.join(parts)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return len(parts)


def test_the_tour_and_what_inference_shows_with_its_model(monkeypatch, tmp_path):
    pytest.importorskip('mmseg')
    pytest.importorskip('safetensors')
    assert run_document(DOCS / 'tour.md', tmp_path, monkeypatch) == 6
    assert list((tmp_path / 'work_dirs/tour/results').glob('*_overlay.png'))
    for link in ('tools', 'configs', 'bin/python', 'bin'):
        path = tmp_path / link
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert run_python('inference.md', tmp_path, prepare(tmp_path)) == 2
    assert (tmp_path / 'work_dirs/tour/model/model.safetensors').is_file()


def test_migration(tmp_path):
    assert run_python('migration.md', tmp_path, prepare(tmp_path)) == 1
