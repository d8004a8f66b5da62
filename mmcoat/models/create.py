"""CoaT for your own training loop: no config, no runner, published weights by name."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmcoat import checkpoints
from mmcoat.arch import ARCH_ZOO
from mmcoat.errors import UsageError

from .backbones.coat import CoaT

CLASSES = 1000  # number of classes of the published classifiers


class FeatureInfo:
    """Channels and strides of a backbone's maps, with the methods of timm's class of the same name.

    Args:
        channels: Channels of each map.
        reductions: Stride of each map in pixels of the image.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int]):
        self._channels, self._reductions = tuple(channels), tuple(reductions)

    def channels(self) -> list[int]:
        """Return the channels of each map."""
        return list(self._channels)

    def reduction(self) -> list[int]:
        """Return the stride of each map in pixels of the image."""
        return list(self._reductions)

    def get_dicts(self) -> list[dict[str, int]]:
        """Return one dict with num_chs and reduction per map."""
        pairs = zip(self._channels, self._reductions, strict=True)
        return [dict(num_chs=channels, reduction=reduction) for channels, reduction in pairs]

    def __len__(self) -> int:
        return len(self._channels)


class FeatureExtractor(nn.Module):
    """A backbone that returns a list of maps, like timm's ``features_only`` models.

    Args:
        backbone: A CoaT of ``out_type='featmap'``.

    Attributes:
        feature_info: Channels and strides of the maps.
    """

    def __init__(self, backbone: CoaT):
        super().__init__()
        self.backbone = backbone
        strides = [4 * 2**i for i in backbone.out_indices]
        self.feature_info = FeatureInfo(backbone.out_channels, strides)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W) -> one (B, C, H // stride, W // stride) per map."""
        return list(self.backbone(x))


class Classifier(nn.Module):
    """A backbone's class embedding and a linear layer: the paper's ImageNet model.

    Args:
        backbone: A CoaT of ``out_type='cls_token'``.
        num_classes: Number of classes; 0 returns the embedding.
    """

    def __init__(self, backbone: CoaT, num_classes: int = CLASSES):
        super().__init__()
        self.backbone = backbone
        channels = backbone.arch_settings['embed_dims'][-1]
        self.head = nn.Identity()
        if num_classes:
            # named as in MMPretrain's head, because official files are translated to that name
            self.head = nn.ModuleDict(dict(fc=nn.Linear(channels, num_classes)))
            nn.init.trunc_normal_(self.head['fc'].weight, std=0.02)
            nn.init.zeros_(self.head['fc'].bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, num_classes), or the embedding (B, C)."""
        (embedding,) = self.backbone(x)
        return self.head['fc'](embedding) if isinstance(self.head, nn.ModuleDict) else embedding

    def load(self, source: str) -> None:
        """Load an ImageNet classifier strictly; a head with another number of classes does not change.

        Raises:
            CheckpointError: The file does not fit.
        """
        checkpoints.load_backbone(self.backbone, source)
        if not isinstance(self.head, nn.ModuleDict) or self.head['fc'].out_features != CLASSES:
            return
        weights = checkpoints.find_state_dict(checkpoints.read_checkpoint(source))
        checkpoints.classifier_in_place(weights)
        head = {k.removeprefix('head.'): v for k, v in weights.items() if k.startswith('head.')}
        try:
            self.head.load_state_dict(head)
        except RuntimeError as error:
            reason = ' '.join(str(error).split())
            raise checkpoints.CheckpointError(f'{source} has no fitting head: {reason}') from None


def create_model(
    name: str,
    pretrained: bool | str = False,
    features_only: bool = False,
    num_classes: int = CLASSES,
    **settings: Any,
) -> nn.Module:
    """Return a CoaT as a plain ``nn.Module``, for your own training loop.

    Args:
        name: ``coat_lite_tiny``, ``coat_lite_mini``, ``coat_lite_small``, ``coat_lite_medium``,
            ``coat_tiny``, ``coat_mini`` or ``coat_small``; ``coat_lite_medium_384`` with weights for 384 px.
        pretrained: True loads the published ImageNet weights of that name; a string is a file or URL to load.
        features_only: Return maps instead of class scores.
        num_classes: Classes of the classifier. If it is not 1000, the last layer stays untrained; 0 returns
            the class embedding.
        **settings: Arguments of :class:`CoaT`: in_channels, out_indices, drop_path_rate, frozen_stages...

    Returns:
        A :class:`FeatureExtractor` or a :class:`Classifier`.

    Raises:
        UsageError: The name is unknown, or a setting is one that this function sets itself.
        CheckpointError: The weights cannot be fetched or do not fit.
    """
    known = [f'coat_{arch}' for arch in ARCH_ZOO]
    arch = name.removesuffix('_384') if name == 'coat_lite_medium_384' else name
    if arch not in known:
        raise UsageError(
            f'model {name!r} is unknown; choose one of {[*known, "coat_lite_medium_384"]}'
        )
    for taken in ('arch', 'out_type', 'init_cfg'):
        if taken in settings:
            raise UsageError(f'create_model decides {taken} itself; leave it out')
    out_type = 'featmap' if features_only else 'cls_token'
    backbone = CoaT(arch=arch.removeprefix('coat_'), out_type=out_type, **settings)
    source = f'mmcoat://{name}' if pretrained is True else pretrained
    if features_only:
        if source:
            checkpoints.load_backbone(backbone, source)
        return FeatureExtractor(backbone)
    model = Classifier(backbone, num_classes)
    if source:
        model.load(str(source))
    return model
