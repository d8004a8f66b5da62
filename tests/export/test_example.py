"""The page on export runs word for word: the tool, and the example without mmcoat."""

import pytest

from tests.docs.blocks import ROOT, run_page

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')


def test_the_page(monkeypatch, tmp_path):
    run_page(ROOT / 'docs' / 'export.md', tmp_path, monkeypatch)
    assert (tmp_path / 'exports' / 'upernet_coat_lite_s_ade20k_model_fp32.onnx').is_file()
