"""CoaT, the backbone: Co-Scale Conv-Attentional Image Transformers (ICCV 2021, arXiv 2104.06399)."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule, PretrainedInit
from mmengine.registry import MODELS as MMENGINE_MODELS
from torch import Tensor, nn

from mmcoat import checkpoints, ops
from mmcoat.arch import ARCH_ZOO, is_whole, parse_arch, parse_crpe_window
from mmcoat.registry import MODELS

from .blocks import BLOCK_NORM_EPS, ParallelBlock
from .conv_attention import init_linear
from .stage import Stage, run_block
from .taps import capture
from .tokens import Tokens, tokens_to_map

OUT_TYPES = ('featmap', 'cls_token')
VALID_ARGUMENTS = (
    'arch, in_channels, out_indices, out_type, drop_rate, drop_path_rate, crpe_window, '
    'frozen_stages, with_cp, backend, channels_last, init_cfg'
)


@MMENGINE_MODELS.register_module(force=True)  # plain type='CoaT', instead of the lazy builder
@MODELS.register_module()  # type='mmcoat.CoaT', with nothing imported
class CoaT(BaseModule):
    """Backbone with serial stages and, in the full CoaT models, parallel blocks across their scales.

    Args:
        arch: A name of the arch zoo (``lite_tiny``, ``lite_mini``, ``lite_small``, ``lite_medium``,
            ``tiny``, ``mini``, ``small``), or a dict with exactly its keys.
        in_channels: Channels of the image. Pretrained RGB weights are adapted to other numbers of channels:
            the RGB filters are repeated in turn and scaled by 3 / in_channels; for one channel they are
            summed.
        out_indices: Stages whose maps are returned, from 0; negative ones count from the end.
        out_type: ``'featmap'`` for the maps, ``'cls_token'`` for the paper's class embedding: the final
            norms and, in the full CoaT models, the aggregation over scales.
        drop_rate: Dropout in projections and MLPs.
        drop_path_rate: Stochastic depth, the same in every block, as in the paper's code.
        crpe_window: Windows of the relative position encoding with their numbers of heads, pairs or a dict.
        frozen_stages: -1 freezes nothing, 0 the first patch embedding, i the first i stages. The parallel
            blocks count as one more stage after the serial ones.
        with_cp: Recompute blocks in backward to save memory; the gradients are the same.
        backend: Form of the operations: ``'auto'`` (fused on CUDA if Triton runs, else plain), ``'fused'``
            (an error if it cannot run), ``'plain'`` or ``'reference'``; see :meth:`set_backend`.
        channels_last: Return the maps without a copy, in their memory layout (B, H, W, C), viewed as (B, C,
            H, W). Then convolutional heads also run channels-last, which is faster on tensor cores. Not for
            detectors: MMCV's RoIAlign silently reads such maps as if they were contiguous.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH_OR_URL)`` loads official, timm and own files.
            A file that does not fit raises an error; ``new_stages=True`` allows a model that has more stages
            than the file, such as a fifth scale. Other initialisers work as in MMEngine.

    Raises:
        ValueError: A value is not valid; the message names it and the choices.
        TypeError: An argument is unknown.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'lite_small',
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        out_type: str = 'featmap',
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        crpe_window: Any = ((3, 2), (5, 3), (7, 3)),
        frozen_stages: int = -1,
        with_cp: bool = False,
        backend: str = 'auto',
        channels_last: bool = False,
        init_cfg: dict | list[dict] | None = None,
        **unknown: Any,
    ):
        if unknown:
            raise TypeError(f'CoaT has no argument {sorted(unknown)}; it takes {VALID_ARGUMENTS}')
        super().__init__(init_cfg)
        self.arch_settings = parse_arch(arch)
        self.num_stages = len(self.arch_settings['embed_dims'])
        self.in_channels = _check_positive('in_channels', in_channels)
        self.out_indices = self._check_out_indices(out_indices)
        self.out_type = _check_choice('out_type', out_type, OUT_TYPES)
        self.frozen_stages = self._check_frozen_stages(frozen_stages)
        self.with_cp = _check_flag('with_cp', with_cp)
        self.channels_last = _check_flag('channels_last', channels_last)
        self.parallel_stages = tuple(self.arch_settings['parallel_stages'])

        drops = dict(
            drop_rate=_check_rate('drop_rate', drop_rate),
            drop_path_rate=_check_rate('drop_path_rate', drop_path_rate),
        )
        windows = parse_crpe_window(crpe_window, self.arch_settings['num_heads'])
        self.stages = self._make_stages(windows, drops)
        self.parallel_blocks = self._make_parallel_blocks(drops)
        if out_type == 'cls_token':
            self._make_cls_head()
        self.reset_parameters()
        self._freeze()
        self._freeze_unused()
        self.set_backend(backend)

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the maps in the order of ``out_indices``."""
        return tuple(self.arch_settings['embed_dims'][i] for i in self.out_indices)

    # ------------------------------------------------------------------ construction

    def _make_stages(self, windows: tuple, drops: dict[str, float]) -> nn.ModuleList:
        arch, stages, in_channels = self.arch_settings, nn.ModuleList(), self.in_channels
        for i, channels in enumerate(arch['embed_dims']):
            stages.append(
                Stage(
                    in_channels,
                    channels,
                    patch_size=4 if i == 0 else 2,
                    depth=arch['serial_depths'][i],
                    num_heads=arch['num_heads'],
                    mlp_ratio=arch['mlp_ratios'][i],
                    crpe_window=windows,
                    with_cp=self.with_cp,
                    **drops,
                )
            )
            in_channels = channels
        return stages

    def _make_parallel_blocks(self, drops: dict[str, float]) -> nn.ModuleList:
        arch, stages = self.arch_settings, self.parallel_stages
        return nn.ModuleList(
            ParallelBlock(
                stages,
                channels=arch['embed_dims'][stages[0]],
                num_heads=arch['num_heads'],
                mlp_ratio=arch['mlp_ratios'][stages[0]],
                **drops,
            )
            for _ in range(arch['parallel_depth'])
        )

    def _make_cls_head(self) -> None:
        """Build the class embedding: the norms of its scales, and the weights of their mean."""
        stages = self.parallel_stages or (self.num_stages - 1,)
        dims = self.arch_settings['embed_dims']
        self.norms = nn.ModuleDict(
            {str(i): nn.LayerNorm(dims[i], eps=BLOCK_NORM_EPS) for i in stages}
        )
        if self.parallel_stages:
            self.aggregate = nn.Conv1d(len(stages), 1, kernel_size=1)

    def _check_out_indices(self, out_indices: Sequence[int]) -> tuple[int, ...]:
        given = (out_indices,) if isinstance(out_indices, int) else out_indices
        indices: tuple[int, ...] = ()
        if isinstance(given, Sequence) and all(is_whole(i) for i in given):
            indices = tuple(i + self.num_stages if i < 0 else i for i in given)
        unique = len(set(indices)) == len(indices)
        if not indices or not unique or any(not 0 <= i < self.num_stages for i in indices):
            raise ValueError(
                f'out_indices must be different stages from 0 to {self.num_stages - 1} (or negative), '
                f'got {out_indices!r}'
            )
        return indices

    def _check_frozen_stages(self, frozen_stages: int) -> int:
        last = self.num_stages + (self.arch_settings['parallel_depth'] > 0)
        if not is_whole(frozen_stages) or not -1 <= frozen_stages <= last:
            raise ValueError(f'frozen_stages must be from -1 to {last}, got {frozen_stages!r}')
        return frozen_stages

    def set_backend(self, backend: str) -> 'CoaT':
        """Choose the form of the operations; the results are the same, speed and memory differ.

        Args:
            backend: ``'auto'`` (fused on CUDA if Triton runs, else plain), ``'fused'``, ``'plain'`` (PyTorch
                operations, fast and with little memory), or ``'reference'`` (the mathematics as in the
                paper).

        Raises:
            ValueError: The backend is unknown.
            RuntimeError: ``'fused'`` cannot run here.
        """
        ops.check_backend(backend)
        for module in self.modules():
            if hasattr(module, 'backend'):
                module.backend = backend
        return self

    # ------------------------------------------------------------------ weights

    def reset_parameters(self) -> None:
        """Initialise all parameters as the paper's code does."""
        self.apply(init_linear)
        for stage in self.stages:
            nn.init.trunc_normal_(stage.cls_token, std=0.02)

    def init_weights(self) -> None:
        """Load the pretrained weights of ``init_cfg`` strictly; MMEngine runs other initialisers.

        Raises:
            CheckpointError: The weights do not fit. MMEngine's own loading would only log that and continue.
            ValueError: There is an unknown key beside ``type='Pretrained'``.
        """
        given: Any = self.init_cfg
        entries = list(given) if isinstance(given, list | tuple) else [given] if given else []
        pretrained = [entry for entry in entries if _is_pretrained(entry)]
        if len(pretrained) < len(entries) or not entries:
            self.init_cfg = [entry for entry in entries if not _is_pretrained(entry)] or None
            try:
                super().init_weights()
            finally:
                self.init_cfg = given
        for entry in pretrained:
            checkpoints.load_pretrained(self, entry)
        self._is_init = True

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # Official, timm and MMDetection 2.x names are translated wherever weights are loaded, so that
        # runners, ``load_from`` and inferencers accept those files unchanged.
        checkpoints.convert_in_place(state_dict, prefix, self)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _checkpoint_filter(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # MMPretrain's ImageClassifier calls this before it loads, so that it accepts official files too.
        checkpoints.classifier_in_place(state_dict, prefix)

    # ------------------------------------------------------------------ freezing

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        modules: list[nn.Module] = [self.stages[0].patch_embed]
        modules += self.stages[: self.frozen_stages]
        if self.frozen_stages > self.num_stages:
            modules.append(self.parallel_blocks)
        return modules

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.eval()
            module.requires_grad_(False)

    def _uses_parallel(self) -> bool:
        """Whether an output depends on the parallel blocks."""
        wanted = (
            set(self.out_indices) if self.out_type == 'featmap' else set(range(self.num_stages))
        )
        return bool(wanted & set(self.parallel_stages))

    def _last_stage(self) -> int:
        """Number of stages that run; the results of later ones would not be used."""
        if self.out_type == 'featmap' and not self._uses_parallel():
            return max(self.out_indices) + 1
        return self.num_stages

    def _unused_modules(self) -> dict[str, nn.Module]:
        """Modules that no output depends on, by name."""
        count, parallel = self._last_stage(), self._uses_parallel()
        unused = {f'stages.{i}': self.stages[i] for i in range(count, self.num_stages)}
        for i, stage in enumerate(self.stages[:count]):
            if not stage.blocks and not (parallel and i in self.parallel_stages):
                unused |= {f'stages.{i}.{name}': getattr(stage, name) for name in ('cpe', 'crpe')}
        if self.parallel_stages and not parallel:
            unused['parallel_blocks'] = self.parallel_blocks
        elif parallel and self.out_type == 'featmap':
            # the last exchange already has their tokens; later results would not be used
            last = len(self.parallel_blocks) - 1
            for i in set(self.parallel_stages) - set(self.out_indices):
                branch = self.parallel_blocks[last].branches[str(i)]
                unused[f'parallel_blocks.{last}.branches.{i}.norm2'] = branch.norm2
        return unused

    def _freeze_unused(self) -> None:
        """Freeze parameters without gradient, which distributed training does not allow, and log that."""
        unused = self._unused_modules()
        for module in unused.values():
            module.requires_grad_(False)
        for i, stage in enumerate(self.stages):
            if not stage.blocks and not (self._uses_parallel() and i in self.parallel_stages):
                stage.cls_token.requires_grad_(False)
        if unused:
            print_log(
                f'CoaT: with out_indices {self.out_indices} these are not used and are frozen: '
                f'{", ".join(sorted(unused))}',
                logger='current',
            )

    def train(self, mode: bool = True) -> 'CoaT':
        """Set the mode; frozen stages stay in evaluation mode, without dropout and drop path."""
        super().train(mode)
        if mode:
            self._freeze()
        return self

    # ------------------------------------------------------------------ forward

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps, or the class embedding.

        Args:
            x: Images, (B, in_channels, H, W), H and W at least 32 with four stages.

        Returns:
            For ``'featmap'`` one (B, C, H // 4, W // 4), (B, C, H // 8, W // 8)... per entry of
            ``out_indices``; for ``'cls_token'`` a tuple with one (B, C).

        Raises:
            ValueError: The image is too small, or has another number of channels.
        """
        self._check_input(x)
        tokens: list[Tokens] = []
        for stage in self.stages[: self._last_stage()]:
            tokens.append(stage(x))
            x = tokens_to_map(tokens[-1][1])
        tokens = self._forward_parallel(tokens)
        if self.out_type == 'cls_token':
            return (self._class_embedding(tokens),)
        maps = [tokens_to_map(tokens[i][1]) for i in self.out_indices]
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        return tuple(x.contiguous(memory_format=order) for x in maps)

    def capture(self, names: str | Sequence[str]) -> AbstractContextManager[dict[str, Tensor]]:
        """Keep named maps of passes inside ``with``, for example ``'stages.3'``; see ``taps.capture``."""
        return capture(self, names)

    def _forward_parallel(self, tokens: list[Tokens]) -> list[Tokens]:
        """Run the parallel blocks on the scales that they connect; the other scales pass through."""
        if not self._uses_parallel():
            return tokens
        cpes = [self.stages[i].cpe for i in self.parallel_stages]
        connected = [tokens[i] for i in self.parallel_stages]
        crpes = [
            self.stages[i].crpe(x)
            for i, (_, x) in zip(self.parallel_stages, connected, strict=True)
        ]
        for block in self.parallel_blocks:
            connected = run_block(block, connected, cpes, crpes, with_cp=self.with_cp)
        tokens = list(tokens)
        for i, result in zip(self.parallel_stages, connected, strict=True):
            tokens[i] = result
        return tokens

    def _class_embedding(self, tokens: list[Tokens]) -> Tensor:
        """The normed class token of the last scale, or the aggregate of the parallel scales', (B, C)."""
        cls_tokens = [norm(tokens[int(i)][0]) for i, norm in self.norms.items()]
        if not self.parallel_stages:
            return cls_tokens[0].squeeze(1)
        # (B, scales, C) -> (B, 1, C) -> (B, C)
        return self.aggregate(torch.cat(cls_tokens, dim=1)).squeeze(1)

    def _check_input(self, x: Tensor) -> None:
        smallest = 4 * 2 ** (self.num_stages - 1)
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f'CoaT takes images of shape (B, {self.in_channels}, H, W), got {tuple(x.shape)}'
            )
        if x.shape[2] < smallest or x.shape[3] < smallest:
            raise ValueError(
                f'CoaT with {self.num_stages} stages needs images of at least '
                f'{smallest} x {smallest} pixels, got {x.shape[2]} x {x.shape[3]} (H x W)'
            )


def _check_positive(name: str, value: int) -> int:
    if not is_whole(value) or value < 1:
        raise ValueError(f'{name} must be a positive whole number, got {value!r}')
    return value


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f'{name} must be one of {choices}, got {value!r}')
    return value


def _check_flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f'{name} must be True or False, got {value!r}')
    return value


def _is_pretrained(entry: Any) -> bool:
    """Return whether an ``init_cfg`` entry loads weights: 'Pretrained', or MMEngine's class of that name."""
    kind = entry.get('type') if isinstance(entry, Mapping) else None
    return kind in ('Pretrained', 'mmengine.Pretrained', PretrainedInit)


def _check_rate(name: str, value: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0.0 <= value < 1.0:
        raise ValueError(f'{name} must be in [0, 1), got {value!r}')
    return float(value)


__all__ = ['ARCH_ZOO', 'CoaT']
