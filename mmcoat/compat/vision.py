"""torchvision's compiled operators, where they work."""

from functools import cache
from types import ModuleType

import torch


@cache
def torchvision_ops(device: str) -> ModuleType | None:
    """Return ``torchvision.ops`` if its compiled operators run on a type of device, else None.

    An import alone proves nothing: beside another build of torch it succeeds and the operators fail.
    """
    try:
        from torchvision import ops

        boxes = torch.zeros(1, 4, device=device)
        ops.nms(boxes, boxes[:, 0], 0.5)
        ops.roi_align(torch.zeros(1, 1, 2, 2, device=device), [boxes], 1)
    except Exception:  # whatever a broken installation raises, the answer is no
        return None
    return ops
