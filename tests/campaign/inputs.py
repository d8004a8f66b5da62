"""Give the tools bad input, and count the outcomes: a clear message, a traceback, or silence.

    python -m tests.campaign.inputs            # about 5 minutes on 2 cores
    python -m tests.campaign.inputs slide out  # cases whose name holds one of the words

A case is clear when the tool ends with status 2 and one line. The exit status is 1 when any is not.
"""

import contextlib
import io
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from mmcoat.datasets.synthetic import make_ade20k
from tests.helpers import run_tool
from tests.runs.common import segmentation_config

# --cfg-options of a training that must not start, or not go on
OPTIONS = """
train_cfg.max_iters=0 | train_cfg.max_iters=-1 | train_cfg.max_iters=1.5 | train_cfg.max_iters=many
train_cfg.max_iters=True | train_cfg.val_interval=0 | train_cfg.val_interval=-2 | train_cfg=5
train_cfg.type=IterLoop | auto_scale_lr.enable=True auto_scale_lr.base_batch_size=-16
train_dataloader.batch_size=0 | train_dataloader.batch_size=-1 | train_dataloader.batch_size=two
train_dataloader.num_workers=-1 | train_dataloader.num_workers=x | train_dataloader.dataset.type=Ade
train_dataloader.sampler.type=NoSampler | train_dataloader.dataset.data_prefix.img_path=nowhere
train_dataloader.dataset.pipeline.0.type=LoadImage | train_dataloader.dataset.pipeline.99.type=Resize
train_dataloader.dataset.pipeline.3.crop_size=(0,0) | train_dataloader.dataset.pipeline=[]
train_dataloader.dataset.img_suffix=.bmp | train_dataloader.persistent_workers=True
optim_wrapper.optimizer.lr=-1 | optim_wrapper.optimizer.lr=big | optim_wrapper.optimizer.type=Adm
optim_wrapper.type=Wrapper | optim_wrapper.clip_grad=5 | optim_wrapper.accumulative_counts=0
optim_wrapper.optimizer.betas=(2,3) | param_scheduler.0.type=NoLR | param_scheduler.0.begin=-5
model.backbone.arch=lite_tinny | model.backbone.arch=7 | model.backbone.arch=lite_mini
model.backbone.out_indices=(0,9) | model.backbone.out_indices=() | model.backbone.drop_path_rate=1.5
model.backbone.in_channels=4 | model.backbone.frozen_stages=12 | model.backbone.with_cp=maybe
model.backbone.backend=quick | model.backbone.type=mmcoat.Coat | model.backbone.type=CoatNet
model.backbone.crpe_window=[(3,4),(5,3)] | model.backbone.init_cfg.type=Pretrained
model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=no.pth
model.backbone.init_cfg.type=Nothing | model.neck.in_channels=[1,2,3,4] | model.neck.type=FPNN
model.neck.num_outs=2 | model.decode_head.type=Head | model.decode_head.in_channels=[7]
model.decode_head.num_classes=0 | num_classes=0 | num_classes=3 | num_classes=many | crop_size=0
crop_size=(64,) | model.decode_head.in_index=[0,1,2,9] | model.decode_head.loss_decode.type=Loss
model.data_preprocessor.mean=[1,2] | model=7 | model.type=Net
model.test_cfg.mode=slide | model.test_cfg.mode=slide model.test_cfg.crop_size=(64,64)
model.test_cfg.mode=slide model.test_cfg.crop_size=64 model.test_cfg.stride=(32,32)
model.test_cfg.mode=slide model.test_cfg.crop_size=(64,64) model.test_cfg.stride=(0,32)
val_evaluator.type=IoU | val_evaluator.iou_metrics=[mIuO] | val_cfg=None | default_scope=mmsegg
default_hooks.checkpoint.interval=x | default_hooks.checkpoint.type=Hook | default_hooks.logger=5
default_hooks.finite_loss.interval=0 | env_cfg.mp_cfg.mp_start_method=forc | visualizer.type=V
randomness.seed=x | log_level=LOUD | data_root= | data_root=nowhere | load_from=nowhere.pth
load_from=https://localhost:1/x.pth | load_from=mmcoat://nothing | resume=True | resume=True load_from=no.pth
mdel.backbone.arch=tiny | optim_wraper.optimizer.lr=1 | randomnes.seed=3 | load_form=x
a | =3 | a=(1 | train_cfg.max_iters.deep=3 | default_hooks.timer.type=Timer
"""


def option_cases() -> Iterator[tuple[str, list[str]]]:
    """Yield one case per option of a training."""
    for line in OPTIONS.strip().splitlines():
        for case in line.split(' | '):
            yield f'train {case.strip()}', ['--cfg-options', *case.split()]


def faulty_configs(folder: Path, good: Path) -> Iterator[tuple[str, list[object]]]:
    """Yield trainings with config files that cannot be read or hold something strange."""
    base = f'_base_ = {str(good)!r}\n'
    texts = {
        'syntax': 'a = (',
        'missing base': "_base_ = 'no.py'",
        'name': 'a = b',
        'empty': '',
        'binary': '\x00\x01',
        'no dict': base + 'model = None',
        'circle': "_base_ = 'circle.py'",
        'custom import': base + "custom_imports = dict(imports='no_such')",
        'mlp_ratios': base
        + 'model = dict(backbone=dict(arch=dict(_delete_=True, embed_dims=[8,8,8,8], '
        "serial_depths=[1,1,1,1], mlp_ratios='4444', num_heads=8, parallel_depth=0, parallel_stages=[])))",
        'huge': base
        + 'model = dict(backbone=dict(arch=dict(_delete_=True, embed_dims=[8,8,8,8000000000000], '
        'serial_depths=[1,1,1,1], mlp_ratios=[4,4,4,4], num_heads=8, parallel_depth=0, '
        'parallel_stages=[])), neck=dict(in_channels=[8,8,8,8000000000000]))',
        'frozen': base + 'custom_imports = dict(imports=["tests.campaign.inputs"])\n'
        "model = dict(type='FrozenSegmentor')",
    }
    for name, text in texts.items():
        path = folder / f'{name.replace(" ", "_")}.py'
        path.write_text(text)
        yield f'config {name}', ['train', path]
    yield 'config missing', ['train', folder / 'missing.py']
    yield 'config folder', ['train', folder]


def faulty_files(folder: Path, good: Path) -> Iterator[tuple[str, list[object]]]:
    """Yield trainings and tests with bad checkpoints, folders and options of the command line."""
    file = folder / 'file.txt'
    file.write_text('x')
    weights = folder / 'bare.pth'
    torch.save({'state_dict': {'backbone.a': torch.ones(2)}}, weights)
    torch.save([1, 2], folder / 'list.pth')
    (folder / 'cut.pth').write_bytes(weights.read_bytes()[:300])
    yield 'work dir is a file', ['train', good, '--work-dir', file]
    yield 'work dir below a file', ['train', good, '--work-dir', file / 'x']
    yield 'work dir not writable', ['train', good, '--work-dir', '/proc/x']
    yield 'test work dir is a file', ['test', good, weights, '--work-dir', file]
    for name in ('bare.pth', 'list.pth', 'cut.pth', 'file.txt', 'no.pth'):
        yield f'resume {name}', ['train', good, '--resume', folder / name]
        yield f'test {name}', ['test', good, folder / name]
        yield f'load_from {name}', ['train', good, '--cfg-options', f'load_from={folder / name}']
    yield 'resume nothing', ['train', good, '--resume']
    yield 'launcher pytorch', ['train', good, '--launcher', 'pytorch']
    yield 'launcher slurm', ['train', good, '--launcher', 'slurm']
    yield 'launcher mpi', ['test', good, weights, '--launcher', 'mpi']
    yield 'interval 0', ['test', good, weights, '--interval', '0']
    yield 'out exists', ['test', good, weights, '--out', file]
    yield 'out is the config', ['test', good, weights, '--out', good]
    yield 'save-path is the config', ['print_config', good, '--save-path', good]
    yield 'save-path exists', ['print_config', good, '--save-path', file]
    yield 'save-path kind', ['print_config', good, '--save-path', folder / 'x.txt']
    yield 'save-path folder', ['print_config', good, '--save-path', folder / 'no' / 'x.py']
    yield 'browse -5', ['browse_dataset', good, '--number', '-5', '--output-dir', folder / 'b']
    yield 'browse into a file', ['browse_dataset', good, '--output-dir', file]
    yield 'profile 0', ['profile_training', good, '--iterations', '0']


def run_case(arguments: list[object], work_dir: Path) -> tuple[str, str]:
    """Return the outcome of a case, and its last line."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.redirect_stderr(stderr):
        if arguments[0] in ('train', 'test', 'profile_training') and '--work-dir' not in arguments:
            arguments = [*arguments[:2], *arguments[2:], '--work-dir', work_dir]
        try:
            with contextlib.redirect_stdout(stdout):
                status = run_tool(monkeypatch, str(arguments[0]), *arguments[1:])
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return 'traceback', f'{type(error).__name__}: {error} [{place.filename}:{place.lineno}]'
    lines = stderr.getvalue().strip().splitlines()
    if status == 2 and lines and ': error: ' in lines[-1]:
        return 'clear', lines[-1]
    return f'silent ({status})', (lines or [''])[-1]


def add_frozen() -> None:
    """Register a segmentor that learns nothing."""
    from mmseg.models import EncoderDecoder
    from mmseg.registry import MODELS

    class FrozenSegmentor(EncoderDecoder):
        def __init__(self, **settings: object) -> None:
            super().__init__(**settings)
            self.requires_grad_(False)

    MODELS.register_module(FrozenSegmentor.__name__, module=FrozenSegmentor, force=True)


def main(words: list[str], tell: Callable[[str], None]) -> int:
    """Run the cases and return the exit status."""
    add_frozen()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_ade20k(folder / 'data', train=2, val=1, size=(80, 64), seed=3, overwrite=True)
        good = segmentation_config(folder, folder / 'data', iterations=1)
        cases: list[tuple[str, list[object]]] = [
            (name, ['train', good, *options]) for name, options in option_cases()
        ]
        cases += [*faulty_configs(folder, good), *faulty_files(folder, good)]
        for number, (name, arguments) in enumerate(cases):
            if words and not any(word in name for word in words):
                continue
            outcome, line = run_case(arguments, folder / f'run{number}')
            counts[outcome] += 1
            tell(f'{outcome:12} {name}: {line[:300]}')
    tell(', '.join(f'{count} {outcome}' for outcome, count in counts.items()))
    return 0 if set(counts) == {'clear'} else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:], lambda line: print(line, flush=True)))
