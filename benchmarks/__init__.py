"""Measure this backbone against its peers; ``tools/benchmark.py`` is the command."""

from .arguments import add_arguments, read_options
from .report import run

__all__ = ['add_arguments', 'read_options', 'run']
