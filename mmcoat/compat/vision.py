"""torchvision's compiled operators, if they work."""

from functools import cache
from types import ModuleType

import torch


@cache
def torchvision_ops(device: str) -> ModuleType | None:
    """Return ``torchvision.ops`` if its compiled operators run on a type of device, else None.

    A successful import is no proof: with another build of torch the import succeeds, but the operators fail.
    """
    try:
        from torchvision import ops

        boxes = torch.zeros(1, 4, device=device)
        ops.nms(boxes, boxes[:, 0], 0.5)
        ops.roi_align(torch.zeros(1, 1, 2, 2, device=device), [boxes], 1)
    except Exception:  # whatever a broken installation raises, the answer is no
        return None
    return ops
