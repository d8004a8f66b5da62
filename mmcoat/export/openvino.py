"""From an ONNX model to OpenVINO's form: an ``.xml`` with the graph and a ``.bin`` with the weights."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import require

KEY = 'mmcoat'
# Processors with AMX compute in bfloat16 by default.
EXACT = {'INFERENCE_PRECISION_HINT': 'f32'}


def convert(model: Any) -> Any:
    """Return OpenVINO's model of an ONNX ``ModelProto``."""
    openvino = require('openvino', 'the export to OpenVINO')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'model.onnx')
        path.write_bytes(model.SerializeToString())
        return openvino.convert_model(path)


def write(model: Any, path: Path, metadata: Mapping[str, Any], half: bool) -> None:
    """Write the graph and the weights; ``half`` stores the weights in float16.

    The weights' file is put in place first, so that a graph is never beside the weights of another graph.
    """
    openvino = require('openvino', 'the export to OpenVINO')
    model.set_rt_info(json.dumps(metadata), [KEY])
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f'.{path.name}.') as folder:
        draft = Path(folder, path.name)
        openvino.save_model(model, draft, compress_to_fp16=half)
        os.replace(draft.with_suffix('.bin'), path.with_suffix('.bin'))
        os.replace(draft, path)
