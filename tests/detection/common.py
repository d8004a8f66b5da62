"""What the detection tests share: small models, batches, and state dicts as MMDetection 2.x wrote them."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmcoat import runs
from tests import golden
from tests.helpers import load

pytest.importorskip('mmdet.models')
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData


def small(name: str) -> Config:
    """Return a config without weights to fetch, and with fewer queries, proposals and loss points."""
    cfg = load(name)
    runs.fit_to_devices(cfg)
    model = cfg.model
    model.backbone.init_cfg = None
    if 'num_queries' in model:
        model.num_queries = 20
    if 'roi_head' in model:
        stages = model.train_cfg.rcnn
        for stage in stages if isinstance(stages, list) else [stages]:
            stage.sampler.num = 32
        model.train_cfg.rpn_proposal.max_per_img = model.test_cfg.rpn.max_per_img = 64
    if model.type == 'Mask2Former':
        model.panoptic_head.num_queries = 20
        model.train_cfg.num_points = 64
        model.data_preprocessor.batch_augments[0].size = (96, 96)
    return cfg


def build(cfg: Config) -> torch.nn.Module:
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    model.init_weights()  # as the Runner does; Deformable DETR's level embedding is unset memory before
    return model


def batch(sizes=((64, 96), (96, 64)), objects=(2, 0)) -> dict:
    """Return images of several sizes, by default one with objects and one without."""
    inputs, samples = [], []
    for (height, width), count in zip(sizes, objects, strict=True):
        inputs.append(torch.randint(0, 255, (3, height, width), dtype=torch.uint8))
        boxes = torch.tensor([[4.0, 6.0, 40.0, 50.0], [20.0, 10.0, 60.0, 60.0]])[:count]
        masks = torch.zeros(count, height, width, dtype=torch.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = 1
        sample = DetDataSample(
            metainfo=dict(
                img_id=len(samples),
                img_shape=(height, width),
                ori_shape=(height, width),
                scale_factor=(1.0, 1.0),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=boxes,
            labels=torch.tensor([0, 79])[:count],
            masks=BitmapMasks(masks.numpy(), height, width),
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
        )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def losses(model: torch.nn.Module, data: dict) -> torch.Tensor:
    """Return the sum of the losses of one training step."""
    model.train()
    data = model.data_preprocessor(data, training=True)
    return model.parse_losses(model(**data, mode='loss'))[0]


def predictions(model: torch.nn.Module, data: dict) -> list:
    model.eval()
    with torch.no_grad():
        return model.test_step(data)


# ---------------------------------------------------------------------- MMDetection 2.x


def official_2x(arch: str, cascade: bool = False) -> dict[str, torch.Tensor]:
    """Return a state dict as the official files of instance segmentation hold it, aliases included."""
    spec = golden.load('coat.json')[golden.ARCHS[arch]]['state_dict']
    weights = {f'backbone.{k}': v for k, v in golden.state_dict(spec).items()}
    dims = [spec[f'cls_token{i}']['shape'][-1] for i in (1, 2, 3, 4)]
    shapes: dict[str, list[int]] = {}
    for i, channels in enumerate(dims):
        shapes |= _layer(f'neck.lateral_convs.{i}.conv', [256, channels, 1, 1])
        shapes |= _layer(f'neck.fpn_convs.{i}.conv', [256, 256, 3, 3])
    shapes |= _layer('rpn_head.rpn_conv', [256, 256, 3, 3])
    shapes |= _layer('rpn_head.rpn_cls', [3, 256, 1, 1])
    shapes |= _layer('rpn_head.rpn_reg', [12, 256, 1, 1])
    for index in ('.0', '.1', '.2') if cascade else ('',):
        shapes |= _box_head_2x(f'roi_head.bbox_head{index}', cascade)
        shapes |= _mask_head_2x(f'roi_head.mask_head{index}')
    for key, shape in shapes.items():
        tracked = key.endswith('num_batches_tracked')
        weights[key] = torch.tensor(7) if tracked else golden.fill(key, shape)
        if key.endswith('running_var'):
            weights[key] = weights[key].abs() + 0.5
    return weights


def _layer(name: str, shape: list[int], bias: int | None = None) -> dict[str, list[int]]:
    return {f'{name}.weight': shape, f'{name}.bias': [shape[0] if bias is None else bias]}


def _box_head_2x(name: str, cascade: bool) -> dict[str, list[int]]:
    shapes = _layer(f'{name}.fc_cls', [81, 1024]) | _layer(f'{name}.fc_reg', [320, 1024])
    shapes |= _layer(f'{name}.shared_fcs.0', [1024, 256 * 49])
    if not cascade:
        return shapes | _layer(f'{name}.shared_fcs.1', [1024, 1024])
    for i in range(4):
        conv = f'{name}.shared_convs.{i}'
        shapes |= {f'{conv}.conv.weight': [256, 256, 3, 3], f'{conv}.bn.num_batches_tracked': []}
        for part in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{conv}.bn.{part}'] = [256]
    return shapes


def _mask_head_2x(name: str) -> dict[str, list[int]]:
    shapes: dict[str, list[int]] = {}
    for i in range(4):
        shapes |= _layer(f'{name}.convs.{i}.conv', [256, 256, 3, 3])
    shapes |= _layer(f'{name}.upsample', [256, 256, 2, 2])
    return shapes | _layer(f'{name}.conv_logits', [80, 256, 1, 1])
