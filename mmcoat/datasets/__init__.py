"""Data sets: their layouts, checks and preparation, and drawn sets for trials."""
