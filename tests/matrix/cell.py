"""What one cell of the matrix tries, in its own environment: imports, numbers, a training step of each task.

Usage: python cell.py CHECKOUT RESULT.json, in an empty folder. mmcoat is the one that is installed; of the
checkout only the golden numbers are read. Each step runs for itself, so that one that fails hides no other.
"""

import importlib
import importlib.util
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

VERSIONS = {
    'torch': ('torch',),
    'numpy': ('numpy',),
    'OpenCV': ('opencv-python', 'opencv-python-headless'),
    'setuptools': ('setuptools',),
    'mmcv': ('onedl-mmcv', 'mmcv'),
}
QUICK = 'dict(num_workers=0, persistent_workers=False)'
SEGMENTATION = f"""
_base_ = '{{configs}}/fpn_coat_lite_t_ade20k.py'
data_root = 'ade'
crop_size = (64, 64)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = {QUICK}
test_dataloader = {QUICK}
train_cfg = dict(max_iters=1, val_interval=1)
model = dict(backbone=dict(init_cfg=None))
"""
DETECTION = f"""
_base_ = '{{configs}}/mask_rcnn_coat_lite_t_1x_coco.py'
data_root = 'coco/'
model = dict(
    backbone=dict(init_cfg=None),
    test_cfg=dict(rpn=dict(max_per_img=20), rcnn=dict(max_per_img=3)),
)
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True), dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
quick = {QUICK}
train_dataloader = dict(
    batch_size=2, dataset=dict(pipeline=train_pipeline, filter_cfg=dict(filter_empty_gt=False)), **quick)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline), **quick)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline), **quick)
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(save_best=None))
"""


def imports(_: Path) -> None:
    """Import mmcoat with all its rooms and the two toolboxes, on its own operators, and build nothing."""
    from mmcoat import compat

    compat.use_pytorch_ops()
    for name in ('mmseg.apis', 'mmdet.apis', 'mmcoat.apis', 'mmcoat.visualization'):
        importlib.import_module(name)
    for name in ('analysis', 'datasets', 'engine', 'evaluation', 'runs', 'demo', 'cli'):
        importlib.import_module(f'mmcoat.{name}')


def golden(checkout: Path) -> None:
    """Compare the features of CoaT-Lite Tiny with the official code's."""
    import torch

    import mmcoat

    spec = importlib.util.spec_from_file_location('golden', checkout / 'tests' / 'golden.py')
    numbers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(numbers)
    record = numbers.load('coat.json')['coat_lite_tiny']
    model = mmcoat.CoaT('lite_tiny').eval()
    model.load_state_dict(numbers.state_dict(record['state_dict']))
    for case in record['features']:
        with torch.inference_mode():
            outputs = model(numbers.image(case['input']))
        for output, expected in zip(outputs, case['outputs'], strict=True):
            numbers.assert_matches(output, expected)


def tool(name: str, *arguments: str) -> None:
    """Run a tool of the installed package.

    Raises:
        RuntimeError: It failed; says its last line.
    """
    import mmcoat

    path = Path(mmcoat.__file__).parent / '.mim' / 'tools' / f'{name}.py'
    result = subprocess.run(
        [sys.executable, str(path), *arguments], capture_output=True, text=True, check=False
    )
    if result.returncode:
        Path(f'{name}.log').write_text(result.stdout + result.stderr)
        raise RuntimeError((result.stderr.strip() or result.stdout.strip()).splitlines()[-1])


def train(layout: str, root: str, text: str) -> None:
    """Draw a data set, train one step on it, evaluate."""
    import mmcoat

    tool('make_synthetic_dataset', layout, root, '--train', '2', '--val', '1', '--size', '64', '64')
    config = Path(f'{root}.py')
    configs = Path(mmcoat.__file__).parent / '.mim' / 'configs'
    config.write_text(text.replace('{configs}', str(configs)))
    tool('train', str(config), '--work-dir', f'run_{root}')
    if not list(Path(f'run_{root}').glob('*_1.pth')):
        raise RuntimeError('no checkpoint was written')


def segmentation(_: Path) -> None:
    train('ade20k', 'ade', SEGMENTATION)


def detection(_: Path) -> None:
    train('coco', 'coco', DETECTION)


def doctor(_: Path) -> None:
    """Ask ``python -m mmcoat``, which must find nothing broken."""
    command = [sys.executable, '-m', 'mmcoat', '--json']
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(result.stdout)
    if not report['ok'] or result.returncode:
        broken = [f'{c["name"]}: {c["found"]}' for c in report['checks'] if c['status'] == 'error']
        raise RuntimeError('; '.join(broken) or f'exit status {result.returncode}')


def version(names: tuple[str, ...]) -> str:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return '-'


def main(checkout: Path, target: Path) -> None:
    steps = {}
    for step in (doctor, imports, golden, segmentation, detection):
        try:
            step(checkout)
            steps[step.__name__] = 'ok'
        except Exception as error:
            steps[step.__name__] = f'{type(error).__name__}: {error}'.strip().splitlines()[0][:300]
    versions = {key: version(names) for key, names in VERSIONS.items()}
    target.write_text(json.dumps(dict(versions=versions, steps=steps)))


if __name__ == '__main__':
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
