"""MMCV's operators without a compiler: PyTorch versions of those that mmcoat's configs use.

This package imports nothing else of mmcoat.
"""

from .extension import OPERATORS, Extension, MissingOperatorError, use_pytorch_ops

__all__ = ['OPERATORS', 'Extension', 'MissingOperatorError', 'use_pytorch_ops']
