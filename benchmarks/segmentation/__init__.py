"""Compare segmentation configs under one budget; ``tools/benchmark_segmentation.py`` is the command."""

from .arguments import add_arguments, read_plan
from .campaign import run

__all__ = ['add_arguments', 'read_plan', 'run']
