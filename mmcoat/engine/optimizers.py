"""Layer-wise learning-rate decay for CoaT."""

import re
from typing import Any

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from mmcoat.models import CoaT
from mmcoat.registry import OPTIM_WRAPPER_CONSTRUCTORS

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
PARAMWISE_KEYS = (
    'decay_rate',
    'norm_decay_mult',
    'bias_decay_mult',
    'flat_decay_mult',
    'custom_keys',
    'print_groups',
)
CUSTOM_KEYS = ('lr_mult', 'decay_mult')


def layer_ids(backbone: CoaT) -> tuple[dict[str, int], int]:
    """Number the layers of a backbone, beginning at its input.

    The serial blocks of all stages come first, then the parallel blocks. The other parameters of a stage
    (patch embedding, class token, position encodings) belong to its first block. The class embedding's norms
    and aggregation come last and count as the head.

    Returns:
        The layer of each parameter, by name; and the number of layers, which is also the layer of the head.
    """
    firsts, count = [], 0
    for stage in backbone.stages:
        firsts.append(count)
        count += max(len(stage.blocks), 1)  # a stage without blocks still has a patch embedding
    num_layers = count + len(backbone.parallel_blocks)

    def layer_of(name: str) -> int:
        serial = re.match(r'stages\.(\d+)\.(?:blocks\.(\d+)\.)?', name)
        if serial:
            return firsts[int(serial[1])] + int(serial[2] or 0)
        parallel = re.match(r'parallel_blocks\.(\d+)\.', name)
        return count + int(parallel[1]) if parallel else num_layers

    return {name: layer_of(name) for name, _ in backbone.named_parameters()}, num_layers


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Give earlier layers of a CoaT backbone smaller learning rates (BEiT's layer-wise decay).

    With L layers, layer i has the rate ``lr * decay_rate ** (L - i)``; everything outside the backbone has
    ``lr``. One-dimensional parameters (norms, biases) and class tokens have no weight decay, as in
    OpenMMLab's recipes with layer-wise decay; in CoaT's official runs the class tokens had weight decay.
    Frozen parameters are left out.

    ``paramwise_cfg`` has these keys and no others:

    - ``decay_rate``: in (0, 1]; required.
    - ``norm_decay_mult``, ``bias_decay_mult``, ``flat_decay_mult``: factors of the weight decay for norms,
      biases, and other one-dimensional parameters; 0 each.
    - ``custom_keys``: ``{part of a name: dict(lr_mult=..., decay_mult=...)}``; the longest matching part
    counts. ``lr_mult`` multiplies the layer's rate, ``decay_mult`` replaces the rules above.
    - ``print_groups``: log the groups; False.

    Args:
        optim_wrapper_cfg: Settings of the optimizer wrapper; its ``optimizer`` must have ``lr``.
        paramwise_cfg: As above.

    Raises:
        ValueError: A setting is missing, unknown or out of range; or the model has no CoaT backbone.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        cfg = self.paramwise_cfg
        unknown = set(cfg) - set(PARAMWISE_KEYS)
        if unknown:
            raise ValueError(
                f'paramwise_cfg has no key {sorted(unknown)} with layer decay; it has {PARAMWISE_KEYS}'
            )
        rate = cfg.get('decay_rate')
        if not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise ValueError(f'paramwise_cfg needs a decay_rate in (0, 1], got {rate!r}')
        for key, setting in cfg.get('custom_keys', {}).items():
            if set(setting) - set(CUSTOM_KEYS):
                raise ValueError(
                    f'custom_keys[{key!r}] has only {CUSTOM_KEYS}, got {sorted(setting)}'
                )
        if self.base_lr is None:
            raise ValueError('layer decay needs the optimizer to have lr')

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **_: Any) -> None:
        """Append the parameter groups of ``module`` to ``params``.

        Raises:
            ValueError: There is no CoaT backbone in ``module``.
        """
        scales = self._layer_scales(module)
        norms = {
            id(parameter)
            for child in module.modules()
            if isinstance(child, NORMS)
            for parameter in child.parameters(recurse=False)
        }
        groups: dict[tuple[float, float | None], dict[str, Any]] = {}
        names: dict[tuple[float, float | None], list[str]] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            custom = self._custom_setting(name)
            scale = scales.get(name, 1.0) * custom.get('lr_mult', 1.0)
            key = scale, self._weight_decay(name, parameter, id(parameter) in norms, custom)
            if key not in groups:
                groups[key] = {'params': [], 'lr': self.base_lr * scale, 'lr_scale': scale}
                if key[1] is not None:
                    groups[key]['weight_decay'] = key[1]
            groups[key]['params'].append(parameter)
            names.setdefault(key, []).append(name)
        params.extend(groups.values())
        if self.paramwise_cfg.get('print_groups', False):
            _log_groups(groups, names)

    def _layer_scales(self, model: nn.Module) -> dict[str, float]:
        """Return the learning-rate scale of each backbone parameter, by its name in the model."""
        scales, rate = {}, self.paramwise_cfg['decay_rate']
        for path, module in model.named_modules():
            if isinstance(module, CoaT):
                ids, num_layers = layer_ids(module)
                start = f'{path}.' if path else ''
                scales |= {start + name: rate ** (num_layers - i) for name, i in ids.items()}
        if not scales:
            backbone = getattr(model, 'backbone', None)
            found = (
                f'its backbone is {type(backbone).__name__}' if backbone else 'it has no backbone'
            )
            raise ValueError(
                f'layer decay of mmcoat needs a CoaT in the model; in {type(model).__name__} {found}'
            )
        return scales

    def _custom_setting(self, name: str) -> dict[str, float]:
        """Return the setting of the longest custom key in ``name``; of equal ones, the first by alphabet."""
        custom_keys = self.paramwise_cfg.get('custom_keys', {})
        fitting = sorted((key for key in custom_keys if key in name), key=lambda k: (-len(k), k))
        return custom_keys[fitting[0]] if fitting else {}

    def _weight_decay(
        self, name: str, parameter: nn.Parameter, is_norm: bool, custom: dict[str, float]
    ) -> float | None:
        if self.base_wd is None:
            return None
        if 'decay_mult' in custom:
            return self.base_wd * custom['decay_mult']
        if is_norm:
            rule = 'norm_decay_mult'
        elif name.endswith('bias'):
            rule = 'bias_decay_mult'
        elif parameter.ndim <= 1:
            rule = 'flat_decay_mult'
        else:
            return 0.0 if name.endswith('cls_token') else self.base_wd
        return self.base_wd * self.paramwise_cfg.get(rule, 0.0)


def _log_groups(groups: dict[tuple, dict], names: dict[tuple, list[str]]) -> None:
    logger = MMLogger.get_current_instance()
    logger.info(f'{len(groups)} parameter groups:')
    for key in sorted(groups, key=lambda k: (k[0], k[1] or 0.0)):
        group = groups[key]
        decay = group.get('weight_decay', 'default')
        logger.info(
            f'lr {group["lr"]:.3e} (x {key[0]:.4f}), weight decay {decay}, '
            f'{len(names[key])} parameters: {", ".join(names[key])}'
        )
