"""From a traced program to an ONNX file."""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from mmcoat.checkpoints.atomic import write_whole

from .errors import ExportError, require
from .torch_export import AXES

OPSET = 18
KEY = 'mmcoat'  # key of the metadata, which are JSON
LARGEST = 2**31 - 1  # bytes of one protobuf
# Sums over many tokens stay in float, because in half precision they would lose digits or overflow.
KEEP_FLOAT = (
    'Exp',
    'LayerNormalization',
    'Range',
    'ReduceMax',
    'ReduceMean',
    'ReduceSum',
    'Resize',
    'Softmax',
)


def translate(program: ExportedProgram, names: list[str], dynamic: tuple[str, ...]) -> Any:
    """Return the ONNX model (a ``ModelProto``) of a program.

    Args:
        program: A traced part with one input.
        names: Names of the outputs.
        dynamic: Names of its dynamic axes; they become the names of the model's dimensions.

    Raises:
        ExportError: The packages are missing, or the model is too large for one file.
    """
    for package in ('onnx', 'onnxscript'):
        require(package, 'the export to ONNX')
    with _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=['image'],
            output_names=names,
            verbose=False,
        )
        model = exported.model_proto
    if model.ByteSize() > LARGEST:
        raise ExportError('the model is larger than 2 GB, which one ONNX file cannot hold')
    _name_axes(model, dynamic)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's messages about torchvision, which is not needed."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def _name_axes(model: Any, dynamic: tuple[str, ...]) -> None:
    """Give the dimensions the names of the axes instead of torch's symbols."""
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    names = {sizes[AXES[name]].dim_param: name for name in dynamic}
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in names:
                size.dim_param = names[size.dim_param]


def to_half(model: Any) -> Any:
    """Return the model with weights and most operations in float16; inputs and outputs do not change."""
    half = require('onnxruntime.transformers.float16', 'half precision')
    tools = require('onnxruntime.transformers.onnx_model', 'half precision')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # warnings about weights below the smallest float16
        converted = half.convert_float_to_float16(
            model, keep_io_types=True, op_block_list=[*half.DEFAULT_OP_BLOCK_LIST, *KEEP_FLOAT]
        )
    tools.OnnxModel.graph_topological_sort(converted.graph)  # the casts come last
    return converted


def write(model: Any, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the model completely or not at all, with its metadata as JSON under ``mmcoat``."""
    onnx = require('onnx', 'the export to ONNX')
    onnx.helper.set_model_props(model, {KEY: json.dumps(metadata)})
    onnx.checker.check_model(model)
    write_whole(model.SerializeToString(), path)
