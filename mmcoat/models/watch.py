"""Notice that a module's weights or parts were changed, for a fraction of a millisecond a call."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

SAMPLES = 8  # numbers of each tensor that are compared


class Watch:
    """Remembers the state of a module.

    What counts as a change: another tensor or submodule under a name, another place in memory, a step of a
    tensor's version counter, and other numbers at a few places of a tensor: no counter sees what is written
    through ``.data``.

    Args:
        module: Its parameters, buffers and submodules are watched.
    """

    def __init__(self, module: nn.Module):
        self._places = [
            (table, name, value)
            for part in module.modules()
            for table in (part._parameters, part._buffers, part._modules)
            for name, value in table.items()
        ]
        tensors = {id(v): v for _, _, v in self._places if isinstance(v, Tensor)}
        self._tensors = list(tensors.values())
        self.device = self._tensors[0].device if self._tensors else torch.device('cpu')
        groups: defaultdict[Any, list[Tensor]] = defaultdict(list)
        for tensor in self._tensors:
            groups[tensor.device, tensor.dtype].append(_sampled(tensor))
        self._views = list(groups.values())
        self._state, self._numbers = self._read_state(), self._read_numbers()

    def changed(self) -> bool:
        """Whether something is not as it was."""
        if any(table.get(name) is not value for table, name, value in self._places):
            return True
        if self._read_state() != self._state:
            return True
        pairs = zip(self._read_numbers(), self._numbers, strict=True)
        return not all(torch.equal(now, before) for now, before in pairs)

    def _read_state(self) -> list[tuple[int, int]]:
        return [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in self._tensors]

    def _read_numbers(self) -> list[Tensor]:
        # as bytes: NaN would be unequal to itself
        return [torch.cat(views).view(torch.uint8) for views in self._views]


def _sampled(tensor: Tensor) -> Tensor:
    """Return up to ``SAMPLES`` numbers of ``tensor``, spread over it, as a view."""
    tensor, count = tensor.detach(), tensor.numel()
    dense = tensor.is_contiguous() or (
        tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    )
    if not dense:
        count = min(count, 1)
    number = min(count, SAMPLES)
    step = max(1, (count - 1) // max(1, number - 1))
    return tensor.as_strided((number,), (step,))
