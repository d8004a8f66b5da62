"""`python -m mmcoat` reports what is installed and how to fix problems, and never crashes."""

import json
import os
import subprocess
import sys

import pytest

from mmcoat import doctor
from mmcoat.doctor import checks as rows
from mmcoat.ops import processor
from tests.helpers import ROOT

NEEDED = {
    'Python',
    'mmcoat',
    'torch',
    'OpenMMLab line',
    'mmengine',
    'mmcv',
    'backend',
    'CoaT',
    'numpy',
}


def run(*arguments, path=''):
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(path), str(ROOT)])}
    command = [sys.executable, '-m', 'mmcoat', *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def answer(path=''):
    result = run('--json', path=path)
    content = json.loads(result.stdout)
    assert result.returncode == int(not content['ok'])
    assert 'Traceback' not in result.stderr
    return {check['name']: check for check in content['checks']}


def test_a_whole_installation():
    result = run()
    assert result.returncode == 0 and not result.stderr
    found = answer()
    assert set(found) > NEEDED
    assert all(found[name]['status'] == 'ok' for name in NEEDED - {'numpy'})
    for name in found:
        assert name in result.stdout
    assert 'auto runs' in found['backend']['found']


def test_help():
    assert '--json' in run('--help').stdout


@pytest.mark.parametrize(
    'package, row, status',
    [
        ('mmengine', 'mmengine', 'error'),
        ('mmcv', 'mmcv', 'error'),
        ('torch', 'torch', 'error'),
        ('cv2', 'OpenCV', 'error'),
        ('mmdet', 'mmdet', 'warning'),
        ('triton', 'triton', 'warning'),
    ],
)
def test_a_package_that_cannot_be_imported(tmp_path, package, row, status):
    """A broken import is a line with its reason."""
    (tmp_path / f'{package}.py').write_text('raise RuntimeError("undefined symbol: xyz\\nmore")\n')
    found = answer(tmp_path)
    assert found[row]['status'] == status
    assert found[row]['found'].endswith('RuntimeError: undefined symbol: xyz')
    assert found[row]['remedy']


@pytest.mark.parametrize(
    'avx512, amx, bf16, text',
    [
        (True, True, True, 'AVX512 with AMX: bf16 pays'),
        (True, False, True, 'AVX512 with bf16 units: bf16 pays'),
        (True, False, False, 'AVX512: take fp32, bf16 does not pay'),
        (False, False, False, 'AVX2: take fp32, bf16 is many times slower'),
    ],
)
def test_what_the_processor_is_good_for(monkeypatch, avx512, amx, bf16, text):
    monkeypatch.setattr(processor, 'CAPABILITY', 'AVX512' if avx512 else 'AVX2')
    monkeypatch.setattr(processor, 'HAS_AVX512', avx512)
    monkeypatch.setattr(processor, 'HAS_AMX', amx)
    monkeypatch.setattr(processor, 'HAS_BF16', bf16)
    found = {check.name: check for check in doctor.examine()}['processor']
    assert (found.status, found.found) == ('ok', text)


def test_without_rich_there_are_plain_lines(monkeypatch, capsys):
    from mmcoat.__main__ import main

    monkeypatch.setattr(
        doctor, 'examine', lambda: [doctor.Check('torch', doctor.ERROR, 'none', 'mend')]
    )
    monkeypatch.setitem(sys.modules, 'rich.console', None)
    assert main([]) == 1
    assert capsys.readouterr().out.split() == ['error', 'torch', 'none', 'mend']


def test_nothing_of_openmmlab(monkeypatch):
    monkeypatch.setattr(rows, 'version', lambda *names: None)
    found = {check.name: check for check in doctor.examine()}
    assert found['OpenMMLab line'].status == doctor.ERROR
    assert found['OpenMMLab line'].remedy == 'pip install "mmcoat[onedl]"'
    assert found['torch'].remedy == 'pip install torch'


def test_both_lines(monkeypatch):
    both = {'onedl-mmcv': '2.3.6', 'mmcv': '2.1.0', 'mmengine': '0.10.7', 'torch': '2.5.1'}
    monkeypatch.setattr(
        rows, 'version', lambda *names: next((both[n] for n in names if n in both), None)
    )
    found = {check.name: check for check in doctor.examine()}
    assert found['OpenMMLab line'].status == doctor.ERROR
    assert 'pip uninstall mmengine mmcv,' in found['OpenMMLab line'].remedy
    assert found['torch'].status == doctor.ERROR


def test_torchvision_of_another_build(tmp_path, monkeypatch):
    (tmp_path / 'torchvision.py').write_text('raise OSError("libcudart.so: cannot open")\n')
    info = tmp_path / 'torchvision-0.99.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99\n')
    found = answer(tmp_path)['torchvision']
    assert found['status'] == 'warning'
    assert found['found'] == '0.99 cannot be imported: OSError: libcudart.so: cannot open'
    assert 'same build as torch' in found['remedy']


def test_a_cache_that_cannot_be_written(monkeypatch):
    monkeypatch.setattr(rows.os, 'access', lambda path, mode: False)
    found = {check.name: check for check in doctor.examine()}['cache']
    assert found.status == doctor.WARNING and 'TORCH_HOME' in found.remedy


def test_weights_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    folder = tmp_path / 'hub' / 'checkpoints'
    folder.mkdir(parents=True)
    (folder / 'coat_lite_small_8d362f48.pth').touch()
    found = {check.name: check for check in doctor.examine()}['weights']
    assert found.found.startswith('1 of ') and found.found.endswith('cache: coat_lite_small')
