"""Pictures of the demos: scenes with truth and prediction, and the curves of training."""

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from matplotlib.patches import Patch, Rectangle

from mmcoat.apis import models
from mmcoat.apis.inputs import read_image
from mmcoat.datasets.synthetic import OBJECT_CLASSES
from mmcoat.visualization.look import Wish, look
from mmcoat.visualization.subject import prepare

IGNORED = (255, 255, 255)
SCORE_THRESHOLD = 0.5
COLOURS = {
    name: plt.get_cmap('tab10')(place if place < 7 else place + 1)  # 7 is grey, as roads are
    for place, name in enumerate(OBJECT_CLASSES)
}


def draw_curves(losses: list[float], scores: list[tuple[int, float]], path: Path) -> None:
    """Draw the training loss, also smoothed, and beside it the mIoU if it was measured in training."""
    panels = 2 if scores else 1
    figure, axes = plt.subplots(
        1, panels, figsize=(3.2 + 3.2 * panels, 3.6), squeeze=False, layout='constrained'
    )
    left, right = axes[0, 0], axes[0, -1]
    steps, window = np.arange(1, len(losses) + 1), max(1, len(losses) // 30)
    smooth = np.convolve(losses, np.ones(window) / window, mode='valid')
    left.plot(steps, losses, color='0.8', label='each iteration')
    left.plot(steps[window - 1 :], smooth, color='tab:blue', label=f'mean of {window}')
    left.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    left.legend(frameon=False)
    if scores:
        right.plot(*zip(*scores, strict=True), marker='o', color='tab:green')
        right.set(xlabel='iteration', ylabel='mIoU on unseen scenes', ylim=(0, 1))
        right.grid(alpha=0.3)
    _save(figure, path)


# ---------------------------------------------------------------------- segmentation


def draw_label_maps(runner: Runner, path: Path, count: int = 6) -> None:
    """Draw image, truth and prediction side by side for ``count`` validation scenes."""
    dataset = runner.val_dataloader.dataset
    rows = [_label_maps(runner, index) for index in _spread(range(len(dataset)), count)]
    palette = np.array(dataset.metainfo['palette'], dtype=np.uint8)
    figure, axes = plt.subplots(
        len(rows), 3, figsize=(9.6, 2.5 * len(rows) + 0.9), squeeze=False, layout='constrained'
    )
    for row, (image, *maps) in zip(axes, rows, strict=True):
        shown = (image, *(_colour(labels, palette) for labels in maps))
        for axis, picture in zip(row, shown, strict=True):
            axis.imshow(picture, interpolation='nearest')
            axis.axis('off')
    for axis, title in zip(axes[0], ('image', 'truth', 'prediction'), strict=True):
        axis.set_title(title)
    present = np.unique(np.concatenate([np.unique(labels) for _, *maps in rows for labels in maps]))
    names = dataset.metainfo['classes']
    handles = [Patch(color=palette[i] / 255, label=names[i]) for i in present if i < len(palette)]
    figure.legend(handles=handles, loc='outside lower center', ncols=6, frameon=False)
    _save(figure, path)


def _label_maps(runner: Runner, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the image (H, W, 3) in RGB, and truth and prediction (H, W)."""
    sample = _predict(runner, index)
    truth, prediction = sample.gt_sem_seg.data, sample.pred_sem_seg.data
    image = plt.imread(sample.img_path)
    return image, truth.squeeze().cpu().numpy(), prediction.squeeze().cpu().numpy()


def _colour(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    picture = np.full((*labels.shape, 3), IGNORED, dtype=np.uint8)
    known = labels < len(palette)
    picture[known] = palette[labels[known]]
    return picture


# ---------------------------------------------------------------------- detection


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
    picked = _spread(shown or range(len(dataset)), count)
    rows = -(-len(picked) // 2)
    figure, axes = plt.subplots(
        rows, 4, figsize=(12.8, rows * 2.4), squeeze=False, layout='constrained'
    )
    for axis in axes.flat:
        axis.axis('off')
    for index, pair in zip(
        picked, axes.reshape(-1, 2), strict=False
    ):  # the last row may be half full
        info = dataset.get_data_info(index)
        image = plt.imread(info['img_path'])
        names = dataset.metainfo['classes']
        truth = [_truth(instance, image.shape[:2], names) for instance in info['instances']]
        _draw(pair[0], image, truth, 'truth')
        _draw(pair[1], image, _found(runner, index, names), 'found')
    _save(figure, path)


def _found(runner: Runner, index: int, names: tuple[str, ...]) -> list[Found]:
    """Return the objects that were found with a sufficient score."""
    objects = _predict(runner, index).pred_instances.cpu().numpy()
    fields = (objects.bboxes, objects.masks, objects.labels, objects.scores)
    return [
        Found(box, mask, names[label], f' {score:.2f}')
        for box, mask, label, score in zip(*fields, strict=True)
        if score >= SCORE_THRESHOLD
    ]


def _truth(instance: dict[str, Any], shape: tuple[int, int], names: tuple[str, ...]) -> Found:
    from pycocotools import mask as coco_mask  # comes with MMDetection

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
        colour = COLOURS.get(item.name, (0, 0, 0, 1))  # black: a class that is in no scene
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


# ---------------------------------------------------------------------- both


def draw_attention(
    runner: Runner, image: Path, pixel: tuple[int, int] | None, path: Path, stage: int = 1
) -> None:
    """Draw where a pixel of an image looks, head by head, as ``tools/visualize.py`` does.

    Args:
        runner: Its model and its test pipeline are used.
        image: The image's file.
        pixel: x and y, or None for the middle.
        path: Of the picture.
        stage: Scale, from 0; of the demos' small images the last ones have a few positions only.
    """
    model = runner.model.eval()
    view = prepare(model, models.pipeline(runner.cfg), read_image(image))
    seen = look(model, view, 'attention', Wish(stage=stage, pixel=pixel))
    _save(seen.figure, path)


@torch.no_grad()
def _predict(runner: Runner, index: int) -> Any:
    """Return the data sample of a validation scene, with the model's prediction."""
    runner.model.eval()
    return runner.model.test_step(pseudo_collate([runner.val_dataloader.dataset[index]]))[0]


def _spread(places: range | list[int], count: int) -> list[int]:
    """Return ``count`` evenly spaced places, or all if there are fewer."""
    picked = np.linspace(0, len(places) - 1, min(count, len(places))).astype(int)
    return [places[n] for n in picked]


def _save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
