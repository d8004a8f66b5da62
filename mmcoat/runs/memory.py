"""How much memory a long-lived process keeps for images of sizes that it has seen, on a CPU."""

import os

# oneDNN's cache of what it has compiled, and PyTorch's in front of it (one for each thread). An image size
# takes about 70 of the first and 25 of the second for a segmentor: some sizes stay at hand.
CACHES = {'ONEDNN_PRIMITIVE_CACHE_CAPACITY': 256, 'LRU_CACHE_CAPACITY': 128}


def bound_kernel_caches() -> None:
    """Let PyTorch keep fewer compiled kernels: on a CPU there is one for each layer and size of image.

    Its own bound is 1024 in each cache, which images of many sizes fill with some 0.5 GiB. For programs, to
    be called before the first layer runs; later it does nothing. A variable that is set in the environment
    stays as it is. Results are the same.
    """
    for name, entries in CACHES.items():
        os.environ.setdefault(name, str(entries))
