"""Shard a CoaT over processes, block by block; started by torchrun from test_scale_out.py.

torchrun --nproc_per_node 2 tests/runs/shard.py FOLDER
"""

import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from mmcoat import CoaT
from mmcoat.models.backbones.blocks import ParallelBlock, SerialBlock
from mmcoat.runs.distributed import leave_processes

FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)
BROADCAST = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)


def shard(model: nn.Module) -> int:
    """Shard every block by itself, and then what is left; return the number of blocks."""
    mesh = init_device_mesh('cpu', (distributed.get_world_size(),))
    blocks = [m for m in model.modules() if isinstance(m, SerialBlock | ParallelBlock)]
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return len(blocks)


def step(model: nn.Module, images: torch.Tensor) -> float:
    """Take one step of SGD and return the loss."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = 1e-3 * sum(x.square().mean() for x in model(images))
    loss.backward()
    optimizer.step()
    return loss.item()


def main(folder: Path) -> None:
    distributed.init_process_group('gloo')
    rank, world = distributed.get_rank(), distributed.get_world_size()
    images = torch.load(folder / 'images.pth', weights_only=True)
    for arch in ('lite_tiny', 'tiny'):
        torch.manual_seed(rank)  # other weights in each process, until rank 0's are loaded
        model = CoaT(arch)
        blocks = shard(model)
        start = torch.load(folder / f'{arch}.pth', weights_only=True) if rank == 0 else {}
        set_model_state_dict(model, start, options=BROADCAST)
        own = sum(p.to_local().numel() for p in model.parameters())
        loss = step(model, images.chunk(world)[rank])
        full = get_model_state_dict(model, options=FULL)  # gathers: all processes take part
        result = dict(loss=loss, blocks=blocks, own=own, state_dict=full)
        torch.save(result, folder / f'{arch}_{rank}.pth')


if __name__ == '__main__':
    main(Path(sys.argv[1]))
    leave_processes()
