"""Images and masks in two folders, under the same names."""

from functools import partial
from pathlib import Path

from .common import IMAGES, PrepareError, Progress, Sample, files_by_name
from .masks import MaskCode

MASKS = ('.png', '.bmp', '.tif', '.tiff', '.gif', '.npy', '.jpg', '.jpeg')


def pairs(
    images: Path,
    masks: Path,
    code: MaskCode,
    progress: Progress,
    image_suffix: str | None = None,
    mask_suffix: str | None = None,
) -> list[Sample]:
    """Return the images of one folder with the masks of another.

    Args:
        images: Folder; its subfolders are searched too.
        masks: Folder with a mask for each image, under the same name.
        code: How the masks are coded; it reads all of them first.
        progress: Called after each mask.
        image_suffix: How images end, for example ``_rgb.png``; None: any picture.
        mask_suffix: How masks end, for example ``_mask.png``.

    Raises:
        PrepareError: One line with the file or folder.
    """
    found = files_by_name(images, (image_suffix,) if image_suffix else IMAGES)
    labels = files_by_name(masks, (mask_suffix,) if mask_suffix else MASKS)
    lacking = sorted(found.keys() - labels.keys())
    if lacking:
        raise PrepareError(
            f'{len(lacking)} of {len(found)} images have no mask in {masks}, the first is '
            f'{found[lacking[0]]}; masks have the name of their image (--image-suffix and --mask-suffix say '
            'what else is in it)'
        )
    for done, name in enumerate(found, 1):
        code.look_at(labels[name])
        progress('looking at masks', done, len(found))
    return [Sample(name, path, partial(code.decode, labels[name])) for name, path in found.items()]
