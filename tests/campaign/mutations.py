"""Put faults into a copy of the tree, one at a time, and check that the tests find them.

    python -m tests.campaign.mutations             # about 5 minutes on one core
    python -m tests.campaign.mutations drop eps    # mutations whose name holds one of the words

Each test file must pass on the untouched copy; then a mutation is caught when a test fails on it. The exit
status is 1 when a mutation survives, or when the text that it replaces is no longer there.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.helpers import ROOT

BACKBONES, CHECKPOINTS = 'mmcoat/models/backbones', 'mmcoat/checkpoints'
OPS = ('ops/test_blocks.py',)
ATTENTION = ('ops/test_plain.py::test_conv_attention',)
PRECISION = ('ops/test_precision.py',)
NAMES = ('checkpoints/test_names.py',)
GOLDEN = ('models/test_golden.py::test_features',)
PASSED, FAILED = 0, 1  # exit statuses of pytest; others are no verdict
LONGEST = 900  # seconds for the tests of a file


class Mutation(NamedTuple):
    """One fault: ``old`` stands once in ``file``, and becomes ``new``; ``tests`` should notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = [
    Mutation(
        'order: the reference leaves the class token out of the softmax',
        'mmcoat/ops/reference.py',
        'total = weight.sum(2, keepdim=True) + weight_cls',
        'total = weight.sum(2, keepdim=True)',
        OPS,
    ),
    Mutation(
        'sign: the gradient of the softmax adds the row sum',
        'mmcoat/ops/plain/conv_attention.py',
        'inner.sub_(product)',
        'inner.add_(product)',
        ATTENTION,
    ),
    Mutation(
        'scale: the attention of small maps in training has none',
        'mmcoat/ops/plain/conv_attention.py',
        '(q @ (scale * context))',
        '(q @ context)',
        ATTENTION,
    ),
    Mutation(
        "index: the filters' gradient of small maps is a column off",
        'mmcoat/ops/plain/conv_attention.py',
        'F.pad(x, (pad, pad, pad, pad))',
        'F.pad(x, (pad - 1, pad + 1, pad, pad))',
        ATTENTION,
    ),
    Mutation(
        'maximum: the key of the class token does not count',
        'mmcoat/ops/plain/conv_attention.py',
        'top = torch.maximum(k.detach().amax(1, keepdim=True), k_cls.detach())',
        'top = k.detach().amax(1, keepdim=True)',
        PRECISION,
    ),
    Mutation(
        'range: sums near the ends of float32 pass as safe',
        'mmcoat/ops/plain/conv_attention.py',
        '_SAFE_SUMS = (1e-15, 1e20)',
        "_SAFE_SUMS = (0.0, float('inf'))",
        PRECISION,
    ),
    Mutation(
        'precision: bfloat16 autocast swallows the filter of the position encoding',
        'mmcoat/ops/plain/conv_pos_enc.py',
        ' and compute_dtype(x) == x.dtype',
        '',
        PRECISION,
    ),
    Mutation(
        'index: the residual sits on another tap of the filter',
        'mmcoat/ops/plain/conv_pos_enc.py',
        'centre[window // 2, window // 2] = 1.0',
        'centre[window // 2, 0] = 1.0',
        OPS,
    ),
    Mutation(
        "eps: the blocks' norms take PyTorch's",
        f'{BACKBONES}/blocks.py',
        'BLOCK_NORM_EPS = 1e-6',
        'BLOCK_NORM_EPS = 1e-5',
        GOLDEN,
    ),
    Mutation(
        'order: the exchange sums the class tokens before the attention',
        f'{BACKBONES}/blocks.py',
        'cls_sum = sum(cls for cls, _ in attended)',
        'cls_sum = sum(cls for cls, _ in tokens)',
        OPS,
    ),
    Mutation(
        'scale: by all channels instead of those of a head',
        f'{BACKBONES}/conv_attention.py',
        'self.scale = (channels // num_heads) ** -0.5',
        'self.scale = channels**-0.5',
        GOLDEN,
    ),
    Mutation(
        "eps: the patch embedding's norm takes the blocks'",
        f'{BACKBONES}/stage.py',
        'self.norm = nn.LayerNorm(channels)',
        'self.norm = nn.LayerNorm(channels, eps=1e-6)',
        ('models/test_small_numbers.py',),
    ),
    Mutation(
        'probability: drop path keeps what it should drop',
        f'{BACKBONES}/tokens.py',
        'bernoulli_(keep)',
        'bernoulli_(self.rate)',
        ('models/test_small_numbers.py',),
    ),
    Mutation(
        'order: stage and number of a norm change places in its official name',
        f'{CHECKPOINTS}/names.py',
        'parallel_blocks.{p}.norm{n}{s}.{w}  ',
        'parallel_blocks.{p}.norm{s}{n}.{w}  ',
        NAMES,
    ),
    Mutation(
        'index: the numbers of the stages are not shifted back',
        f'{CHECKPOINTS}/names.py',
        'self._shift(fields, self.first_stage)',
        'self._shift(fields, 0)',
        NAMES,
    ),
    Mutation(
        'scale: filters for more channels grow instead of shrinking',
        f'{CHECKPOINTS}/load.py',
        '(3.0 / in_channels)',
        '(in_channels / 3.0)',
        ('checkpoints/test_load.py',),
    ),
    Mutation(
        'shape: a tensor of another shape is no mismatch',
        f'{CHECKPOINTS}/load.py',
        'if key in weights and weights[key].shape != value.shape',
        'if key in weights and weights[key].dim() != value.dim()',
        ('checkpoints/test_load.py',),
    ),
    Mutation(
        'range: infinite weights are taken',
        f'{CHECKPOINTS}/files.py',
        'torch.isfinite(value.float() if value.element_size() == 1 else value).all()',
        'not torch.isnan(value.float() if value.element_size() == 1 else value).any()',
        ('checkpoints/test_security.py',),
    ),
    Mutation(
        'order: a write that failed takes the place of the file',
        f'{CHECKPOINTS}/atomic.py',
        'draft.unlink(missing_ok=True)\n        raise',
        'draft.replace(path)\n        raise',
        ('checkpoints/test_convert.py',),
    ),
]


def copy_tree(folder: Path) -> Path:
    """Copy what the tests need, without compiled Python, and return where."""
    copy = folder / 'tree'
    ignore = shutil.ignore_patterns('__pycache__', '.*', 'work_dirs')
    for name in ('mmcoat', 'tests', 'configs', 'tools'):
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    for name in ('setup.cfg', 'pyproject.toml', 'model-index.yml'):
        shutil.copy(ROOT / name, copy / name)
    return copy


def run_tests(tree: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Return pytest's exit status on ``tree``, and the first test that failed or else its last words."""
    files = [f'tests/{test}' for test in tests]
    # no bytecode: a file that changes twice in a second and keeps its size would run in its old form
    environment = {**os.environ, 'PYTHONPATH': str(tree), 'PYTHONDONTWRITEBYTECODE': '1'}
    command = [sys.executable, '-m', 'pytest', '-x', '-rfE', '--tb=no', '-p', 'no:cacheprovider']
    try:
        done = subprocess.run(
            [*command, *files],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST * len(files),
        )
    except subprocess.TimeoutExpired:
        return -1, f'no end after {LONGEST * len(files)} s'
    found = re.search(r'^(?:FAILED|ERROR) tests/(\S+)', done.stdout, re.MULTILINE)
    return done.returncode, found[1] if found else (done.stdout + done.stderr).strip()[-300:]


def mutate(tree: Path, mutation: Mutation) -> str | None:
    """Put the fault into ``tree``; return the file's old text, None if ``old`` is not in it exactly once."""
    path = tree / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        return None
    path.write_text(text.replace(mutation.old, mutation.new))
    return text


def judge(tree: Path, mutation: Mutation) -> tuple[str, str]:
    """Return 'caught', 'SURVIVED' or 'ERROR', and the test that caught it or what went wrong."""
    text = mutate(tree, mutation)
    if text is None:
        return 'ERROR', f'{mutation.old!r} does not stand once in {mutation.file}'
    try:
        status, words = run_tests(tree, mutation.tests)
    finally:
        (tree / mutation.file).write_text(text)
    if status == PASSED:
        return 'SURVIVED', f'{", ".join(mutation.tests)} pass'
    return ('caught' if status == FAILED else 'ERROR'), words


def main(words: list[str], tell: Callable[[str], None]) -> int:
    """Run the mutations, print a table of them, and return the exit status."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory() as temporary:
        tree = copy_tree(Path(temporary))
        every = tuple(dict.fromkeys(test for m in chosen for test in m.tests))
        status, failed = run_tests(tree, every)
        if status != PASSED:
            tell(f'the tests do not pass on the untouched copy: {failed}')
            return 1
        tell('| mutation | file | outcome | by | seconds |\n|---|---|---|---|---|')
        outcomes = []
        for mutation in chosen:
            begin = time.monotonic()
            outcome, by = judge(tree, mutation)
            outcomes.append(outcome)
            seconds = time.monotonic() - begin
            tell(f'| {mutation.name} | {mutation.file} | {outcome} | {by} | {seconds:.0f} |')
    tell(f'{outcomes.count("caught")} of {len(outcomes)} caught')
    return 0 if set(outcomes) == {'caught'} else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:], lambda line: print(line, flush=True)))
