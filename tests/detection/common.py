"""What the detection tests share."""

from pathlib import Path

CONFIGS = Path(__file__).parents[2] / 'configs'
