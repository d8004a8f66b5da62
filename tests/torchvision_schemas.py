"""Make torchvision importable beside a CPU build of PyTorch, in the test environments only.

The wheel of torchvision is a CUDA build: beside a CPU torch it finds its compiled operators missing and stops at
import, and with it MMPretrain, MMDetection (which imports MMPretrain where it is installed) and MMEngine's
environment report. None of them runs those operators here: declaring two of them is enough. The Makefile puts
this file into the environments' site-packages with a ``.pth`` file that imports it when Python starts, so that
tools which tests run as processes of their own have it too. It costs nothing until torchvision is imported.
"""

import sys
from importlib.abc import MetaPathFinder

_SIGNATURE = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'


class _DeclareOperators(MetaPathFinder):
    """Declares the operators just before torchvision is imported, and finds nothing itself."""

    library = None

    def find_spec(self, name, path=None, target=None):
        if name == 'torchvision':
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                _DeclareOperators.library = torch.library.Library('torchvision', 'DEF')
                for operator in ('nms', 'qnms'):
                    self.library.define(operator + _SIGNATURE)
        return None


sys.meta_path.insert(0, _DeclareOperators())
