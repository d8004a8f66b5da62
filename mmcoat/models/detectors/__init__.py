"""Detectors that can load official files."""

from .deformable_detr import build_deformable_detr, deformable_detr_class

__all__ = ['build_deformable_detr', 'deformable_detr_class']
