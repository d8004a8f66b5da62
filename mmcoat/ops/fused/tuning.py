"""Block sizes of all kernels, in one place: the only file to touch when tuning for a GPU.

Chosen by design for an H100 or H200 (132 multiprocessors), not tuned on one: 64 bytes or more of
neighbouring channels per token, 16 to 32 elements a thread, and about four programs per multiprocessor.
"""

import dataclasses
from collections.abc import Sequence

PROGRAMS = 4 * 132  # enough to fill the chip; more splits only make the final sums longer
ENOUGH = 2 * 132  # with fewer programs, each program gets less work
MAX_SPLITS = 128
FLAT_BLOCK = 2048  # elements of a program if they do not depend on neighbours


def cdiv(a: int, b: int) -> int:
    """Quotient, rounded up."""
    return -(-a // b)


def power_of_2(n: int) -> int:
    """The smallest power of two that is at least ``n``."""
    return 1 << max(int(n) - 1, 0).bit_length()


@dataclasses.dataclass(frozen=True)
class Tile:
    """A patch of a map: rows, columns and channels of one program, all powers of two."""

    height: int
    width: int
    channels: int
    num_warps: int

    def grid(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """(programs, tiles in y, tiles in x) for a map of ``shape`` (B, H, W, C)."""
        batch, height, width, channels = shape
        tiles_y, tiles_x = cdiv(height, self.height), cdiv(width, self.width)
        return batch * tiles_y * tiles_x * cdiv(channels, self.channels), tiles_y, tiles_x

    def fit(self, shape: Sequence[int], least: int = 16) -> 'Tile':
        """A smaller tile if the map has too few tiles for the chip, with at least ``least`` positions."""
        if self.height * self.width <= least or self.grid(shape)[0] >= ENOUGH:
            return self
        height, width = self.height, self.width
        half = (height // 2, width) if height >= width else (height, width // 2)
        return Tile(*half, self.channels, max(self.num_warps // 2, 1)).fit(shape, least)


def channel_block(channels: int) -> int:
    """Channels of a program if they are independent: 64, or 32 if that leaves fewer idle."""
    return 64 if channels % 64 == 0 else 32


def conv_tile(shape: Sequence[int]) -> Tile:
    """Depthwise convolution of a map (B, H, W, C): 4096 elements."""
    block = channel_block(shape[3])
    return Tile(4, 1024 // block, block, 4).fit(shape)


def exchange_tile(shape: Sequence[int]) -> Tile:
    """Exchange between scales: 2048 elements, of four maps at a time."""
    block = channel_block(shape[3])
    return Tile(4, 512 // block, block, 4).fit(shape)


def attention_tile(shape: Sequence[int]) -> Tile:
    """Relative position encoding and Q (K^T V); a wider block of channels would mix windows."""
    return Tile(8, 16, 32, 8).fit(shape, 32)


def attention_grad_tile(shape: Sequence[int]) -> Tile:
    """Gradient of the above: half the tile, because it holds twice as much."""
    return Tile(8, 8, 32, 8).fit(shape, 32)


def norm_rows(channels: int, tokens: int) -> int:
    """Tokens of one step of a norm, with all their channels."""
    rows = max(4096 // power_of_2(channels), 1)
    while rows > 1 and cdiv(tokens, rows) < ENOUGH:
        rows //= 2
    return rows


def norm_grad_programs(tokens: int, rows: int) -> int:
    """Programs of a norm's gradient."""
    return min(cdiv(tokens, rows), PROGRAMS)


def product_heads(head_width: int) -> int:
    """Heads of one program of the products over all tokens; narrow heads share one, block-diagonally."""
    return max(1, 32 // head_width)


def product_block(head_width: int) -> int:
    """Channels of one program of the products over all tokens; ``tl.dot`` needs at least 16."""
    return max(16, power_of_2(product_heads(head_width) * head_width))


def token_block(head_width: int, itemsize: int) -> int:
    """Tokens of one step of the products over all tokens; with more, wide heads in float32 would spill."""
    return 32 if head_width * itemsize >= 256 else 64


def join_block(head_width: int) -> tuple[int, int, int]:
    """(channels of a head, parts of one step, columns of one program) of the kernels that join the splits."""
    block, columns = power_of_2(head_width), 8
    return block, max(8192 // (block * columns), 1), columns


def splits(tokens: int, programs: int, step: int, most: int) -> tuple[int, int]:
    """(number of splits, tokens of one) of a sum over ``tokens``; no split is empty.

    Args:
        tokens: Length of the sum.
        programs: Number of programs without splitting.
        step: Tokens of one step; a split is a multiple of it.
        most: Maximal number of splits.
    """
    wanted = min(max(PROGRAMS // programs, 1), most, cdiv(tokens, step))
    length = cdiv(cdiv(tokens, wanted), step) * step
    return cdiv(tokens, length), length


GRAD_ELEMENTS = 8192  # taps x tokens x channels of one step of the parameters' gradients


def grad_channels(channels: int) -> int:
    """Channels of a program that sums parameters' gradients."""
    return 32


def grad_programs(rows: int, blocks: int) -> int:
    """Programs that share the rows of a map when parameters' gradients are summed."""
    return min(rows, max(PROGRAMS // blocks, 1))
