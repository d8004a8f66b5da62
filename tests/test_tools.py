"""The command-line tools: help, and errors that a user can act on, in one line."""

import subprocess
from pathlib import Path

import pytest

from tests.helpers import ROOT, run_tool

CONFIG = ROOT / 'configs' / 'upernet_coat_lite_t_ade20k.py'
TOOLS = sorted(path.stem for path in (ROOT / 'tools').glob('*.py'))
SCRIPTS = sorted((ROOT / 'tools').glob('*.sh'))


@pytest.mark.parametrize('tool', TOOLS)
def test_help(monkeypatch, capsys, tool):
    assert run_tool(monkeypatch, tool, '--help') == 0
    text = capsys.readouterr().out
    assert text.startswith('usage:')
    assert len(text.splitlines()) > 5


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_scripts_say_how_they_are_called(script):
    result = subprocess.run(['bash', script], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert 'usage:' in result.stderr


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_everything_on(script, tmp_path):
    """The launcher is replaced by one that prints its arguments."""
    launcher = tmp_path / ('srun' if 'slurm' in script.name else 'python')
    launcher.write_text('#!/bin/sh\nfor a in "$@"; do echo "$a"; done\n')
    launcher.chmod(0o755)
    arguments = {
        'dist_train': ['CONFIG', '3'],
        'dist_test': ['CONFIG', 'CHECKPOINT', '3'],
        'slurm_train': ['PARTITION', 'JOB', 'CONFIG', 'WORK'],
        'slurm_test': ['PARTITION', 'JOB', 'CONFIG', 'CHECKPOINT'],
    }[script.stem]
    path = f'{tmp_path}:/usr/bin:/bin'
    result = subprocess.run(
        ['bash', script, *arguments, '--cfg-options', 'a=b c'],
        capture_output=True,
        text=True,
        check=True,
        env={'PATH': path, 'GPUS': '3'},
    )
    passed = result.stdout.splitlines()
    tool = 'train.py' if 'train' in script.name else 'test.py'
    at = next(i for i, value in enumerate(passed) if Path(value).name == tool)
    assert passed[at + 1] == 'CONFIG'
    assert passed[-2:] == ['--cfg-options', 'a=b c']
    assert '--launcher' in passed[at:]
    assert ('--nproc_per_node=3' in passed) or ('--ntasks=3' in passed)


def fails(monkeypatch, capsys, *arguments) -> str:
    """Call a tool that must stop with status 2 and one line; return the line."""
    assert run_tool(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert 'Traceback' not in error
    assert len(error.splitlines()) == 1
    return error


def test_missing_config(monkeypatch, capsys):
    assert 'config no.py does not exist' in fails(monkeypatch, capsys, 'train', 'no.py')


def test_missing_toolbox(monkeypatch, capsys, tmp_path):
    config = tmp_path / 'needs_more.py'
    config.write_text(
        "custom_imports = dict(imports='no_such_toolbox', allow_failed_imports=False)"
    )
    error = fails(monkeypatch, capsys, 'print_config', config)
    assert 'needs a toolbox that is not installed' in error
    assert 'no_such_toolbox' in error


@pytest.mark.parametrize(
    'text, message',
    [
        ('a = (', 'SyntaxError'),
        ("_base_ = './no_such_base.py'", 'no_such_base.py'),
        ('a = b', "NameError: name 'b' is not defined"),
    ],
)
def test_faulty_configs(monkeypatch, capsys, tmp_path, text, message):
    config = tmp_path / 'faulty.py'
    config.write_text(text)
    error = fails(monkeypatch, capsys, 'print_config', config)
    assert f'config {config} cannot be read' in error
    assert message in error


def test_options_without_a_value(monkeypatch, capsys):
    error = fails(monkeypatch, capsys, 'print_config', CONFIG, '--cfg-options', 'data_root')
    assert "--cfg-options takes KEY=VALUE, got 'data_root'" in error


def test_new_keys_need_a_word(monkeypatch, capsys):
    arguments = ['print_config', CONFIG, '--cfg-options', 'modle.backbone.arch=tiny']
    assert 'did you mean model?' in fails(monkeypatch, capsys, *arguments)
    assert run_tool(monkeypatch, *arguments, '--allow-new-keys') == 0


def test_save_path_never_overwrites(monkeypatch, capsys, tmp_path):
    config = tmp_path / 'mine.py'
    text = f'_base_ = {str(CONFIG)!r}'
    config.write_text(text)
    error = fails(monkeypatch, capsys, 'print_config', config, '--save-path', config)
    assert f'--save-path {config} exists' in error
    assert config.read_text() == text
    (tmp_path / 'dangling.py').symlink_to(tmp_path / 'gone')
    error = fails(
        monkeypatch, capsys, 'print_config', config, '--save-path', tmp_path / 'dangling.py'
    )
    assert 'exists' in error
    nowhere = tmp_path / 'no' / 'x.py'
    assert 'cannot be written' in fails(
        monkeypatch, capsys, 'print_config', config, '--save-path', nowhere
    )


def test_traceback_on_demand(monkeypatch, capsys):
    monkeypatch.setenv('MMCOAT_TRACEBACK', '1')
    assert run_tool(monkeypatch, 'train', 'no.py') == 2
    error = capsys.readouterr().err
    assert error.startswith('Traceback') and 'in load_config' in error
    assert error.splitlines()[-1].startswith('train.py: error: config no.py does not exist')


def test_missing_data(monkeypatch, capsys, tmp_path):
    error = fails(monkeypatch, capsys, 'train', CONFIG, '--cfg-options', f'data_root={tmp_path}/no')
    assert f'folder {tmp_path}/no does not exist' in error
    assert 'images/{training,validation}/*.jpg with annotations' in error


def test_print_config(monkeypatch, capsys, tmp_path):
    saved = tmp_path / 'all.py'
    status = run_tool(
        monkeypatch,
        'print_config',
        CONFIG,
        '--save-path',
        saved,
        '--cfg-options',
        'data_root=elsewhere',
        'model.backbone.crpe_window=[(3,4),(5,4)]',
    )
    assert status == 0
    text = capsys.readouterr().out
    assert "data_root='elsewhere'" in text.replace('"', "'")
    from mmengine.config import Config

    cfg = Config.fromfile(str(saved))
    assert cfg.train_dataloader.dataset.data_root == 'elsewhere'
    assert cfg.val_dataloader.dataset.data_root == 'elsewhere'
