"""Export: from a config and a checkpoint to a program that runs without mmcoat and without OpenMMLab.

Optional packages are imported only when they are used: ONNX, OpenVINO and NNCF come with the extra
``export``.
"""

from .errors import ExportError, VerificationError
from .exporting import ENDINGS, FORMATS, PARTS, PRECISIONS, ExportOptions, export_model

__all__ = [
    'ENDINGS',
    'FORMATS',
    'PARTS',
    'PRECISIONS',
    'ExportError',
    'ExportOptions',
    'VerificationError',
    'export_model',
]
