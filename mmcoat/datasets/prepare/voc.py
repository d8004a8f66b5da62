"""Pascal VOC's folders for segmentation."""

from functools import partial
from pathlib import Path

from .common import PrepareError, Progress, Sample
from .masks import MaskCode

VOC_CLASSES = (
    'background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
    'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train',
    'tvmonitor',
)  # fmt: skip


def voc(root: Path, code: MaskCode, progress: Progress) -> list[Sample]:
    """Return the samples of a folder with JPEGImages, SegmentationClass and ImageSets/Segmentation.

    ``train.txt`` and ``val.txt`` define the split; without ``val.txt`` it follows ``--val``.

    Args:
        root: For example VOCdevkit/VOC2012.
        code: How the masks are coded.
        progress: Called after each mask.

    Raises:
        PrepareError: One line with the file or folder.
    """
    lists = root / 'ImageSets' / 'Segmentation'
    splits = [split for split in ('train', 'val') if (lists / f'{split}.txt').is_file()]
    if 'train' not in splits:
        raise PrepareError(
            f'{lists / "train.txt"} does not exist: {root} is not laid out as Pascal VOC'
        )
    names = [
        (split, line.strip())
        for split in splits
        for line in (lists / f'{split}.txt').read_text(encoding='utf-8').splitlines()
        if line.strip()
    ]
    samples = []
    for done, (split, name) in enumerate(names, 1):
        image = root / 'JPEGImages' / f'{name}.jpg'
        mask = root / 'SegmentationClass' / f'{name}.png'
        for path in (image, mask):
            if not path.is_file():
                raise PrepareError(f'{path} does not exist, but {lists / split}.txt names it')
        code.look_at(mask)
        said = split if len(splits) == 2 else None
        samples.append(Sample(name, image, partial(code.decode, mask), said))
        progress('looking at masks', done, len(names))
    return samples
