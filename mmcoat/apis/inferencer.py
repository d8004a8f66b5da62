"""From a config and a checkpoint to results for images."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from torch import Tensor

from mmcoat import runs
from mmcoat.errors import UsageError
from mmcoat.visualization.overlays import palette_of

from . import fast, hub, models, slices
from .georeference import Georeference
from .inputs import ImageError, Source, find_images, name_of
from .label_maps import is_segmentor
from .reading import ImageReader
from .results import ClassificationResult, DetectionResult, Result, SegmentationResult
from .tiles import TilePlan, segment_tiles
from .video import VideoReader, VideoWriter


class Inferencer:
    """Segment, detect or classify with a config of mmcoat or of one of the three toolboxes.

    The toolboxes have inferencers too. This one accepts names of configs and of published weights, loads
    strictly, blends the tiles of large images, and returns results of the same form for all tasks.

    Args:
        config_or_name: A config, its path, the name of one of mmcoat's configs
            (``upernet_coat_lite_s_ade20k``), or the name of a published file
            (``mask_rcnn_coat_small_3x_coco``: its config and weights).
        checkpoint: File, URL or ``mmcoat://NAME``; not needed with a published name.
        device: ``'auto'``, ``'cpu'``, ``'cuda'`` or ``'cuda:N'``.
        precision: ``'auto'``, ``'fp32'``, ``'bf16'`` or ``'fp16'`` (GPU only).
        score_thr: Boxes with a lower score are left out.
        tta: Average over the config's test-time augmentations.
        compile: Compile the backbone with torch.compile; worth it for many images of the same size.
        prepare: Cast, merge and pack the weights once instead of at each call, in a copy of the model; None
            does so on CPU, where it was measured, unless ``compile``.
        spare_memory: Enlarge the scores of a few classes at a time. Segmentation gives the same labels with
            less memory; None does so on CPU, where it was measured to take less time too, unless ``tta``.

    Raises:
        UsageError: A value is not valid, or the config is not found.
        CheckpointError: The checkpoint is missing, unsafe or does not fit.
    """

    def __init__(
        self,
        config_or_name: str | Path | Config,
        checkpoint: str | Path | None = None,
        device: str = 'auto',
        precision: str = 'auto',
        score_thr: float = 0.3,
        tta: bool = False,
        compile: bool = False,  # noqa: A002  as in tools/
        prepare: bool | None = None,
        spare_memory: bool | None = None,
    ):
        cfg, found = models.find(config_or_name, None if checkpoint is None else str(checkpoint))
        if found is None:
            raise UsageError(
                f'{config_or_name} needs a checkpoint: only published names have one of their own'
            )
        if not 0.0 <= score_thr <= 1.0:
            raise UsageError(f'score_thr must be from 0 to 1, got {score_thr!r}')
        if tta:
            cfg = cfg.copy()
            runs.enable_tta(cfg)
        self.cfg, self.score_thr = cfg, score_thr
        self.task = models.task_of(cfg)
        self.device = models.choose_device(device)
        self.precision = models.choose_precision(precision, self.device, self.task)
        self.model, meta = models.build(cfg, found)
        self.model.to(self.device)
        if compile:
            getattr(self.model, 'module', self.model).backbone.compile()
        on_cpu = self.device.type == 'cpu'
        if prepare is None:
            prepare = on_cpu and not compile
        if spare_memory is None:
            spare_memory = on_cpu and is_segmentor(self.model)
        self._fast = fast.ready(self.model, self.precision, prepare, spare_memory)
        self.transforms = models.pipeline(cfg)
        self.classes = tuple(meta.get('classes') or ())
        self.palette = palette_of(meta.get('palette'), len(self.classes))
        self.read = ImageReader(cfg)
        print_log(f'{self.task} on {self.device} in {self.precision}', logger='current')

    def __call__(
        self, inputs: Any, batch_size: int = 1, tiles: int | tuple[int, int] | None = None
    ) -> list[Result]:
        """Return one result per image.

        Args:
            inputs: An image (H, W, 3) in BGR, a path, a folder, a pattern, or a list of these. A config whose
                pipeline begins with ``mmcoat.LoadChannels`` takes any number of channels and any range.
            batch_size: Number of images that run together. After the pipeline they must have the same size,
                or the config's preprocessor must pad them.
            tiles: Work in tiles of this height and width. Segmentation keeps the image's own resolution and
                blends overlapping tiles. Detection sends each tile, and also the whole image, through the
                pipeline, and joins objects across seams.

        Raises:
            ImageError: An image is missing, cannot be read, or has other channels than the model takes.
        """
        return list(self.iterate(inputs, batch_size, tiles))

    def iterate(
        self,
        inputs: Any,
        batch_size: int = 1,
        tiles: int | tuple[int, int] | None = None,
        on_error: Callable[[ImageError], None] | None = None,
    ) -> Iterator[Result]:
        """Yield the results one after another while the next images are read; see ``__call__``.

        Args:
            inputs: See there.
            batch_size: See there.
            tiles: See there.
            on_error: Called with the error of an image that cannot be read; then the other images continue.
                None raises the error.
        """
        if batch_size < 1:
            raise UsageError(f'batch_size must be at least 1, got {batch_size}')
        if tiles is not None and self.task == 'classification':
            raise UsageError(
                'tiles are for segmentation and detection, this is a config of classification'
            )
        if tiles is not None:
            run = self._segment_tiles if self.task == 'segmentation' else self._detect_tiles
            # one at a time: they are large
            for name, image, place in self._read(find_images(inputs), 1, on_error, mapped=True):
                result: Result = run(name, image, tiles)
                del image
                result.place = place
                yield result
                del result
            return
        images = self._read(find_images(inputs), 2 * batch_size, on_error)
        while batch := list(islice(images, batch_size)):
            results = self._infer([(name, image) for name, image, _ in batch])
            for result, (_, _, place) in zip(results, batch, strict=True):
                result.place = place
                yield result

    def _read(
        self, sources: list[Source], ahead: int, on_error: Callable | None, mapped: bool = False
    ) -> Iterator[tuple[str, np.ndarray, Georeference | None]]:
        """Yield names, images and their georeferences; read up to ``ahead`` images in advance."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            waiting: list[tuple[Source, str, Future]] = []
            rest = enumerate(sources)
            while True:
                for index, source in islice(rest, ahead - len(waiting)):
                    future = pool.submit(self.read, source, mapped)
                    waiting.append((source, name_of(source, index), future))
                if not waiting:
                    return
                source, name, future = waiting.pop(0)
                try:
                    image = future.result()
                except ImageError as error:
                    if on_error is None:
                        raise
                    on_error(error)
                    continue
                place = None if isinstance(source, np.ndarray) else Georeference.of(source)
                del future
                yield name, image, place
                del image

    def _infer(self, batch: list[tuple[str, np.ndarray]]) -> list[Result]:
        data = pseudo_collate([self._prepare(image) for _, image in batch])
        with torch.inference_mode(), models.autocast(self.precision, self.device):
            samples = self._fast.test_step(data)
        return [self._result(*pair, sample) for pair, sample in zip(batch, samples, strict=True)]

    def _prepare(self, image: np.ndarray) -> dict:
        shape = image.shape[:2]
        item = dict(img=self.read.for_pipeline(image), img_path='', img_id=0)
        item.update(img_shape=shape, ori_shape=shape, height=shape[0], width=shape[1])
        for transform in self.transforms:
            item = transform(item)
        return item

    def _result(self, name: str, image: np.ndarray, sample: Any) -> Result:
        shared = (name, np.ascontiguousarray(_shown(image)), self.classes, self.palette)
        if self.task == 'segmentation':
            labels = sample.pred_sem_seg.data[0].cpu().numpy()
            kind = np.uint8 if len(self.classes) <= 256 else np.uint16
            return SegmentationResult(*shared, labels.astype(kind))
        if self.task == 'classification':
            return ClassificationResult(*shared, sample.pred_score.float().cpu().numpy())
        found = sample.pred_instances
        found = found[found.scores >= self.score_thr].cpu().numpy()
        order = np.argsort(-found.scores, kind='stable')
        masks = found.masks[order].astype(bool) if 'masks' in found else None
        return DetectionResult(
            *shared, found.bboxes[order], found.scores[order], found.labels[order], masks
        )

    # ------------------------------------------------------------------ videos

    def video(
        self,
        source: str | Path,
        target: str | Path,
        opacity: float = 0.5,
        batch_size: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Write a video with results drawn over its frames, and return the number of frames.

        Args:
            source: A video that OpenCV reads.
            target: An ``.mp4`` file; it appears when it is complete.
            opacity: Opacity of the colours, from 0 to 1.
            batch_size: Frames that run together.
            progress: Called with (frames done, total frames; the total is 0 if the file does not state it).

        Raises:
            ImageError: The video is missing or cannot be read.
            UsageError: The model takes other than three channels.
        """
        if self.read.channels != 3:
            raise UsageError(
                f'videos have 3 channels, the model takes {self.read.channels}: take images'
            )
        frames, done = VideoReader(source), 0
        images = ((f'frame_{i:06d}', frame) for i, frame in enumerate(frames))
        with VideoWriter(target, frames.fps) as writer:
            while batch := list(islice(images, batch_size)):
                for result in self._infer(batch):
                    writer.write(result.plot(opacity, legend=self.task == 'classification'))
                    done += 1
                    if progress is not None:
                        progress(done, frames.count)
            if not done:
                raise ImageError(f'video {source} has no frame that OpenCV reads')
        return done

    # ------------------------------------------------------------------ carrying it elsewhere

    def save_pretrained(self, folder: str | Path, metrics: dict[str, float] | None = None) -> Path:
        """Write weights (safetensors), config (JSON), classes and a model card into a folder.

        Args:
            folder: Made where it is missing.
            metrics: For the card, by name.

        Raises:
            HubError: safetensors is missing, or the config holds more than plain data.
        """
        meta = dict(task=self.task, classes=self.classes, palette=self.palette)
        return hub.save(folder, getattr(self.model, 'module', self.model), self.cfg, meta, metrics)

    @classmethod
    def from_pretrained(cls, source: str | Path, **settings: Any) -> 'Inferencer':
        """Return the inferencer of a folder that ``save_pretrained`` wrote, or of the hub (``owner/name``).

        Args:
            source: Folder or name.
            settings: As for the class: device, precision, ...

        Raises:
            HubError: It is missing, incomplete or cannot be reached.
        """
        cfg, weights, facts = hub.load(source)
        inferencer = cls(cfg, weights, **settings)
        inferencer.classes = tuple(facts['classes'])
        inferencer.palette = palette_of(facts['palette'], len(inferencer.classes))
        return inferencer

    def push_to_hub(
        self, repo_id: str, metrics: dict[str, float] | None = None, private: bool = False
    ) -> str:
        """Save, upload to the Hugging Face hub as ``owner/name``, and return the address.

        Raises:
            HubError: huggingface_hub is missing, or the upload failed.
        """
        with TemporaryDirectory() as folder:
            path = self.save_pretrained(Path(folder, repo_id.split('/')[-1]), metrics)
            return hub.push(path, repo_id, private)

    # ------------------------------------------------------------------ tiles

    def segment_tiles(
        self,
        image: np.ndarray,
        tiles: int | tuple[int, int] = 512,
        labels: np.ndarray | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Return the label map of an image of any size, (H, W); memory is limited to a row of tiles.

        Args:
            image: (H, W, channels), three channels in BGR; may be a memory map.
            tiles: Height and width of the tiles; they overlap by a quarter.
            labels: Array for the label map, for example a memory map; None creates one.
            progress: Called with (tiles done, tiles in all).
        """
        plan = _plan(tiles)
        return segment_tiles(image, self._tile_scores, plan, labels, progress)

    def _segment_tiles(self, name: str, image: np.ndarray, tiles: Any) -> SegmentationResult:
        labels = self.segment_tiles(image, tiles)
        # a view, so that large images are not copied
        return SegmentationResult(name, _shown(image), self.classes, self.palette, labels)

    def _detect_tiles(self, name: str, image: np.ndarray, tiles: Any) -> DetectionResult:
        parts = [((0, 0), image), *slices.cut(image, _plan(tiles).tile)]
        found = []
        for origin, part in parts[:1] if len(parts) == 2 else parts:
            one = cast(DetectionResult, self._infer([(name, part)])[0])
            found.append(slices.Detections(one.boxes, one.scores, one.labels, one.masks, origin))
        all_of = slices.join(found, image.shape[:2])
        shared = (name, np.ascontiguousarray(_shown(image)), self.classes, self.palette)
        return DetectionResult(*shared, all_of.boxes, all_of.scores, all_of.labels, all_of.masks)

    def _tile_scores(self, tile: np.ndarray) -> Tensor:
        """(h, w, 3) -> scores (classes, h, w) at the tile's own resolution."""
        from mmseg.structures import SegDataSample

        height, width = tile.shape[:2]
        # has the sizes that every head reads, also Mask2Former's pad_shape
        sizes = dict(
            img_shape=(height, width), ori_shape=(height, width), pad_shape=(height, width)
        )
        tile = self.read.for_pipeline(tile)
        image = torch.from_numpy(np.ascontiguousarray(tile.transpose(2, 0, 1)))
        data = dict(inputs=[image], data_samples=[SegDataSample(metainfo=sizes)])
        with torch.inference_mode(), models.autocast(self.precision, self.device):
            data = self.model.data_preprocessor(data, training=False)
            padded = tuple(data['inputs'].shape[2:])
            metas = [dict(sizes, img_shape=padded, pad_shape=padded, padding_size=[0] * 4)]
            scores = self._fast.encode_decode(data['inputs'], metas)
        return scores[0, :, :height, :width]


def _shown(image: np.ndarray) -> np.ndarray:
    """Return an image as results hold it: three channels in RGB, others as they are."""
    return image[..., ::-1] if image.shape[2] == 3 else image


def _plan(tiles: int | tuple[int, int]) -> TilePlan:
    """Return tiles that overlap by a quarter."""
    size = (tiles, tiles) if isinstance(tiles, int) else (tiles[0], tiles[1])
    return TilePlan(size, overlap=min(size) // 4)
