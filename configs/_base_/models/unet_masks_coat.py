_base_ = './unet_coat.py'

# Masks that are judged one by one, each pixel by a sigmoid: one mask (binary segmentation), or several
# that may overlap (multi-label: labels='bits' and out_channels = num_classes). The weights of the losses
# are chosen here.
num_classes = 2  # the background counts, as in MMSegmentation's sets of two classes
model = dict(
    decode_head=dict(
        num_classes=num_classes,
        out_channels=1,
        threshold=0.5,  # mmcoat.ThresholdSearch looks for a better one on the validation set
        loss_decode=dict(
            _delete_=True, type='mmcoat.MaskLoss', labels='index', bce=1.0, dice=1.0, lovasz=0.5
        ),
    ),
)
