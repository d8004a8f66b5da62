"""Pictures of the detection demo: boxes and masks that were found beside the truth."""

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from pycocotools import mask as coco_mask

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from mmcoat.datasets.synthetic import OBJECT_CLASSES

SCORE_THRESHOLD = 0.5
COLOURS = {
    name: plt.get_cmap('tab10')(place if place < 7 else place + 1)  # 7 is grey, as roads are
    for place, name in enumerate(OBJECT_CLASSES)
}


class Found(NamedTuple):
    """One object: box (x1, y1, x2, y2), mask (H, W) bool, class name and what to show behind it."""

    box: np.ndarray
    mask: np.ndarray
    name: str
    note: str


def draw_detections(runner: Runner, path: Path, count: int = 6) -> None:
    """Draw truth and prediction side by side for ``count`` validation scenes with objects."""
    dataset = runner.val_dataloader.dataset
    shown = [n for n in range(len(dataset)) if len(dataset.get_data_info(n)['instances']) > 1]
    shown = shown or list(range(len(dataset)))
    picked = [shown[n] for n in np.linspace(0, len(shown) - 1, min(count, len(shown))).astype(int)]
    columns = 2
    rows = -(-len(picked) // columns)
    figure, axes = plt.subplots(
        rows,
        2 * columns,
        figsize=(4 * 3.2, rows * 2.4),
        squeeze=False,
        layout='constrained',
    )
    for axis in axes.flat:
        axis.axis('off')
    for place, index in enumerate(picked):
        row, column = divmod(place, columns)
        image, truth, found = _look(runner, int(index))
        for offset, (title, objects) in enumerate((('truth', truth), ('found', found))):
            _draw(axes[row, 2 * column + offset], image, objects, title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_losses(losses: list[float], path: Path) -> None:
    """Draw the training loss, and its mean over some steps."""
    figure, axis = plt.subplots(figsize=(6.4, 3.6), layout='constrained')
    steps, window = np.arange(1, len(losses) + 1), max(1, len(losses) // 30)
    smooth = np.convolve(losses, np.ones(window) / window, mode='valid')
    axis.plot(steps, losses, color='0.8', label='each iteration')
    axis.plot(steps[window - 1 :], smooth, color='tab:blue', label=f'mean of {window}')
    axis.set(xlabel='iteration', ylabel='training loss', yscale='log')
    axis.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


@torch.no_grad()
def _look(runner: Runner, index: int) -> tuple[np.ndarray, list[Found], list[Found]]:
    """Return the image, the true objects and those found with a fair score."""
    dataset = runner.val_dataloader.dataset
    info = dataset.get_data_info(index)
    image = plt.imread(info['img_path'])
    names = dataset.metainfo['classes']
    truth = [_truth(instance, image.shape[:2], names) for instance in info['instances']]
    runner.model.eval()
    sample = runner.model.test_step(pseudo_collate([dataset[index]]))[0]
    objects = sample.pred_instances.cpu().numpy()
    found = [
        Found(box, mask, names[label], f' {score:.2f}')
        for box, mask, label, score in zip(
            objects.bboxes, objects.masks, objects.labels, objects.scores, strict=True
        )
        if score >= SCORE_THRESHOLD
    ]
    return image, truth, found


def _truth(instance: dict[str, Any], shape: tuple[int, int], names: tuple[str, ...]) -> Found:
    mask, (height, width) = instance['mask'], shape
    if isinstance(mask, list):
        mask = coco_mask.merge(coco_mask.frPyObjects(mask, height, width))
    elif isinstance(mask['counts'], list):
        mask = coco_mask.frPyObjects(mask, height, width)
    note = ' (crowd)' if instance['ignore_flag'] else ''
    pixels = coco_mask.decode(mask).astype(bool)
    return Found(np.array(instance['bbox']), pixels, names[instance['bbox_label']], note)


def _draw(axis: plt.Axes, image: np.ndarray, objects: list[Found], title: str) -> None:
    axis.imshow(image)
    axis.set_title(title, fontsize=8)
    for item in objects:
        colour = COLOURS.get(item.name, (0, 0, 0, 1))  # black: a class that no scene shows
        layer = np.zeros((*item.mask.shape, 4))
        layer[item.mask] = (*colour[:3], 0.5)
        axis.imshow(layer)
        x1, y1, x2, y2 = item.box
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, lw=1.5))
        axis.text(
            max(x1, 0.0),
            max(y1, 0.0),
            item.name + item.note,
            fontsize=6,
            color='white',
            verticalalignment='top',
            bbox=dict(facecolor=colour, edgecolor='none', pad=1),
            clip_on=True,
        )
