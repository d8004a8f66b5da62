"""Every kernel compiles for every generation of GPUs, without one: forward, backward, all head widths."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip('triton', reason='the fused operators are written in Triton')
from .ahead_of_time import TARGETS


def run(module: str, *arguments: str) -> list[dict]:
    """Lines of JSON that a module of this folder writes where kernels are compiled, not interpreted."""
    environment = {k: v for k, v in os.environ.items() if k != 'TRITON_INTERPRET'}
    command = [sys.executable, '-m', f'tests.ops.fused.{module}', *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return [json.loads(line) for line in result.stdout.splitlines()]


KERNELS = {
    'attention_grad_kernel',
    'attention_kernel',
    'conv_pos_enc_kernel',
    'gelu_grad_kernel',
    'join_context_kernel',
    'join_grad_kernel',
    'layer_norm_grad_kernel',
    'layer_norm_kernel',
    'pack_windows_kernel',
    'scale_exchange_kernel',
    'token_product_kernel',
    'window_grad_kernel',
}


def check(rows: list[dict]) -> None:
    """All kernels are there, fit into shared memory, and spill next to nothing."""
    assert {row['kernel'] for row in rows} == KERNELS
    too_large = [row for row in rows if row['shared'] > 1024 * TARGETS[row['target']]]
    assert not too_large
    spilled = [row for row in rows if row['stack'] > 64]  # a few bytes are no harm
    assert not spilled


def test_kernels_compile_for_sm_90_and_fit():
    rows = run('ahead_of_time')
    check(rows)
    assert {row['width'] for row in rows} == {8, 16, 19, 27, 32, 40, 64}


def test_kernels_compile_for_every_other_generation_and_fit():
    others = [target for target in TARGETS if target != 90]
    rows = run('ahead_of_time', '--few', '--targets', *map(str, others))
    check(rows)
    assert {row['target'] for row in rows} == {80, 86, 89, 100, 120}


def test_compilers_see_the_kernels_and_what_they_write():
    rows = run('traced')
    assert {row['direction'] for row in rows} == {'forward', 'backward'}
    written = {}
    for row in rows:
        written.setdefault(row['kernel'], set()).update(row['written'])
    # Nothing but results: an argument that is taken for a result would be copied at every launch.
    assert written == {
        'attention_grad_kernel': {'d_qkv'},
        'attention_kernel': {'out'},
        'conv_pos_enc_kernel': {'out'},
        'gelu_grad_kernel': {'activation', 'd_hidden'},
        'join_context_kernel': {'context', 'top', 'total', 'out_cls'},
        'join_grad_kernel': {'d_context', 'row_sum', 'd_qkv_cls'},
        'layer_norm_grad_kernel': {'d_x', 'table'},
        'layer_norm_kernel': {'normed', 'mean', 'rstd'},
        'pack_windows_kernel': {'packed'},
        'scale_exchange_kernel': {'out'},
        'token_product_kernel': {'product', 'top', 'total'},
        'window_grad_kernel': {'table'},
    }
