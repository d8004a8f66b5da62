# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own segmentation data in 30 minutes
#
# From a folder of images and masks to a model that is evaluated, looked at and exported. The data are drawn
# here: 24 pictures of fields with a thin road, 4 classes, in a layout that is not ADE20K's. Replace the
# cell that draws with your own folders, and the rest stays.
#
# It runs on a CPU. It needs the checkout and `pip install ".[onedl]"`; nothing is downloaded.

# %%
import importlib.util
import os
import re
import sys
from pathlib import Path

import cv2
import numpy as np
from shell import go_to_checkout, sh  # beside this file: sh runs a command and shows its output

from mmcoat import Inferencer, runs

go_to_checkout()

# The tests run this file with MMCOAT_TUTORIAL_ITERS=2, on smaller pictures.
ITERS = int(os.environ.get('MMCOAT_TUTORIAL_ITERS', 120))
SIDE = 64 if 'MMCOAT_TUTORIAL_ITERS' in os.environ else 128  # of the pictures
WORK = Path(os.environ.get('MMCOAT_TUTORIAL_DIR', 'work_dirs/tutorial_segmentation'))


# %% [markdown]
# ## 1. The data
#
# Pictures are `survey/rgb/NAME_rgb.png`, masks `survey/gt/NAME_gt.png`: pictures in the color of each
# class. A road covers about 4 % of the pixels: classes are not balanced. `bands` holds the same places with
# 1, 4 and 8 channels.

# %%
CLASSES = 'background,road,field,forest'
COLORS = np.array([[0, 0, 0], [128, 64, 128], [152, 251, 152], [0, 100, 0]], np.uint8)
# what a class looks like in 8 bands (the first three: R, G, B)
BANDS = np.array(
    [
        [120, 110, 100, 90, 80, 70, 60, 50],
        [90, 90, 95, 100, 105, 110, 115, 120],
        [150, 170, 80, 190, 200, 120, 90, 60],
        [50, 90, 45, 180, 150, 60, 40, 30],
    ]
)


def draw(seed):
    """Draw labels (SIDE, SIDE) and bands (SIDE, SIDE, 8) of one place."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for label in rng.permutation([2, 3, 2, 3, 2, 3]):
        center = rng.integers(0, SIDE, 2).tolist()
        axes = rng.integers(SIDE // 6, SIDE // 3, 2).tolist()
        cv2.ellipse(labels, center, axes, int(rng.integers(180)), 0, 360, int(label), -1)
    ends = rng.integers(0, SIDE, 2)
    cv2.line(labels, (0, int(ends[0])), (SIDE, int(ends[1])), 1, max(2, SIDE // 24))
    noise = rng.normal(0, 22, (SIDE, SIDE, 8)) + rng.normal(0, 12, 8)
    bands = cv2.GaussianBlur(BANDS[labels].astype(np.float32), (3, 3), 0) + noise
    return labels, bands.clip(0, 255).astype(np.uint8)


survey = WORK / 'survey'
for index in range(24):
    labels, bands = draw(index)
    for folder in ('rgb', 'gt', 'index', 'bands1', 'bands4', 'bands8'):
        (survey / folder).mkdir(parents=True, exist_ok=True)
    name = f'place{index:02}'
    cv2.imwrite(str(survey / 'rgb' / f'{name}_rgb.png'), bands[..., 2::-1])  # OpenCV writes B, G, R
    cv2.imwrite(str(survey / 'gt' / f'{name}_gt.png'), COLORS[labels][..., ::-1])
    cv2.imwrite(str(survey / 'index' / f'{name}.png'), labels)
    cv2.imwrite(str(survey / 'bands1' / f'{name}.png'), bands[..., 3])  # a grey picture
    np.save(survey / 'bands4' / f'{name}.npy', bands[..., :4])
    np.save(survey / 'bands8' / f'{name}.npy', bands)

# %% [markdown]
# ## 2. What the configs read
#
# `prepare_dataset.py` checks every file, splits 80 to 20, turns colors into labels, measures means and
# stds, and writes a config. `--balance` weighs rare classes.

# %%
data, config = WORK / 'data', WORK / 'fields.py'
output = sh(
    f'python tools/prepare_dataset.py pairs --images {survey}/rgb --masks {survey}/gt '
    f'--image-suffix _rgb.png --mask-suffix _gt.png --classes {CLASSES} '
    f'--colors 000000,804080,98fb98,006400 --balance '
    f'--out {data} --config {config} --model fpn_coat_lite_t --overwrite'
)
print(config.read_text())

# %% [markdown]
# ## 3. Few images: what to change
#
# The base recipe is made for 20,000 images. What helps with 24, each line by itself:
#
# - **Start from ImageNet.** The base config does so; `PRETRAINED = False` leaves it out here, since these
#   pictures are no photos and nothing shall be downloaded. Leave the line out for your own.
# - **Freeze** the first stages: `frozen_stages=1` keeps the stem's and the first stage's weights. Only with
#   pretrained weights: random ones would stay random.
# - **Layer-wise decay:** early layers, which know edges and textures, learn more slowly than late ones.
# - **A short schedule** that ends at a learning rate of 0.

# %%
PRETRAINED = False
FROZEN = 1 if PRETRAINED else -1

recipe = f"""
model = dict(backbone=dict(frozen_stages={FROZEN}{'' if PRETRAINED else ', init_cfg=None'}))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    constructor='mmcoat.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(_delete_=True, decay_rate=0.9),
)
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end={ITERS}, by_epoch=False)]
train_cfg = dict(max_iters={ITERS}, val_interval={ITERS})
default_hooks = dict(checkpoint=dict(interval={ITERS}), logger=dict(interval={max(1, ITERS // 6)}))
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size={min(8, 2 * ITERS)}, **loader)
val_dataloader = loader
test_dataloader = loader
"""


def derive(name, base, text):
    """Write a config that inherits from another one."""
    path = WORK / f'{name}.py'
    path.write_text(f"_base_ = './{base}.py'\n{text}")
    return path


weighted = derive('weighted', 'fields', recipe)
log_weighted = sh(f'python tools/train.py {weighted} --work-dir {WORK}/run_weighted --overwrite')

# %% [markdown]
# ## 4. Rare classes: weights or Dice
#
# `class_weight` (written by `--balance`) makes each pixel of a rare class count more. Dice measures each
# class by its overlap instead, whatever its size; beside the cross entropy it needs no weights. Which is
# better depends on the data: try both.

# %%
dice = derive(
    'dice',
    'weighted',
    """
class_weight = None
model = dict(
    decode_head=dict(
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_weight=1.0),
            dict(type='DiceLoss', loss_name='loss_dice', loss_weight=1.0),
        ]
    )
)
""",
)
log_dice = sh(f'python tools/train.py {dice} --work-dir {WORK}/run_dice --overwrite')

for name, log in (('class weights', log_weighted), ('Dice', log_dice)):
    scores = dict(re.findall(r'\|\s+(\w+)\s+\|\s+([\d.]+|nan) \|', log))
    print(f'{name:14}', scores)

# %% [markdown]
# ## 5. Evaluate
#
# `--tta` averages over scales and flips. `--out` and `--show-dir` write what the model says.

# %%
checkpoint = (WORK / 'run_dice' / 'last_checkpoint').read_text().strip()
sh(f'python tools/test.py {dice} {checkpoint} --work-dir {WORK}/test --tta')

# %% [markdown]
# ## 6. Look
#
# The model in Python: one object, images in, results out. Left to right: image, truth, answer.


# %%
def show(path):
    """Show a picture in a notebook; a script says where it is."""
    print(path)
    if 'ipykernel' in sys.modules:
        import IPython.display

        IPython.display.display(IPython.display.Image(str(path)))


inferencer = Inferencer(str(dice), checkpoint, device='cpu')
rows = []
for image in sorted((data / 'images' / 'validation').iterdir())[:3]:
    result = inferencer(str(image))[0]
    truth = cv2.imread(str(data / 'annotations' / 'validation' / f'{image.stem}.png'), 0)
    colored = [COLORS[part][..., ::-1] for part in (truth, result.label_map)]
    rows.append(np.hstack([cv2.imread(str(image)), *colored]))
cv2.imwrite(str(WORK / 'look.png'), np.vstack(rows))
show(WORK / 'look.png')

# %% [markdown]
# ## 7. Export
#
# A program that runs without mmcoat: ONNX where it is installed (`pip install "mmcoat[export]"`), else
# PyTorch's own `.pt2`. `--verify` runs it at other sizes and compares.

# %%
has_onnx = all(importlib.util.find_spec(name) for name in ('onnx', 'onnxscript', 'onnxruntime'))
form, ending = ('onnx', 'onnx') if has_onnx else ('torch-export', 'pt2')
program = WORK / f'fields.{ending}'
sh(
    f'python tools/export.py {dice} {checkpoint} --format {form} --out {program} '
    f'--dynamic batch,height,width --verify'
)

# %% [markdown]
# ## 8. One, four and eight channels
#
# The same three commands. The means and stds that `prepare_dataset.py` measures say how many channels there
# are; the backbone, the loading and the normalisation follow.

# %%
for channels, suffix in ((1, '.png --channels 1'), (4, '.npy'), (8, '.npy')):
    sh(
        f'python tools/prepare_dataset.py pairs --images {survey}/bands{channels} --masks {survey}/index '
        f'--image-suffix {suffix} --classes {CLASSES} --out {WORK}/data{channels} '
        f'--config {WORK}/bands{channels}.py --model fpn_coat_lite_t --overwrite',
        show=2,
    )
    cfg = runs.load_config(str(WORK / f'bands{channels}.py'))
    print(channels, 'channels:', cfg.model.data_preprocessor.mean, cfg.model.backbone.in_channels)

# %% [markdown]
# Training is as before; here with the eight bands:

# %%
eight = derive('eight', 'bands8', recipe)
sh(f'python tools/train.py {eight} --work-dir {WORK}/run_eight --overwrite')

# %% [markdown]
# ## What next
#
# More forms of masks, other layouts, a config by hand: the page *Your own data*. A data set that trains
# badly: `python tools/check_dataset.py CONFIG`. Objects instead of pixels: *Your own COCO JSON*.
