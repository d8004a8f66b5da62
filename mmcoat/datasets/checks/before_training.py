"""The check at the start of a training: a sample of the images, and all entries of a COCO file."""

import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.logging import print_log

from .check import check_sets

SAMPLE = 100  # images of each data set, with their label maps
RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')


def check_before_training(
    sets: Iterable[tuple[str, Mapping[str, Any]]], cfg: Mapping[str, Any], path: str
) -> None:
    """Check a sample of each data set in the first process, and print warnings.

    Args:
        sets: Name and config of each data set.
        cfg: The whole config.
        path: The config's file, for the message.

    Raises:
        DataError: There is an error; the line has the first one, and the command that shows all.
    """
    if not _is_first_process(cfg):
        return
    report = check_sets(sets, cfg, sample=SAMPLE)
    tool = f'tools/check_dataset.py {path}'
    report.raise_first(f'All: {tool}; --no-check-data trains nevertheless')
    for finding in report.findings('warning'):
        print_log(f'data: {finding.line()} ({tool})', logger='current', level=logging.WARNING)


def _is_first_process(cfg: Mapping[str, Any]) -> bool:
    """Read the launcher's variables, because with GPUs the processes are not connected yet."""
    if cfg.get('launcher', 'none') == 'none':
        return True
    return next((os.environ[name] for name in RANKS if name in os.environ), '0') == '0'
