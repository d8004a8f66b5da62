"""MMCV's operators without a compiler: those that mmcoat's configs use, in PyTorch.

A leaf: it imports nothing else of mmcoat.
"""

from .extension import OPERATORS, Extension, MissingOperatorError, use_pytorch_ops

__all__ = ['OPERATORS', 'Extension', 'MissingOperatorError', 'use_pytorch_ops']
