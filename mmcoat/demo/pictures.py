"""Pictures of the demo: scenes with truth and prediction, and the curves of training."""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from matplotlib.patches import Patch

IGNORED = (255, 255, 255)


def draw_scenes(runner: Runner, path: Path, count: int = 6) -> None:
    """Draw image, truth and prediction side by side for ``count`` validation scenes."""
    dataset = runner.val_dataloader.dataset
    picked = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    rows = [_predict(runner, dataset[int(index)]) for index in picked]
    palette = np.array(dataset.metainfo['palette'], dtype=np.uint8)
    figure, axes = plt.subplots(
        len(rows), 3, figsize=(9.6, 2.5 * len(rows) + 0.9), squeeze=False, layout='constrained'
    )
    for row, (image, truth, prediction) in zip(axes, rows, strict=True):
        for axis, picture in zip(
            row, (image, _colour(truth, palette), _colour(prediction, palette)), strict=True
        ):
            axis.imshow(picture, interpolation='nearest')
            axis.axis('off')
    for axis, title in zip(axes[0], ('image', 'truth', 'prediction'), strict=True):
        axis.set_title(title)
    present = np.unique(np.concatenate([np.unique(row[k]) for row in rows for k in (1, 2)]))
    handles = [
        Patch(color=palette[i] / 255, label=dataset.metainfo['classes'][i])
        for i in present
        if i < len(palette)
    ]
    figure.legend(handles=handles, loc='outside lower center', ncols=6, frameon=False)
    _save(figure, path)


def draw_curves(losses: list[float], scores: list[tuple[int, float]], path: Path) -> None:
    """Draw the training loss, smoothed too, and the mIoU on the validation scenes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6), layout='constrained')
    steps = np.arange(1, len(losses) + 1)
    window = min(15, len(losses))
    smooth = np.convolve(losses, np.ones(window) / window, mode='valid')
    left.plot(steps, losses, color='0.8', label='each iteration')
    left.plot(steps[window - 1 :], smooth, color='tab:blue', label=f'mean of {window}')
    left.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    left.legend(frameon=False)
    right.plot(*zip(*scores, strict=True), marker='o', color='tab:green')
    right.set(xlabel='iteration', ylabel='mIoU on unseen scenes', ylim=(0, 1))
    right.grid(alpha=0.3)
    _save(figure, path)


@torch.no_grad()
def _predict(runner: Runner, item: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the image (H, W, 3) in RGB, and truth and prediction (H, W)."""
    runner.model.eval()
    sample = runner.model.test_step(pseudo_collate([item]))[0]
    image = plt.imread(sample.img_path)
    truth, prediction = sample.gt_sem_seg.data, sample.pred_sem_seg.data
    return image, truth.squeeze().cpu().numpy(), prediction.squeeze().cpu().numpy()


def _colour(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    picture = np.full((*labels.shape, 3), IGNORED, dtype=np.uint8)
    known = labels < len(palette)
    picture[known] = palette[labels[known]]
    return picture


def _save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
