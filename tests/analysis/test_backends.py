"""TensorBoard and Weights & Biases stand commented in the runtimes: off as they are, on by one line."""

import importlib.util
import shutil

import pytest
from mmengine.config import Config
from mmengine.registry import VISUALIZERS, init_default_scope

from tests.helpers import ROOT, load

SCOPES = {'mmseg': 'mmseg', 'mmdet': 'mmdet'}  # MMPretrain is not in this environment
LINES = {
    'TensorboardVisBackend': "    # dict(type='TensorboardVisBackend'),",
    'WandbVisBackend': "    # dict(type='WandbVisBackend', init_kwargs=dict(project='mmcoat')),",
}


def uncommented(tmp_path, scope: str, kind: str) -> Config:
    """Return a runtime with the line of one backend uncommented, as a user would."""
    shutil.copytree(ROOT / 'configs' / '_base_', tmp_path / '_base_')
    path = tmp_path / '_base_' / 'runtimes' / f'{scope}.py'
    text = path.read_text()
    assert text.count(LINES[kind]) == 1
    path.write_text(text.replace(LINES[kind], LINES[kind].replace('# ', '', 1)))
    return Config.fromfile(str(path))


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet', 'mmpretrain'])
@pytest.mark.parametrize('kind', LINES)
def test_one_line_turns_a_backend_on(tmp_path, scope, kind):
    plain = load(f'_base_/runtimes/{scope}.py')
    assert plain.visualizer.vis_backends == [dict(type='LocalVisBackend')]
    cfg = uncommented(tmp_path, scope, kind)
    assert [b.type for b in cfg.visualizer.vis_backends] == ['LocalVisBackend', kind]


@pytest.mark.parametrize('scope', SCOPES)
def test_the_visualizer_builds_with_tensorboard(tmp_path, scope):
    pytest.importorskip(SCOPES[scope])
    cfg = uncommented(tmp_path, scope, 'TensorboardVisBackend')
    init_default_scope(scope)
    visualizer = VISUALIZERS.build({**cfg.visualizer, 'save_dir': str(tmp_path / 'run')})
    assert 'TensorboardVisBackend' in visualizer._vis_backends
    if importlib.util.find_spec('tensorboard') is None:
        with pytest.raises(ImportError, match=r'torch\.utils\.tensorboard'):
            visualizer.add_scalar('loss', 1.0, 1)
        return
    visualizer.add_scalar('loss', 1.0, 1)
    visualizer.close()
    assert list((tmp_path / 'run').rglob('events.out.tfevents.*'))
