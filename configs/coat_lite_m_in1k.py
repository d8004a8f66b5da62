_base_ = './coat_s_in1k.py'

model = dict(backbone=dict(arch='lite_medium', drop_path_rate=0.3), head=dict(in_channels=512))
