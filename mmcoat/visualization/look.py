"""One view into a model: a figure, and its numbers as arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from mmcoat.errors import UsageError

from . import figures
from .attention import class_token_attention, pixel_attention
from .exchange import scale_exchange_shares
from .features import feature_colours
from .gradcam import grad_cam
from .subject import View, backbone_of, find_block

LISTED = 200  # maximal number of classes in a message
KINDS = ('attention', 'class-token', 'gradcam', 'features', 'exchange')


@dataclass(frozen=True)
class Look:
    """The result of a look.

    Attributes:
        kind: One of ``KINDS``.
        figure: A matplotlib figure.
        arrays: The numbers in the figure, by name.
    """

    kind: str
    figure: Any
    arrays: dict[str, np.ndarray]

    def save(self, folder: str | Path, stem: str, arrays: bool = False) -> list[Path]:
        """Write ``STEM_KIND.png``, and with ``arrays`` ``STEM_KIND.npz``; return the paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f'{stem}_{self.kind}.png']
        self.figure.savefig(paths[0], dpi=150)
        if arrays:
            paths.append(paths[0].with_suffix('.npz'))
            np.savez_compressed(paths[1], **self.arrays)
        return paths


@dataclass(frozen=True)
class Wish:
    """Where to look; None takes the model's own choice.

    Attributes:
        stage: From 0.
        block: ``0``, ``1``... for serial blocks, ``'p0'``, ``'p1'``... for parallel ones.
        pixel: x and y in the image's file.
        class_name: A class by name, or by number.
        classes: Names of the model's classes.
    """

    stage: int | None = None
    block: int | str | None = None
    pixel: tuple[int, int] | None = None
    class_name: str | None = None
    classes: Sequence[str] = ()

    def class_index(self) -> int | None:
        """Return the number of the class.

        Raises:
            UsageError: There is no such class.
        """
        name = self.class_name
        if name is None:
            return None
        if name in self.classes:
            return list(self.classes).index(name)
        if name.isdecimal():
            return int(name)
        known = f'the classes are {", ".join(self.classes)}'
        if not self.classes:
            known = 'the classes of this model are known by number only'
        elif len(self.classes) > LISTED:
            close = get_close_matches(name, self.classes, 5, 0.4)
            known = f'close to it: {", ".join(close) or "none"}; {len(self.classes)} in all'
        raise UsageError(f'class {name!r} is unknown; {known}')

    def name_of(self, index: int) -> str:
        """Return the name of a class, or its number."""
        return self.classes[index] if index < len(self.classes) else f'class {index}'


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse kinds that do not exist.

    Raises:
        UsageError: A kind is unknown; the message names the first one.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f'what to look at must be one of {", ".join(KINDS)}, got {kind!r}')


def look(model: nn.Module, view: View, kind: str, wish: Wish | None = None) -> Look:
    """Run a model on an image, and return a figure of the requested kind.

    Args:
        model: A model of MMSegmentation, MMDetection or MMPretrain, or any with a CoaT as ``backbone``, in
            evaluation mode.
        view: The image, from :func:`prepare`.
        kind: ``'attention'`` (of a pixel), ``'class-token'`` (its attention), ``'gradcam'``, ``'features'``
            or ``'exchange'``.
        wish: Where to look.

    Raises:
        UsageError: The kind is not possible with this model, or there is no such kind, stage, block, pixel or
            class.
    """
    check_kinds([kind])
    figure, arrays = _LOOKS[kind](model, view, wish or Wish())
    return Look(kind, figure, {**arrays, 'view': view.image})


def _attention(model: nn.Module, view: View, wish: Wish) -> tuple[Any, dict]:
    pixel = wish.pixel or (view.size[0] // 2, view.size[1] // 2)
    place = view.locate(pixel)
    found = pixel_attention(model, view.inputs, place, wish.stage, wish.block)
    title = f'attention of pixel {pixel[0]},{pixel[1]} at stage {found.stage}, block {found.block}'
    return figures.draw_attention(view.image, found, place, title), _arrays(found)


def _class_token(model: nn.Module, view: View, wish: Wish) -> tuple[Any, dict]:
    found = class_token_attention(model, view.inputs, wish.stage, wish.block)
    title = f'attention of the class token at stage {found.stage}, block {found.block}'
    return figures.draw_attention(view.image, found, None, title), _arrays(found)


def _grad_cam(model: nn.Module, view: View, wish: Wish) -> tuple[Any, dict]:
    place = None if wish.pixel is None else view.locate(wish.pixel)
    found = grad_cam(
        model,
        view.inputs,
        wish.class_index(),
        place,
        wish.stage,
        wish.block,
        size=view.image.shape[:2],
    )
    at = f' at pixel {wish.pixel[0]},{wish.pixel[1]}' if wish.pixel else ''
    title = f'Grad-CAM of {wish.name_of(found.class_index)}{at}, map of {found.name}'
    return figures.draw_grad_cam(view.image, found, place, title), _arrays(found)


def _features(model: nn.Module, view: View, wish: Wish) -> tuple[Any, dict]:
    found = feature_colours(model, view.inputs, wish.stage)
    arrays = {
        f'stage{features.stage}_{name}': value
        for features in found
        for name, value in _arrays(features).items()
    }
    title = 'feature maps of the scales: principal components as colours'
    return figures.draw_features(view.image, found, title), arrays


def _exchange(model: nn.Module, view: View, wish: Wish) -> tuple[Any, dict]:
    found = scale_exchange_shares(model, view.inputs)
    block = len(found.shares) - 1
    if wish.block is not None:
        _, name, _ = find_block(backbone_of(model), found.stages[0], wish.block)
        if not name.startswith('p'):
            blocks = ', '.join(f'p{i}' for i in range(len(found.shares)))
            raise UsageError(f'scales exchange in the blocks {blocks}, not in {wish.block}')
        block = int(name[1:])
    arrays = {
        f'norms_stage{i}': x.cpu().numpy() for i, x in zip(found.stages, found.norms, strict=True)
    }
    arrays |= dict(shares=found.shares.cpu().numpy(), stages=np.array(found.stages))
    title = 'what each scale takes from the others in the parallel blocks'
    return figures.draw_exchange(view.image, found, block, title), arrays


def _arrays(found: Any) -> dict[str, np.ndarray]:
    """Return the fields of a result that are numbers or names, as arrays."""
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {
        name: value.cpu().numpy() if isinstance(value, Tensor) else np.array(value)
        for name, value in values.items()
        if value is not None
    }


_LOOKS: dict[str, Callable[[nn.Module, View, Wish], tuple[Any, dict]]] = {
    'attention': _attention,
    'class-token': _class_token,
    'gradcam': _grad_cam,
    'features': _features,
    'exchange': _exchange,
}
