"""One walk over a labelled data set with a model's answers: what every analysis of results begins with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor

from mmcoat import runs
from mmcoat.apis import models
from mmcoat.datasets.labels import check_labels
from mmcoat.datasets.layout import check_dataset
from mmcoat.errors import UsageError
from mmcoat.runs.checks import check_channels, check_modes
from mmcoat.runs.walk import type_name
from mmcoat.visualization.overlays import as_picture, palette_of

SPLITS = ('test', 'val')
IGNORED = 255
LABELS = dict(segmentation='seg_map_path', detection='')  # in data_prefix; '' stands in ann_file


class AnalysisError(UsageError):
    """Results cannot be analysed: no truth, labels out of range, maps of another size."""


@dataclass
class Seen:
    """An image with its truth and what was predicted for it.

    Attributes:
        path: Of the image.
        sample: The toolbox's sample: truth and prediction.
        inputs: The image as the test pipeline gives it, (C, H, W), BGR where C is 3.
    """

    path: str
    sample: Any
    inputs: Tensor

    def picture(self, size: tuple[int, int]) -> np.ndarray:
        """Return the image as (H, W, 3) RGB, uint8, of the given height and width.

        Other channels and values beyond 8 bits are shown as :func:`as_picture` shows them.
        """
        image = self.inputs.cpu().numpy().transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
        image = as_picture(image[..., ::-1] if image.shape[2] == 3 else image)
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


class Predictions:
    """A model's answers for a labelled data set, one image after another.

    Args:
        cfg: A whole config; left as it is.
        checkpoint: Loaded strictly. None: nothing is computed, samples hold the truth alone.
        split: ``'test'`` or ``'val'``.
        device: ``'auto'``, ``'cpu'``, ``'cuda'`` or ``'cuda:N'``.

    Attributes:
        task: ``'segmentation'`` or ``'detection'``.
        classes: Names of the data set's classes.
        palette: Their colours, (classes, 3) uint8.
        ignored: The label that does not count.
        model: None without a checkpoint.

    Raises:
        UsageError: The config, the checkpoint or the device cannot be.
        LayoutError: The data set is missing or laid out otherwise.
        AnalysisError: The data set has no truth to compare with.
    """

    def __init__(
        self, cfg: Config, checkpoint: str | None, split: str = 'test', device: str = 'auto'
    ):
        self.task = _check(cfg, split)
        self.ignored = _ignored(cfg, split)
        init_default_scope(cfg.default_scope)
        self.model = None
        if checkpoint is not None:
            chosen = models.choose_device(device)
            self.model = models.build(cfg, checkpoint)[0].to(chosen)
        self._loader = Runner.build_dataloader(cfg[f'{split}_dataloader'])
        meta = self._loader.dataset.metainfo
        self.classes = tuple(meta.get('classes') or ())
        self.palette = palette_of(meta.get('palette'), len(self.classes))

    def __len__(self) -> int:
        return len(self._loader.dataset)

    def __iter__(self) -> Iterator[Seen]:
        for batch in self._loader:
            samples = batch['data_samples']
            if self.model is not None:
                with torch.inference_mode():
                    samples = self.model.test_step(batch)
            for inputs, sample in zip(batch['inputs'], samples, strict=True):
                yield Seen(str(sample.img_path), sample, inputs)


def _check(cfg: Config, split: str) -> str:
    """Return the task of a config after what can be known before anything is built."""
    check_task(cfg)
    task = models.task_of(cfg)
    if split not in SPLITS:
        raise UsageError(f'split must be one of {SPLITS}, got {split!r}')
    if not cfg.get(f'{split}_dataloader'):
        raise UsageError(f'this config has no {split}_dataloader')
    check_modes(cfg)
    check_channels(cfg)
    sets = list(runs.datasets(cfg, (split,)))
    for dataset in sets:
        check_dataset(dataset)
        _check_truth(dataset, split, LABELS[task])
    check_labels(sets, cfg)
    return task


def _check_truth(dataset: Mapping[str, Any], split: str, key: str) -> None:
    names = [type_name(step) for step in dataset.get('pipeline') or []]
    if 'LoadAnnotations' not in names or (key and not (dataset.get('data_prefix') or {}).get(key)):
        raise AnalysisError(
            f'the {split} set has no labels to compare with: take --split '
            f'{SPLITS[split == SPLITS[0]]}, or one whose pipeline has LoadAnnotations'
        )
    if any('Resize' in name for name in names[names.index('LoadAnnotations') :]):
        raise AnalysisError(
            f'the {split} pipeline resizes its labels, results have the size of the file: put '
            'LoadAnnotations after Resize'
        )


def _ignored(cfg: Config, split: str) -> int:
    evaluators = cfg.get(f'{split}_evaluator') or []
    for part in [evaluators] if isinstance(evaluators, Mapping) else evaluators:
        if 'ignore_index' in part:
            return part['ignore_index']
    return IGNORED


def check_task(cfg: Config, tasks: Sequence[str] = tuple(LABELS)) -> None:
    """Check the task of a config, and refuse masks that overlap: a pixel has no single class there.

    Raises:
        UsageError: It is of none of ``tasks``, or has a head that gives masks.
    """
    task = models.task_of(cfg)
    if task not in tasks:
        raise UsageError(f'this is for {" and ".join(tasks)}, and the config is one of {task}')
    head = cfg.model.get('decode_head') or {}
    for part in head if isinstance(head, list | tuple) else [head]:
        losses = part.get('loss_decode') or []
        for loss in [losses] if isinstance(losses, Mapping) else losses:
            single = loss.get('labels', 'index') == 'index' and part.get('out_channels') == 1
            if type_name(loss) == 'MaskLoss' and not single:
                raise UsageError(
                    'this needs one class for each pixel; the masks of this config '
                    f'(mmcoat.MaskLoss, labels={loss.get("labels", "index")!r}) are judged one by '
                    'one: tools/test.py has their Dice and IoU'
                )


def label_maps(seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction of a segmented image, (H, W) each, int64; ``check_maps`` checks them."""
    truth = seen.sample.gt_sem_seg.data.squeeze(0).cpu().numpy().astype(np.int64)
    answer = seen.sample.pred_sem_seg.data.squeeze(0).cpu().numpy().astype(np.int64)
    return truth, answer


def check_maps(
    truth: np.ndarray, answer: np.ndarray, classes: int, ignored: int, path: str
) -> None:
    """Check two label maps (H, W) of an image.

    Raises:
        AnalysisError: They differ in size, or hold a label that is no class.
    """
    if truth.shape != answer.shape:
        sizes = [f'{m.shape[1]} x {m.shape[0]}' for m in (truth, answer)]
        raise AnalysisError(
            f'{path}: the label map is {sizes[0]} pixels, the prediction {sizes[1]}'
        )
    known = truth[truth != ignored]
    for name, labels in (('label map', known), ('prediction', answer)):
        wrong = labels[(labels < 0) | (labels >= classes)]
        if wrong.size:
            raise AnalysisError(
                f'{path}: its {name} holds {wrong[0]}, the {classes} classes are 0 to {classes - 1} '
                f'({wrong.size} such pixels): mend the map, or classes, num_classes and '
                'reduce_zero_label of the config'
            )


class SavedPredictions(Predictions):
    """Answers that ``tools/test.py --out FOLDER`` wrote as label maps; no model is run.

    Args:
        cfg: A whole config of segmentation.
        folder: Where the label maps are, PNGs with the names of the images.
        split: ``'test'`` or ``'val'``.

    Raises:
        UsageError: The folder is missing.
    """

    def __init__(self, cfg: Config, folder: str | Path, split: str = 'test'):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UsageError(f'folder {folder} does not exist')
        super().__init__(cfg, None, split)

    def __iter__(self) -> Iterator[Seen]:
        from mmengine.structures import PixelData

        for seen in super().__iter__():
            path = self.folder / f'{Path(seen.path).stem}.png'
            try:
                labels = np.array(Image.open(path))
            except OSError as error:
                reason = error.strerror or 'no image that can be read'
                raise AnalysisError(f'prediction {path}: {reason}') from None
            # test.py writes the labels of the files, which begin at 1 where 0 is no class
            if seen.sample.get('reduce_zero_label', False):
                labels = labels.astype(np.int64) - 1
            data = torch.from_numpy(labels.astype(np.int64))[None]
            seen.sample.pred_sem_seg = PixelData(data=data)
            yield seen
