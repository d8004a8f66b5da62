"""Draw the images of a data set after the training pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
from mmengine.utils import track_iter_progress

from mmcoat.datasets.layout import check_dataset
from mmcoat.errors import UsageError
from mmcoat.runs import datasets


def browse(cfg: Config, phase: str, output_dir: str, number: int) -> int:
    """Write pictures of the first images of a data set with their annotations.

    Args:
        cfg: A whole config.
        phase: ``'train'``, ``'val'`` or ``'test'``.
        output_dir: Where the pictures go.
        number: Maximal number of images.

    Returns:
        The number of written pictures.

    Raises:
        LayoutError: The data set does not exist.
        UsageError: The config has no such dataloader or no visualizer, or the number is below 1.
    """
    if number < 1:
        raise UsageError(f'--number must be 1 or more, got {number}')
    for key in (f'{phase}_dataloader', 'visualizer'):
        if not cfg.get(key):
            raise UsageError(f'this config has no {key}')
    for dataset_cfg in datasets(cfg, (phase,)):
        check_dataset(dataset_cfg)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    dataset = DATASETS.build(cfg[f'{phase}_dataloader'].dataset)
    visualizer = VISUALIZERS.build({**cfg.visualizer, 'save_dir': output_dir})
    visualizer.dataset_meta = dataset.metainfo
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    number = min(number, len(dataset))
    for index in track_iter_progress(range(number)):
        item = dataset[index]
        _draw(visualizer, item, folder / f'{index:04d}_{_stem(item)}.png')
    return number


def _draw(visualizer: Any, item: dict, path: Path) -> None:
    sample = item['data_samples']
    image = item['inputs'].permute(1, 2, 0).numpy()  # (3, H, W) -> (H, W, 3)
    image = np.ascontiguousarray(image[..., ::-1])  # BGR -> RGB
    if hasattr(sample, 'gt_instances'):
        boxes = sample.gt_instances.bboxes
        sample.gt_instances.bboxes = getattr(boxes, 'tensor', boxes)
    if hasattr(visualizer, 'visualize_cls'):  # MMPretrain names its methods by task
        visualizer.visualize_cls(image, sample, out_file=str(path))
        return
    visualizer.add_datasample(path.stem, image, sample, draw_pred=False, out_file=str(path))


def _stem(item: dict) -> str:
    path = item['data_samples'].get('img_path', None)
    return Path(path).stem if path else 'image'
