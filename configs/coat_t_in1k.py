_base_ = './coat_lite_s_in1k.py'

model = dict(backbone=dict(arch='tiny'), head=dict(in_channels=152))
