"""The model zoo's commands for timm's evaluation run word for word."""

from tests.docs.blocks import ROOT, run_page


def test_the_page(monkeypatch, tmp_path):
    run_page(ROOT / 'docs' / 'model_zoo.md', tmp_path, monkeypatch)
