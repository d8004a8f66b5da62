"""What the tests of analyses share: weights whose answers differ from pixel to pixel."""

from pathlib import Path

import torch
from mmengine.config import Config

from mmcoat.apis import models


def save_random(cfg: Config, path: Path, seed: int = 0) -> Path:
    """Save the config's model with random weights; the last layer's are large, so that all classes occur."""
    torch.manual_seed(seed)
    model, _ = models.build(cfg, None)
    head = model.decode_head.conv_seg
    torch.nn.init.normal_(head.weight, std=5.0)
    torch.nn.init.zeros_(head.bias)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path
