"""Data sets: their layouts, and drawn ones to try things on."""
