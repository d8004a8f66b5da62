_base_ = './upernet_swin_tiny_ade20k.py'

# Swin's own recipe in MMSegmentation: the same as ours, but with more drop path.
model = dict(backbone=dict(drop_path_rate=0.3))
