"""mmcoat: CoaT backbones for the OpenMMLab toolboxes. Importing it registers the models."""

from .version import __version__
from .versions import check_versions

check_versions()

from .models import ARCH_ZOO, CoaT  # noqa: E402  the check gives the clear error first

__all__ = ['ARCH_ZOO', 'CoaT', '__version__']
