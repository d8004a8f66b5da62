"""The Triton kernels; the functions that launch them are one folder up."""
