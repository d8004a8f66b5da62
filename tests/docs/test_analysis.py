"""Every command of docs/analysis.md runs, and leaves what the page says."""

import pytest

from tests.docs.blocks import run_document
from tests.helpers import ROOT


def test_every_command_runs(monkeypatch, tmp_path):
    pytest.importorskip('mmseg')
    assert run_document(ROOT / 'docs' / 'analysis.md', tmp_path, monkeypatch) == 10
    for name in ('data.png', 'curves.png', 'confusion.png', 'confusion.json', 'results/best.jpg'):
        assert (tmp_path / name).stat().st_size > 500
    assert (
        len(list((tmp_path / 'results' / 'worst').glob('*.png'))) == 1
    )  # one image is in the split
