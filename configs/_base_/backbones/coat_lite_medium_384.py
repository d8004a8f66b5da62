_base_ = './coat_lite_medium.py'

# The authors' weights, fine-tuned at 384 x 384.
backbone = dict(
    init_cfg=dict(
        checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_lite_medium_384x384_f9129688.pth'
    )
)
