"""The kernels run in Triton's interpreter on CPU, unless TRITON_INTERPRET=0 asks for a GPU."""

import os

os.environ.setdefault('TRITON_INTERPRET', '1')  # before Triton is imported
