"""mmcoat's layers; importing this package registers them."""

from .sync_bn import CPUSyncBN

__all__ = ['CPUSyncBN']
