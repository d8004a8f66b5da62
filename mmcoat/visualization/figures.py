"""Figures of attention, Grad-CAM, features and exchange: the image, one panel per result, and a legend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .attention import Attention
from .exchange import Exchange
from .features import Features
from .gradcam import GradCam
from .subject import stride_of

PANEL = 2.2  # inches, the longer side of a picture
NARROWEST, LOWEST = 1.75, 0.9  # minimal size of a panel in inches: titles need room
SQUARE = 1.9  # inches, a panel that shows no image
Pixel = tuple[int, int] | None


def _grid(
    image: np.ndarray, rows: int, columns: int, title: str, squares: int = 0
) -> tuple[Figure, Any]:
    """Return a figure with rows x columns panels in the image's proportions, and rows of squares below."""
    unit = PANEL / max(image.shape[:2])
    width = max(image.shape[1] * unit, NARROWEST)
    heights = [max(image.shape[0] * unit, LOWEST)] * rows + [SQUARE] * squares
    heights = [height + 0.4 for height in heights]  # with its title
    size = columns * (width + 0.2) + 0.9, sum(heights) + 0.5
    figure = Figure(figsize=size, layout='constrained')
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(rows + squares, columns, squeeze=False, height_ratios=heights)
    for panel in axes.flat:
        panel.axis('off')
    return figure, axes


def _show_image(panel: Any, image: np.ndarray, pixel: Pixel, title: str) -> None:
    panel.imshow(image)
    panel.set_title(title, fontsize=8)
    _mark(panel, pixel)


def _mark(panel: Any, pixel: Pixel) -> None:
    if pixel is not None:
        panel.plot(*pixel, 'o', ms=6, mfc='none', mec='black', mew=2.5)
        panel.plot(*pixel, 'o', ms=6, mfc='none', mec='yellow', mew=1.2)


def _over(panel: Any, image: np.ndarray, values: np.ndarray, stride: int, **how: Any) -> Any:
    """Show values (h, w) over the grey image, each over its own pixels."""
    grey = image.astype(np.float32).mean(-1)
    panel.imshow(grey, cmap='gray', vmin=-80, vmax=335)  # paler, so that the colours remain visible
    extent = (-0.5, values.shape[1] * stride - 0.5, values.shape[0] * stride - 0.5, -0.5)
    shown = panel.imshow(values, extent=extent, interpolation='nearest', **how)
    panel.set_xlim(-0.5, image.shape[1] - 0.5)
    panel.set_ylim(image.shape[0] - 0.5, -0.5)
    return shown


def _signed(panel: Any, image: np.ndarray, values: np.ndarray, stride: int, title: str) -> Any:
    """Show values of both signs, and write the largest absolute value into the title."""
    top = float(np.abs(values).max()) or 1.0
    how = dict(cmap='RdBu_r', vmin=-1, vmax=1, alpha=0.7)
    shown = _over(panel, image, values / top, stride, **how)
    panel.set_title(f'{title}  ±{top:.2g}', fontsize=8)
    return shown


def draw_attention(image: np.ndarray, found: Attention, pixel: Pixel, title: str) -> Figure:
    """Draw the attention of a pixel or of the class token: the mean of the heads, and each head.

    Args:
        image: (h, w, 3) RGB, uint8, as the network receives it.         found: The attention.
        pixel: x and y in ``image``, marked; None for the class token.
        title: Of the figure.
    """
    heads = len(found.image)
    columns = max(4, -(-heads // 2))
    rows = -(-heads // columns)
    figure, axes = _grid(image, 1 + rows, columns, title, 0 if pixel is None else rows)
    _show_image(axes[0, 0], image, pixel, 'image')
    weights = found.image.cpu().numpy()
    shown = _signed(axes[0, 1], image, weights.mean(0), found.stride, 'mean of heads')
    panels = axes[1 : 1 + rows].flat
    for head, panel in zip(range(heads), panels, strict=False):
        _signed(panel, image, weights[head], found.stride, f'head {head}')
    for panel in (axes[0, 1], *axes[1 : 1 + rows].flat[:heads]):
        _mark(panel, pixel)
    if pixel is not None:
        _draw_filters(axes[0, 2], axes[1 + rows :].flat, found)
    axes[0, 2 if pixel is None else 3].text(0, 0.95, _attention_legend(found), va='top', fontsize=7)
    _bar(figure, axes, shown, "weight of a token's value, over the panel's largest (±)")
    return figure


def _attention_legend(found: Attention) -> str:
    own = found.class_token
    lines = [
        f'one square: {found.stride} x {found.stride} pixels',
        f'class token: mean {own.mean().item():+.2g}',
        f'from {own.min().item():+.2g} to {own.max().item():+.2g}',
    ]
    if found.query is not None:
        lines.append('convolution (CRPE): window\naround the pixel, one\nsquare per token')
    return '\n'.join(lines)


def _draw_filters(mean: Any, panels: Any, found: Attention) -> None:
    """Show the convolutional part: the mean of the heads, and the window of each head."""
    filters = found.mean_filter().cpu().numpy()
    _draw_filter(mean, filters.mean(0), 'convolution, mean')
    for head, panel in zip(range(len(filters)), panels, strict=False):
        side = found.windows[head]
        frame = (filters.shape[-1] - side) // 2
        own = filters[head, frame : frame + side, frame : frame + side]
        _draw_filter(panel, own, f'head {head}, {side} x {side}')


def _draw_filter(panel: Any, values: np.ndarray, title: str) -> None:
    """Show a window around the query, with a dot at the query itself."""
    top = float(np.abs(values).max()) or 1.0
    panel.imshow(values / top, cmap='RdBu_r', vmin=-1, vmax=1)
    panel.plot(values.shape[1] // 2, values.shape[0] // 2, 'o', ms=3, mfc='yellow', mec='black')
    panel.set_title(f'{title}  ±{top:.2g}', fontsize=8)


def _bar(figure: Figure, axes: Any, shown: Any, label: str) -> None:
    bar = figure.colorbar(shown, ax=axes, shrink=0.9, aspect=30, pad=0.01, panchor=False)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def draw_grad_cam(image: np.ndarray, found: GradCam, pixel: Pixel, title: str) -> Figure:
    """Draw the Grad-CAM of a class; arguments as in :func:`draw_attention`."""
    figure, axes = _grid(image, 1, 2, title)
    _show_image(axes[0, 0], image, pixel, 'image')
    heat = found.heat.cpu().numpy()
    shown = _over(axes[0, 1], image, heat, found.stride, cmap='inferno', vmin=0, vmax=1, alpha=0.65)
    nothing = '' if found.heat.any() else '\nnothing speaks for the class here'
    axes[0, 1].set_title(f'score {found.score:.3g} of\n{found.region}{nothing}', fontsize=8)
    _mark(axes[0, 1], pixel)
    _bar(figure, axes, shown, 'speaks for the class')
    return figure


def draw_features(image: np.ndarray, found: Sequence[Features], title: str) -> Figure:
    """Draw the maps of the scales, with three principal components as red, green and blue."""
    title += '\ntokens of like colour are alike; R, G, B: part of the variance in each colour'
    figure, axes = _grid(image, 1, 1 + len(found), title)
    _show_image(axes[0, 0], image, None, 'image')
    for panel, features in zip(axes[0, 1:], found, strict=True):
        _over(panel, image, features.colours.cpu().numpy(), features.stride)
        parts = ' '.join(
            f'{colour} {part:.0%}'
            for colour, part in zip('RGB', features.explained.tolist(), strict=True)
        )
        height, width = features.map.shape[1:]
        panel.set_title(f'stage {features.stage}, {width} x {height}\n{parts}', fontsize=8)
    return figure


def draw_exchange(image: np.ndarray, found: Exchange, block: int, title: str) -> Figure:
    """Draw the shares between scales for all parallel blocks, and their positions in one block.

    Args:
        image: (h, w, 3) RGB, uint8, as the network gets it.
        found: The exchange.
        block: Parallel block whose positions are shown, from 0.
        title: Of the figure.
    """
    scales, blocks = len(found.stages), len(found.shares)
    figure, axes = _grid(image, 1, max(scales + 1, blocks), title, squares=1)
    _show_image(axes[0, 0], image, None, 'image')
    for taker, stage in enumerate(found.stages):
        panel = axes[0, 1 + taker]
        taken = found.taken(taker, block).cpu().numpy()
        how = dict(cmap='viridis', vmin=0, vmax=1, alpha=0.75)
        shown = _over(panel, image, taken, stride_of(stage), **how)
        panel.set_title(f'stage {stage}, block p{block}:\nfrom the others', fontsize=8)
    for index in range(blocks):
        panel = axes[1, index]
        _draw_shares(panel, found.shares[index].cpu().numpy(), found.stages, f'block p{index}')
    _bar(figure, axes, shown, 'share of what a scale takes, by norm')
    return figure


def _draw_shares(panel: Any, shares: np.ndarray, stages: Sequence[int], title: str) -> None:
    panel.axis('on')
    panel.imshow(shares, cmap='viridis', vmin=0, vmax=1)
    ticks = range(len(stages))
    panel.set_xticks(ticks, [str(s) for s in stages], fontsize=7)
    panel.set_yticks(ticks, [str(s) for s in stages], fontsize=7)
    panel.set_xlabel('gives (stage)', fontsize=7)
    panel.set_ylabel('takes (stage)', fontsize=7)
    panel.set_title(title, fontsize=8)
    for (row, column), share in np.ndenumerate(shares):
        ink = 'white' if share < 0.6 else 'black'
        panel.text(column, row, f'{share:.0%}', ha='center', va='center', fontsize=7, color=ink)
