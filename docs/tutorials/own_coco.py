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
# # Your own COCO JSON
#
# From a folder of images and one annotation file to a Mask R-CNN that is evaluated and looked at. The data
# are drawn here: bolts, nuts and washers on a table, with categories whose ids are 3, 7 and 12. Replace the
# cell that draws with your own file, and the rest stays.
#
# It runs on a CPU. It needs the checkout and `pip install ".[onedl]"`, no compiler; nothing is downloaded.

# %%
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
from shell import go_to_checkout, sh  # beside this file: sh runs a command and shows its output

from mmcoat import Inferencer

go_to_checkout()

# The tests run this file with MMCOAT_TUTORIAL_ITERS=2, on few and smaller pictures.
FAST = 'MMCOAT_TUTORIAL_ITERS' in os.environ
ITERS = int(os.environ.get('MMCOAT_TUTORIAL_ITERS', 200))
SIDE, COUNT = (64, 5) if FAST else (160, 60)
WORK = Path(os.environ.get('MMCOAT_TUTORIAL_DIR', 'work_dirs/tutorial_coco'))


# %% [markdown]
# ## 1. The data
#
# One file in COCO's format: `images`, `categories`, and `annotations` with a box and a polygon each. Ids
# may be any numbers.

# %%
CATEGORIES = {3: 'bolt', 7: 'nut', 12: 'washer'}
TINTS = {3: (200, 190, 170), 7: (90, 160, 210), 12: (160, 90, 120)}


def outline(kind, center, radius, angle):
    """Return the corners of an object, (N, 2) in pixels: a bar, a hexagon, or a disc."""
    if kind == 'bolt':
        corners = np.array([[-1, -0.3], [1, -0.3], [1, 0.3], [-1, 0.3]])
    else:
        turns = np.linspace(0, 2 * np.pi, 6 if kind == 'nut' else 24, endpoint=False)
        corners = np.stack([np.cos(turns), np.sin(turns)], 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (corners * radius @ turn.T + center).clip(0, SIDE - 1)


rng = np.random.default_rng(0)
images, annotations = [], []
(WORK / 'photos').mkdir(parents=True, exist_ok=True)
for image_id in range(COUNT):
    picture = rng.normal(60, 12, (SIDE, SIDE, 3))
    # one object in each quarter of the picture that is drawn
    for quarter in rng.permutation(4)[: rng.integers(2, 5)]:
        category = int(rng.choice(list(CATEGORIES)))
        center = (np.array([quarter % 2, quarter // 2]) + 0.5) * SIDE / 2 + rng.uniform(-4, 4, 2)
        radius = rng.uniform(0.12, 0.2) * SIDE
        corners = outline(CATEGORIES[category], center, radius, rng.uniform(0, np.pi))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(mask, [corners.round().astype(np.int32)], 1)
        picture[mask == 1] = TINTS[category] + rng.normal(0, 12, (int(mask.sum()), 3))
        (x1, y1), (x2, y2) = corners.min(0), corners.max(0)
        annotations.append(
            dict(
                id=len(annotations) + 1,
                image_id=image_id,
                category_id=category,
                bbox=[float(v) for v in (x1, y1, x2 - x1, y2 - y1)],
                segmentation=[corners.ravel().round(1).tolist()],
                area=float(mask.sum()),
                iscrowd=0,
            )
        )
    name = f'table{image_id:03}.png'
    cv2.imwrite(str(WORK / 'photos' / name), picture.clip(0, 255).astype(np.uint8))
    images.append(dict(id=image_id, file_name=name, height=SIDE, width=SIDE))
categories = [dict(id=key, name=name) for key, name in CATEGORIES.items()]
content = dict(images=images, categories=categories, annotations=annotations)
(WORK / 'all.json').write_text(json.dumps(content))

# %% [markdown]
# ## 2. What the configs read
#
# `prepare_dataset.py` checks the file and the images, splits 80 to 20, and writes a config.

# %%
config = WORK / 'table.py'
sh(
    f'python tools/prepare_dataset.py coco --json {WORK}/all.json --images {WORK}/photos --task detection '
    f'--out {WORK}/data --config {config} --model mask_rcnn_coat_lite_t --overwrite'
)
print(config.read_text())

# %% [markdown]
# ## 3. Train
#
# The base recipe is COCO's: 12 epochs of 118,000 photos at 800 x 1333 pixels. What differs here:
#
# - the size of the images, in both pipelines;
# - a schedule in iterations, with a short warm-up;
# - `PRETRAINED = False`, since these pictures are no photos and nothing shall be downloaded. For your own
#   photos leave it out: with few images, ImageNet's weights matter most.

# %%
PRETRAINED = False
SIZE = (SIDE, SIDE) if FAST else (192, 192)

mine = WORK / 'mine.py'
mine.write_text(f"""
_base_ = './table.py'
model = dict({'' if PRETRAINED else 'backbone=dict(init_cfg=None), '}test_cfg=dict(rcnn=dict(max_per_img=20)))
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
resize = dict(type='Resize', scale={SIZE}, keep_ratio=True)
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
train_pipeline = [*load, resize, dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')]
test_pipeline = [load[0], resize, load[1], dict(type='PackDetInputs', meta_keys=keys)]
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size={min(4, 2 * ITERS)}, dataset=dict(pipeline=train_pipeline), **loader)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline), **loader)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline), **loader)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end={max(2, ITERS // 10)}),
    dict(type='CosineAnnealingLR', by_epoch=False, begin={max(2, ITERS // 10)}, end={ITERS + 2}, eta_min=0),
]
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters={ITERS}, val_interval={ITERS}
)
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval={ITERS}, save_best=None),
    logger=dict(interval={max(1, ITERS // 8)}),
)
log_processor = dict(by_epoch=False)
""")
sh(f'python tools/train.py {mine} --work-dir {WORK}/run --overwrite', show=16)

# %% [markdown]
# `AP` is the mean over overlaps from 0.5 to 0.95; `segm` judges masks, `bbox` boxes.
#
# ## 4. Evaluate
#
# `--show-dir` draws truth and answer side by side.

# %%
checkpoint = (WORK / 'run' / 'last_checkpoint').read_text().strip()
sh(
    f'python tools/test.py {mine} {checkpoint} --work-dir {WORK}/test --show-dir {WORK}/drawn '
    '--cfg-options test_evaluator.classwise=True',
    show=30,
)

# %% [markdown]
# ## 5. Use


# %%
def show(path):
    """Show a picture in a notebook; a script says where it is."""
    print(path)
    if 'ipykernel' in sys.modules:
        import IPython.display

        IPython.display.display(IPython.display.Image(str(path)))


inferencer = Inferencer(str(mine), checkpoint, device='cpu', score_thr=0.5)
parts = sorted((WORK / 'data' / 'val').iterdir())[:3]
drawn = []
for part in parts:
    result = inferencer(str(part))[0]
    drawn.append(result.plot()[..., ::-1])
    print(part.name, [result.classes[label] for label in result.labels])
height = max(picture.shape[0] for picture in drawn)
padded = [cv2.copyMakeBorder(p, 0, height - p.shape[0], 0, 0, cv2.BORDER_CONSTANT) for p in drawn]
cv2.imwrite(str(WORK / 'look.png'), np.hstack(padded))
show(WORK / 'look.png')

# %% [markdown]
# ## What next
#
# A split of your own, files by hand, other numbers of channels: the page *Your own data*. Other detectors:
# the model zoo; `--model cascade_mask_rcnn_coat_s` is the strongest of the paper's. Boxes without masks in
# the file: `--model retinanet_coat_lite_s_1x`.
