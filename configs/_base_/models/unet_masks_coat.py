_base_ = './unet_coat.py'

# Independent masks with a sigmoid per pixel: one mask (binary segmentation), or several masks that may
# overlap (multi-label: labels='bits' and out_channels = num_classes). The weights of the losses are chosen
# here.
num_classes = 2  # including the background, as in MMSegmentation's data sets of two classes
model = dict(
    decode_head=dict(
        num_classes=num_classes,
        out_channels=1,
        threshold=0.5,  # mmcoat.ThresholdSearch finds a better one on the validation set
        loss_decode=dict(
            _delete_=True, type='mmcoat.MaskLoss', labels='index', bce=1.0, dice=1.0, lovasz=0.5
        ),
    ),
)
