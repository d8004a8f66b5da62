"""Several processes without a GPU, which MMEngine supports only with GPUs, and their end."""

import gc
import os
import subprocess

import torch
from mmengine.config import Config
from torch import distributed

from mmcoat.errors import UsageError

_NEEDED = {
    'pytorch': ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_RANK', 'MASTER_ADDR'),
}
_STARTERS = {
    'pytorch': 'tools/dist_train.sh or torchrun',
    'slurm': 'tools/slurm_train.sh or srun',
    'mpi': 'mpirun',
}


class LauncherError(UsageError):
    """The launcher's environment variables are missing."""


def join_processes(cfg: Config) -> None:
    """Join the launcher's other processes if there is no GPU; with a GPU MMEngine does it.

    MMEngine assigns a GPU to each process before it joins, and passes one to the model's wrapper. Both fail
    without CUDA.

    Raises:
        LauncherError: The program was not started by the launcher.
    """
    launcher = cfg.get('launcher') or 'none'
    if launcher == 'none':
        return
    _require(launcher, _NEEDED[launcher])
    if launcher == 'slurm' and not torch.cuda.is_available():
        _translate_slurm()
        _require(launcher, ('MASTER_ADDR',))
    if torch.cuda.is_available() or launcher == 'mpi':
        return
    if not distributed.is_initialized():
        distributed.init_process_group('gloo')
    wrapper = dict(cfg.get('model_wrapper_cfg') or {})
    wrapper.setdefault('type', 'MMDistributedDataParallel')
    if wrapper['type'] == 'MMDistributedDataParallel':
        wrapper.setdefault('broadcast_buffers', False)  # as MMEngine does
        wrapper.setdefault('find_unused_parameters', cfg.get('find_unused_parameters', False))
        wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper


def leave_processes() -> None:
    """Leave the other processes before the interpreter ends; call it when nothing holds the runner any more.

    A thread of gloo that still waits for Python's lock when the interpreter ends makes PyTorch abort
    ("terminate called without an active exception", exit status -6 of a run that had succeeded). The groups'
    destructors join those threads, and the wrapped model holds the groups.
    """
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()
        distributed.destroy_process_group()


def _require(launcher: str, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise LauncherError(
            f'--launcher {launcher} needs {", ".join(missing)} in the environment: start with '
            f'{_STARTERS[launcher]}'
        )


def _translate_slurm() -> None:
    """Set PyTorch's environment variables from Slurm's."""
    environ = os.environ
    names = dict(RANK='SLURM_PROCID', WORLD_SIZE='SLURM_NTASKS', LOCAL_RANK='SLURM_LOCALID')
    environ.update({ours: environ[theirs] for ours, theirs in names.items() if theirs in environ})
    if 'MASTER_ADDR' not in environ and 'SLURM_NODELIST' in environ:
        command = ['scontrol', 'show', 'hostname', environ['SLURM_NODELIST']]
        hosts = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        if hosts:
            environ['MASTER_ADDR'] = hosts[0]
    environ.setdefault('MASTER_PORT', '29500')
