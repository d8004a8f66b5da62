"""Draw the diagrams of the documentation: ``python docs/pictures/draw.py`` writes the SVG files beside it."""

from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

HERE = Path(__file__).parent
STYLE = {'svg.fonttype': 'path', 'svg.hashsalt': 'mmcoat', 'font.size': 10}
IMAGE, CONV, ATTENTION, MLP, TOKEN = '#e8eef7', '#d7ecd9', '#fde3c8', '#e6d9f2', '#fff6bf'


class Canvas:
    """A drawing of boxes and arrows; (0, 0) is at the lower left."""

    def __init__(self, width: float, height: float):
        self.figure, self.axis = plt.subplots(figsize=(width, height))
        self.axis.set(xlim=(0, width), ylim=(0, height), aspect='equal')
        self.axis.axis('off')

    def box(self, x, y, width, height, text, color):
        """Draw a box with its lower left corner at (x, y)."""
        patch = FancyBboxPatch(
            (x, y),
            width,
            height,
            'round,pad=0,rounding_size=0.08',
            facecolor=color,
            edgecolor='#444',
        )
        self.axis.add_patch(patch)
        self.axis.text(x + width / 2, y + height / 2, text, ha='center', va='center')

    def arrow(self, start, end, bend=0.0, color='#444'):
        """Draw an arrow; ``bend`` curves it."""
        style = dict(
            arrowstyle='-|>', color=color, connectionstyle=f'arc3,rad={bend}', linewidth=1.2
        )
        self.axis.annotate('', end, start, arrowprops=style)

    def text(self, x, y, text, **settings):
        """Write a text around (x, y)."""
        self.axis.text(x, y, text, **dict(ha='center', va='center') | settings)

    def save(self, name):
        """Write the file without the date, so that drawing it again gives the same file."""
        path = HERE / name
        self.figure.savefig(path, bbox_inches='tight', metadata={'Date': None})
        plt.close(self.figure)


def backbone() -> None:
    """Draw four serial stages, and the parallel group over the last three."""
    c = Canvas(10.5, 4.0)
    c.axis.set_ylim(-0.3, 3.8)
    names = ['stage 1', 'stage 2', 'stage 3', 'stage 4']
    c.box(0.1, 2.4, 1.1, 0.9, 'image\nH x W', IMAGE)
    for i, name in enumerate(names):
        x = 1.7 + 2.25 * i
        c.arrow((x - 0.5, 2.85), (x, 2.85))
        c.box(x, 2.4, 1.75, 0.9, f'{name}: patches,\nserial blocks', CONV)
        c.text(x + 0.87, 3.55, f'C$_{i + 1}$, H/{4 * 2**i} x W/{4 * 2**i}', fontsize=9)
        if i:
            c.arrow((x + 0.87, 2.4), (x + 0.87, 1.75))
    c.box(
        3.95,
        0.95,
        6.25,
        0.8,
        'parallel blocks x 6: attention per scale, exchange, one MLP',
        ATTENTION,
    )
    c.text(
        5.2,
        -0.15,
        'CoaT-Lite has no parallel blocks: its maps come from the serial stages',
        fontsize=9,
    )
    for i in range(4):
        x = 2.57 + 2.25 * i
        c.arrow((x, 2.4 if i == 0 else 0.95), (x, 0.45))
        c.text(x, 0.28, f'map {i + 1}', fontsize=9)
    c.save('coat_backbone.svg')


def serial_block() -> None:
    """Draw the path of class token and image tokens through one serial block."""
    c = Canvas(10.5, 2.6)
    c.box(0.1, 1.5, 1.2, 0.6, 'class\ntoken', TOKEN)
    c.box(0.1, 0.5, 1.2, 0.6, 'image\ntokens', IMAGE)
    parts = [
        (1.8, 0.5, 1.2, 0.6, 'x + CPE(x)', CONV),
        (3.5, 0.4, 0.9, 1.8, 'norm 1', IMAGE),
        (4.8, 0.4, 1.7, 1.8, 'conv-attention\n(CRPE inside)', ATTENTION),
        (7.6, 0.4, 0.9, 1.8, 'norm 2', IMAGE),
        (8.9, 0.4, 0.8, 1.8, 'MLP', MLP),
    ]
    for part in parts:
        c.box(*part)
    for y in (0.8, 1.8):
        c.arrow((1.3, y), (1.8 if y < 1 else 3.5, y))
        c.arrow((4.4, y), (4.8, y))
        c.arrow((6.5, y), (7.6, y))
        c.arrow((8.5, y), (8.9, y))
        c.arrow((9.7, y), (10.4, y))
    c.arrow((3.0, 0.8), (3.5, 0.8))
    for x, end in ((3.25, 7.05), (7.3, 10.05)):
        c.arrow((x, 0.8), (end, 0.8), bend=0.25, color='#999')
        c.text(end, 0.8, '+', fontsize=13, bbox=dict(boxstyle='circle,pad=0.1', facecolor='white'))
    c.text(
        5.15,
        0.06,
        'residual: tokens plus what drop path keeps of the branch',
        fontsize=9,
        color='#666',
    )
    c.save('serial_block.svg')


def parallel_block() -> None:
    """Draw a parallel block: separate attention at three scales, the exchange, and the shared MLP."""
    c = Canvas(10.5, 4.0)
    for i, (stride, y) in enumerate(((8, 2.9), (16, 1.7), (32, 0.5))):
        c.box(0.1, y, 1.3, 0.7, f'scale {i + 2}\nstride {stride}', IMAGE)
        c.box(1.9, y, 1.2, 0.7, 'x + CPE(x)', CONV)
        c.box(3.6, y, 1.9, 0.7, 'norm,\nconv-attention', ATTENTION)
        c.arrow((1.4, y + 0.35), (1.9, y + 0.35))
        c.arrow((3.1, y + 0.35), (3.6, y + 0.35))
        c.box(7.4, y, 0.5, 0.7, '+', 'white')
        c.box(8.4, y, 0.9, 0.7, 'norm', IMAGE)
        c.arrow((7.9, y + 0.35), (8.4, y + 0.35))
        c.arrow((9.3, y + 0.35), (9.7, y + 0.35))
        for other in (2.9, 1.7, 0.5):
            c.arrow((5.5, y + 0.35), (7.4, other + 0.35), color='#444' if other == y else '#c46b00')
    c.box(9.7, 0.5, 0.7, 3.1, 'one\nMLP', MLP)
    c.text(
        6.45,
        3.85,
        'exchange: each scale gets the others,\nresized (bilinear)',
        fontsize=9,
        color='#c46b00',
    )
    c.save('parallel_block.svg')


def conv_attention() -> None:
    """Draw conv-attention from queries, keys and values to the output."""
    c = Canvas(10.5, 3.4)
    for y, name in ((2.5, 'Q'), (1.5, 'K'), (0.5, 'V')):
        c.box(0.1, y, 0.9, 0.6, f'{name}\nN x C', IMAGE)
    c.box(1.7, 1.5, 2.1, 0.6, 'softmax over tokens', ATTENTION)
    c.box(4.5, 0.95, 2.0, 0.8, 'softmax(K)$^T$ V\nC/8 x C/8 per head', ATTENTION)
    c.box(1.7, 0.2, 2.1, 0.8, 'depthwise conv\n3, 5, 7 by heads', CONV)
    c.box(7.3, 1.9, 1.5, 0.8, 'scale Q (...)', ATTENTION)
    c.box(7.3, 0.3, 1.5, 0.8, 'Q * (...)\nCRPE', CONV)
    c.box(9.5, 1.1, 0.8, 0.8, '+', 'white')
    c.arrow((1.0, 1.8), (1.7, 1.8))
    c.arrow((3.8, 1.8), (4.5, 1.5))
    c.arrow((1.0, 0.9), (4.5, 1.25), bend=-0.08)
    c.arrow((1.0, 0.7), (1.7, 0.7))
    c.arrow((3.8, 0.6), (7.3, 0.6))
    c.arrow((1.0, 2.8), (7.3, 2.45))
    c.arrow((6.5, 1.4), (7.3, 2.1))
    c.arrow((1.0, 2.65), (7.9, 1.1), bend=-0.22, color='#999')
    c.arrow((8.8, 2.2), (9.5, 1.7))
    c.arrow((8.8, 0.8), (9.5, 1.3))
    c.save('conv_attention.svg')


def configs() -> None:
    """Draw the files from which a config inherits."""
    c = Canvas(10.5, 3.2)
    bases = [
        ('_base_/backbones/\ncoat_lite_small.py', 'arch, channels, weights', CONV),
        ('_base_/models/\nupernet_coat.py', 'heads, losses', ATTENTION),
        ('_base_/datasets/\nade20k_512.py', 'data_root, crop_size,\nnum_classes, pipelines', IMAGE),
        ('_base_/schedules/\nadamw_160k.py', 'optimizer, rates', MLP),
        ('_base_/runtimes/\nmmseg.py', 'hooks, logs, TTA', TOKEN),
    ]
    for i, (name, what, color) in enumerate(bases):
        x = 0.1 + 2.08 * i
        c.box(x, 1.9, 1.95, 0.75, name, color)
        c.text(x + 0.97, 2.95, what, fontsize=8.5, color='#555')
        c.arrow((x + 0.97, 1.9), (3.6 + 0.82 * i, 1.1))
    c.box(2.75, 0.4, 5.0, 0.7, 'upernet_coat_lite_s_ade20k.py: only what differs', 'white')
    c.text(
        5.25,
        0.15,
        'your config: _base_ = this file, and your classes, data and crop size',
        fontsize=9,
    )
    c.save('configs.svg')


if __name__ == '__main__':
    with plt.rc_context(STYLE):
        for draw in (backbone, serial_block, parallel_block, conv_attention, configs):
            draw()
