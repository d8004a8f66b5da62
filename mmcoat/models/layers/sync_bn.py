"""Batch normalization over several processes without a GPU."""

import torch
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from mmcoat.registry import MODELS


@MODELS.register_module()
class CPUSyncBN(_BatchNorm):
    """Batch normalization whose statistics are those of the joint batch of all processes.

    PyTorch's ``SyncBatchNorm`` runs on GPUs only; ``tools/train.py`` takes this layer in its place where
    several processes train without one. Names and shapes of weights are those of ``BatchNorm2d``, and so are
    the arguments. In evaluation, and in a single process, it is ``BatchNorm2d``.

    The batches of the processes may differ in size. Mean and variance are computed one after the other: a
    difference of sums loses its digits where the mean is large.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() < 2:
            raise ValueError(f'expected at least 2 dimensions (N, C, ...), got {tuple(x.shape)}')

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, ...) per channel; the result has the input's shape and type."""
        alone = not distributed.is_initialized() or distributed.get_world_size() == 1
        if alone or not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        dtype, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
        dims = [dim for dim in range(x.dim()) if dim != 1]
        shape = [-1 if dim == 1 else 1 for dim in range(x.dim())]
        count = x.new_tensor([x.numel() / x.shape[1]])
        total = all_reduce(torch.cat([x.sum(dims), count]))
        count = total[-1].detach()
        if count <= 1:
            raise ValueError(
                'expected more than 1 value per channel in training, over all processes'
            )
        mean = total[:-1] / count
        x = x - mean.view(shape)
        variance = all_reduce(x.square().sum(dims)) / count
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * count / (count - 1))
        x = x * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            x = x * self.weight.view(shape) + self.bias.view(shape)
        return x.to(dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as ``torch.nn.BatchNorm2d`` does; without momentum they are means."""
        self.num_batches_tracked.add_(1)
        weight = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean.to(self.running_mean), weight)
        self.running_var.lerp_(variance.to(self.running_var), weight)
