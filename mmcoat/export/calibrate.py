"""int8: measure ranges on a folder of images, and quantise the layers that gain from it.

Convolutions and linear layers are quantised, with weights per channel. Everything else stays in float:
softmax and its sums, norms, activations, residual sums, resizing, and the attention's products of two
activations, whose ranges depend on the image.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmcoat.apis import models
from mmcoat.apis.inputs import find_images
from mmcoat.apis.reading import ImageReader

from .errors import require
from .parts import Preprocessing

QUANTISED = ('Conv', 'Gemm', 'MatMul')
MOST_IMAGES = 64


class Reader:
    """Give images to onnxruntime's quantiser, in the form that it requires.

    Args:
        images: One batch (1, 3, H, W) each.
    """

    def __init__(self, images: list[np.ndarray]):
        self._images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the inputs of the next run, or None at the end."""
        image = next(self._images, None)
        return None if image is None else {'image': image}


def read_images(
    folder: str, cfg: Config, size: tuple[int | None, int | None], raw: bool
) -> list[np.ndarray]:
    """Return the images of a folder as the program takes them, at most ``MOST_IMAGES``, evenly chosen.

    They go through the config's test pipeline, which gives them the size at which the model is used.

    Args:
        folder: Images.
        cfg: Has the test pipeline and the preprocessor.
        size: Fixed height and width of the program; None if any size is allowed.
        raw: Whether the program takes RGB in uint8 instead of normalised images.

    Raises:
        ImageError: The folder has no image, or one cannot be read.
    """
    sources = find_images(folder)
    chosen = np.unique(np.linspace(0, len(sources) - 1, MOST_IMAGES).round().astype(int))
    transforms, read = models.pipeline(cfg), ImageReader(cfg)
    settings = Preprocessing.of(cfg)
    images = (read.for_pipeline(read(sources[i])) for i in chosen)
    return [_prepare(image, transforms, settings, size, raw) for image in images]


def _prepare(
    image: np.ndarray,
    transforms: list,
    settings: Preprocessing,
    size: tuple[int | None, int | None],
    raw: bool,
) -> np.ndarray:
    shape = image.shape[:2]
    item: dict[str, Any] = dict(
        img=image, img_path='', img_id=0, img_shape=shape, ori_shape=shape, height=shape[0]
    )
    item['width'] = shape[1]
    for transform in transforms:
        item = transform(item)
    x = item['inputs'].flip(0).float().unsqueeze(0)  # BGR -> RGB
    wanted = (size[0] or x.shape[2], size[1] or x.shape[3])
    if wanted != tuple(x.shape[2:]):
        x = F.interpolate(x, size=wanted, mode='bilinear', align_corners=False)
    if raw:
        return x.round().clamp(0, 255).to(torch.uint8).numpy()
    return settings.apply(x).numpy()


def quantise(model: Any, images: list[np.ndarray]) -> Any:
    """Return an ONNX model whose convolutions and linear layers compute in int8 (QDQ form).

    Args:
        model: ``ModelProto`` in float32.
        images: Batches that the program takes.
    """
    onnx = require('onnx', 'int8')
    tools = require('onnxruntime.quantization', 'int8')
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, 'float.onnx'), Path(folder, 'int8.onnx')
        onnx.save(model, source)
        tools.quantize_static(
            str(source),
            str(target),
            Reader(images),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_products_of_activations(model),
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            # seven bits: processors without VNNI add two products in sixteen bits, where eight overflow
            reduce_range=True,
            # keys and residual branches are read in float, directly from a linear layer
            extra_options={'OpTypesToExcludeOutputQuantization': ['Gemm', 'MatMul']},
        )
        return onnx.load(target)


def _products_of_activations(model: Any) -> list[str]:
    """Return the names of the matrix products without weights."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == 'MatMul' and not weights & set(node.input)
    ]
