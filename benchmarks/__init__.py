"""Measure this backbone against its peers; ``tools/benchmark.py`` is the command."""

from .command import add_arguments, run

__all__ = ['add_arguments', 'run']
