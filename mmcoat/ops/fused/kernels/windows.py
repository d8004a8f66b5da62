"""Device functions of depthwise convolutions over channels-last maps, each channel with its own window.

Programs address a map relative to their tile. The first element of a tile has a 64-bit offset, and elements
near the tile have 32-bit offsets from it. So a map may have more than 2 ** 31 elements.
"""

import triton
import triton.language as tl


@triton.jit
def locate(tile, tiles_y, tiles_x, block_h: tl.constexpr, block_w: tl.constexpr):
    """Image, first row, first column of a tile; rows and columns of its positions relative to these."""
    image = tile // (tiles_y * tiles_x)
    first_y = (tile // tiles_x) % tiles_y * block_h
    first_x = tile % tiles_x * block_w
    position = tl.arange(0, block_h * block_w)
    return image, first_y, first_x, position // block_w, position % block_w


@triton.jit
def origin(image, first_y, first_x, height, width):
    """Index of a tile's first token, 64 bits wide."""
    return (image.to(tl.int64) * height + first_y) * width + first_x


@triton.jit
def window_sum(
    source,
    source_stride: tl.constexpr,
    factor,
    factor_stride: tl.constexpr,
    weights,
    tap_stride: tl.constexpr,
    channel_stride: tl.constexpr,
    frame: tl.constexpr,
    first_y,
    first_x,
    dy,
    dx,
    channels,
    keep,
    height,
    width,
    size: tl.constexpr,
    flip: tl.constexpr,
):
    """Depthwise convolution of a tile, summed in float32.

    Args:
        source: Pointer to the tile's first token.
        source_stride: Elements from token to token.
        factor: Pointer to the tile's first token in a map that is multiplied with ``source``, or None.
        factor_stride: Elements from token to token.
        weights: Pointer to all filters.
        tap_stride: Elements from tap to tap.
        channel_stride: Elements from channel to channel.
        frame: Window size in which the filters are stored.
        first_y: First row of the tile.
        first_x: First column of the tile.
        dy: (block_n,) rows of the positions relative to ``first_y``.
        dx: (block_n,) columns.
        channels: (block_c,) channels.
        keep: (block_c,) which of these channels exist.
        height: Rows of the map.
        width: Columns of the map.
        size: Size of the window to sum over, in the middle of the frame.
        flip: Whether to flip the filters, for the gradient of the source.
    """
    total = tl.zeros([dy.shape[0], channels.shape[0]], tl.float32)
    for ky in range(size):
        for kx in tl.static_range(size):
            tap = (ky + (frame - size) // 2) * frame + kx + (frame - size) // 2
            where = weights + tap * tap_stride + channels * channel_stride
            weight = tl.load(where, keep, 0.0).to(tl.float32)
            sy = ky - size // 2
            sx = kx - size // 2
            if flip:
                y = dy - sy
                x = dx - sx
            else:
                y = dy + sy
                x = dx + sx
            there = (first_y + y >= 0) & (first_y + y < height)
            there = there & (first_x + x >= 0) & (first_x + x < width)
            there = there[:, None] & keep[None, :]
            token = (y * width + x)[:, None]
            value = tl.load(source + token * source_stride + channels[None, :], there, 0.0)
            value = value.to(tl.float32)
            if factor is not None:
                other = tl.load(factor + token * factor_stride + channels[None, :], there, 0.0)
                value = value * other.to(tl.float32)
            total += value * weight[None, :]
    return total


@triton.jit
def channel_windows(
    channels,
    head_width: tl.constexpr,
    windows: tl.constexpr,
    heads: tl.constexpr,
    groups: tl.constexpr,
):
    """Window of each channel, and offset of its filter in the concatenation of all filters.

    Args:
        channels: (block_c,) channels.
        head_width: Channels of a head.
        windows: Windows of the groups of heads, eight bits each, the first group lowest.
        heads: Numbers of heads of the groups, likewise.
        groups: Number of groups.
    """
    sizes = tl.zeros_like(channels) + 1
    starts = tl.zeros_like(channels)
    first = 0
    offset = 0
    for group in tl.static_range(groups):
        size = (windows >> (8 * group)) & 255
        width = ((heads >> (8 * group)) & 255) * head_width
        inside = (channels >= first) & (channels < first + width)
        sizes = tl.where(inside, size, sizes)
        starts = tl.where(inside, offset + (channels - first) * size * size, starts)
        first += width
        offset += width * size * size
    return sizes, starts


@triton.jit
def largest_window(
    first_c,
    block_c: tl.constexpr,
    head_width: tl.constexpr,
    windows: tl.constexpr,
    heads: tl.constexpr,
    groups: tl.constexpr,
):
    """The largest window among the channels of a block."""
    largest = first_c * 0
    first = 0
    for group in tl.static_range(groups):
        size = (windows >> (8 * group)) & 255
        last = first + ((heads >> (8 * group)) & 255) * head_width
        found = (first_c < last) & (first_c + block_c > first)
        largest = tl.where(found, tl.maximum(largest, size), largest)
        first = last
    return largest


@triton.jit
def window_sums(
    source,
    source_stride: tl.constexpr,
    factor,
    factor_stride: tl.constexpr,
    packed,
    frame: tl.constexpr,
    first_y,
    first_x,
    first_c,
    dy,
    dx,
    channels,
    height,
    width,
    count: tl.constexpr,
    head_width: tl.constexpr,
    windows: tl.constexpr,
    heads: tl.constexpr,
    groups: tl.constexpr,
    flip: tl.constexpr,
):
    """``window_sum`` with the largest window of the block; smaller packed filters are padded with zeros."""
    largest = largest_window(first_c, channels.shape[0], head_width, windows, heads, groups)
    total = tl.zeros([dy.shape[0], channels.shape[0]], tl.float32)
    for group in tl.static_range(groups):
        if largest == (windows >> (8 * group)) & 255:
            total = window_sum(
                source,
                source_stride,
                factor,
                factor_stride,
                packed,
                count,
                1,
                frame,
                first_y,
                first_x,
                dy,
                dx,
                channels,
                channels < count,
                height,
                width,
                (windows >> (8 * group)) & 255,
                flip,
            )
    return total
