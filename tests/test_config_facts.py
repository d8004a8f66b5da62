"""Each fact is written once: facts about backbones are only in `_base_/backbones/`."""

import ast
from pathlib import Path

import pytest

from tests.helpers import ROOT, load

CONFIGS = ROOT / 'configs'
BACKBONES = sorted((CONFIGS / '_base_' / 'backbones').glob('*.py'))
OTHERS = sorted(
    path
    for path in CONFIGS.rglob('*.py')
    if path.parent.name != 'backbones'  # ours, and the rivals' own
)
CHANNELS = {tuple(load(f'_base_/backbones/{path.name}').channels) for path in BACKBONES}


def stated_facts(path: Path) -> list[str]:
    """Return what a file says about a backbone: its weights, its name, its channels."""
    parts = {tuple(c[start:]) for c in CHANNELS for start in (0, 1)}
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and 'coat/pretrained' in str(node.value):
            found.append(node.value)
        elif isinstance(node, ast.List | ast.Tuple) and node.elts:
            if all(isinstance(e, ast.Constant) for e in node.elts):
                values = tuple(e.value for e in node.elts)
                found += [str(values)] if values in parts else []
        elif (
            isinstance(node, ast.keyword)
            and node.arg == 'arch'
            and isinstance(node.value, ast.Constant)
        ):
            found.append('arch')
    return found


@pytest.mark.parametrize('path', OTHERS, ids=lambda path: path.stem)
def test_only_backbones_state_a_backbones_facts(path):
    assert stated_facts(path) == []


@pytest.mark.parametrize('path', BACKBONES, ids=lambda path: path.stem)
def test_backbones_say_what_the_model_is(path):
    from mmcoat.models import CoaT

    cfg = load(f'_base_/backbones/{path.name}')
    model = CoaT(cfg.backbone.arch, out_indices=cfg.backbone.get('out_indices', (0, 1, 2, 3)))
    assert list(model.out_channels) == cfg.channels
    name = path.stem.removesuffix('_384').removesuffix('_5scales')
    assert f'/{name}_' in cfg.backbone.init_cfg.checkpoint
    four = CoaT(name.removeprefix('coat_')).arch_settings
    settings = {
        key: value[:4] if isinstance(value, list) else value
        for key, value in model.arch_settings.items()
    }
    assert settings == four
    assert len(cfg.channels) == (5 if '_5scales' in path.stem else 4)
    assert stated_facts(path)  # the search finds what it looks for
