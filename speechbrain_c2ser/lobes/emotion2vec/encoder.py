"""Emotion2Vec-S, emotion2vec and data2vec 2.0 audio: frames and utterance
tokens of an utterance's emotion (C2SER, arXiv 2502.18186, section 3.1)."""

from functools import partial

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.attention import compute_dtype
from speechbrain_c2ser.lobes.emotion2vec.alibi import (
    alibi_slopes,
    attention_bias,
)
from speechbrain_c2ser.lobes.emotion2vec.layers import Block, PositionalConvs
from speechbrain_c2ser.lobes.emotion2vec.local_features import LocalFeatures
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    SpeechFeatures,
)
from speechbrain_c2ser.lobes.exporting import is_exporting
from speechbrain_c2ser.lobes.padding import frame_mask, valid_frames
from speechbrain_c2ser.lobes.similar_parts import in_similar_parts


@remember_arguments
class Emotion2VecS(LocalFeatures, SpeechEncoder):
    """Acoustic encoder with utterance tokens in front of the frames.

    Waveform → convolutions (50 frames per second) → projection →
    convolutional positions → learned utterance tokens in front → prenet
    blocks → blocks. The defaults are the published trained values.

    An item gives the same answer alone and in any batch: the waveform is
    normalized over its own samples, padded frames are zero before every
    positional convolution and are never attended to.

    Arguments
    ---------
    conv_layers : list of (int, int, int)
        Channels, kernel and stride of each layer of the front end.
    spectrum : dict | None
        Arguments of a `VoiceSpectrum` for the convolutions to run on, which
        learns from hours of speech where waveforms take hundreds; None: on
        the waveform, as published.
    embed_dim : int
        Channels of the frames and tokens.
    num_heads : int
        Attention heads.
    prenet_depth : int
        Blocks of the prenet.
    depth : int
        Blocks after the prenet.
    mlp_ratio : float
        Hidden size of the MLPs over embed_dim.
    layer_norm_first : bool
        Pre-norm blocks, as in no released checkpoint. False: post-norm, and a
        LayerNorm before the prenet.
    norm_eps : float
        Epsilon of the blocks' LayerNorms.
    norm_affine : bool
        Whether the blocks' LayerNorms have parameters.
    conv_pos_width : int
        Frames that all positional convolutions reach over together.
    conv_pos_depth : int
        Positional convolutions.
    conv_pos_groups : int
        Groups of each positional convolution.
    conv_pos_pre_norm : bool
        Whether a LayerNorm stands before the positional convolutions.
    num_utterance_tokens : int
        Learned tokens in front of the frames.
    alibi : bool
        Whether attention has the ALiBi bias (between frames only).
    alibi_heads : int | None
        First heads that have the bias; None: all.
    alibi_scale : float
        Initial scale of the bias.
    alibi_learned_scale : bool
        Whether the scale is trained; it is clamped at 0.
    alibi_scale_per_head : bool
        One scale for each head.
    alibi_scale_per_layer : bool
        One scale for each block, the prenet's first.
    normalize : bool
        Layer-norm the waveform over its valid samples.
    pad_short : bool
        Pad audio shorter than one frame with zeros instead of refusing it.
    dropout : float
        After each attention's projection.
    attention_dropout : float
        On attention weights.
    activation_dropout : float
        Inside the MLPs.
    post_mlp_dropout : float
        After the MLPs.
    prenet_dropout : float
        Before the prenet's blocks.
    input_dropout : float
        Before the blocks that follow the prenet.
    prenet_layerdrop : float
        Probability of skipping a block of the prenet in training.
    layerdrop : float
        Probability of skipping a later block in training.
    end_of_block_targets : bool
        Layer results are the blocks' outputs instead of the MLPs'.
    max_padding : float
        On a CPU a batch is processed in parts of similar length, each with
        at most this share of padding: padding costs there what audio does.
    freeze : bool
        No gradients, and eval mode whatever `train` says.

    Example
    -------
    >>> encoder = Emotion2VecS(
    ...     conv_layers=[(8, 10, 5), (8, 8, 8), (8, 8, 8)],
    ...     embed_dim=16, num_heads=2, prenet_depth=1, depth=2,
    ...     conv_pos_groups=2,
    ... ).eval()
    >>> wavs = torch.rand(2, 8000)
    >>> encoder(wavs).shape
    torch.Size([2, 24, 16])
    >>> features = encoder.extract(wavs, torch.tensor([1, 0.5]))
    >>> features.tokens.shape, features.lengths
    (torch.Size([2, 10, 16]), tensor([24, 12]))
    """

    def __init__(
        self,
        *,
        conv_layers=((512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2),
        spectrum: dict | None = None,
        embed_dim: int = 768,
        num_heads: int = 12,
        prenet_depth: int = 4,
        depth: int = 8,
        mlp_ratio: float = 4.0,
        layer_norm_first: bool = False,
        norm_eps: float = 1e-5,
        norm_affine: bool = True,
        conv_pos_width: int = 95,
        conv_pos_depth: int = 5,
        conv_pos_groups: int = 16,
        conv_pos_pre_norm: bool = False,
        num_utterance_tokens: int = 10,
        alibi: bool = True,
        alibi_heads: int | None = None,
        alibi_scale: float = 1.0,
        alibi_learned_scale: bool = True,
        alibi_scale_per_head: bool = True,
        alibi_scale_per_layer: bool = False,
        normalize: bool = True,
        pad_short: bool = False,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation_dropout: float = 0.0,
        post_mlp_dropout: float = 0.1,
        prenet_dropout: float = 0.1,
        input_dropout: float = 0.0,
        prenet_layerdrop: float = 0.05,
        layerdrop: float = 0.05,
        end_of_block_targets: bool = False,
        max_padding: float = 0.02,
        freeze: bool = False,
    ):
        super().__init__(conv_layers, embed_dim, normalize, pad_short, spectrum)
        if embed_dim % num_heads:
            raise ValueError(
                f"embed_dim ({embed_dim}) must be a multiple of num_heads "
                f"({num_heads})."
            )
        self.output_size = embed_dim
        self.num_layers = depth
        self.num_tokens = num_utterance_tokens
        self.frame_rate = 16000 / self.front_end.hop
        self.num_heads = num_heads
        self.prenet_depth = prenet_depth
        self.prenet_layerdrop = prenet_layerdrop
        self.layerdrop = layerdrop
        self.end_of_block_targets = end_of_block_targets
        self.max_padding = max_padding
        self.freeze = freeze

        self.positions = PositionalConvs(
            embed_dim,
            conv_pos_width,
            conv_pos_depth,
            conv_pos_groups,
            conv_pos_pre_norm,
        )
        tokens = torch.randn(1, num_utterance_tokens, embed_dim)
        tokens[:, :1] = 0
        if num_utterance_tokens:
            self.utterance_tokens = nn.Parameter(tokens)
        else:
            self.register_buffer("utterance_tokens", tokens, persistent=False)

        self.alibi_slopes, self.alibi_scale = None, None
        if alibi:
            heads = alibi_heads or num_heads
            # Heads beyond the first `alibi_heads` have a slope of zero.
            self.alibi_slopes = alibi_slopes(heads) + [0.0] * (
                num_heads - heads
            )
            shape = (
                prenet_depth + depth if alibi_scale_per_layer else 1,
                heads if alibi_scale_per_head else 1,
            )
            self.alibi_scale = nn.Parameter(
                torch.full(shape, float(alibi_scale)),
                requires_grad=alibi_learned_scale,
            )

        def blocks(count):
            return nn.ModuleList(
                Block(
                    embed_dim,
                    num_heads,
                    mlp_ratio=mlp_ratio,
                    layer_norm_first=layer_norm_first,
                    norm_eps=norm_eps,
                    norm_affine=norm_affine,
                    dropout=dropout,
                    attention_dropout=attention_dropout,
                    activation_dropout=activation_dropout,
                    post_mlp_dropout=post_mlp_dropout,
                )
                for _ in range(count)
            )

        norm = nn.LayerNorm(embed_dim, norm_eps, norm_affine)
        self.prenet_norm = nn.Identity() if layer_norm_first else norm
        self.prenet_dropout = nn.Dropout(prenet_dropout)
        self.prenet = blocks(prenet_depth)
        self.input_dropout = nn.Dropout(input_dropout)
        self.blocks = blocks(depth)
        self.norm = norm if layer_norm_first else nn.Identity()
        # 0.02 at 768 channels, as published; the same gain at other widths,
        # without which a narrow encoder trains late or collapses
        std = 0.02 * (768 / embed_dim) ** 0.5
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=std)
                nn.init.zeros_(module.bias)
        if freeze:
            self.requires_grad_(False)
            self.eval()

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """Computes frames, utterance tokens and, on request, layers: what
        `contextualise` gives, without the tokens in front.

        Raises
        ------
        ValueError
            Where an item is too short for one frame and `pad_short` is off.
        """
        if self.freeze and torch.is_grad_enabled():
            # Without gradients the front end takes its fast path.
            with torch.no_grad():
                return self.extract(wavs, wav_lens, all_layers)
        frames, tokens, layers, lengths = self._encode(
            wavs, wav_lens, all_layers=all_layers
        )
        num = self.num_tokens
        if all_layers:
            mask = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
            layers = [layer[:, num:] * mask for layer in layers]
        return SpeechFeatures(frames, lengths, tokens if num else None, layers)

    def extract_tokens(
        self, wavs: torch.Tensor, wav_lens: torch.Tensor | None = None
    ) -> torch.Tensor | None:
        """The utterance tokens of :meth:`extract`: of frames the last block
        makes no more than they need."""
        if self.freeze and torch.is_grad_enabled():
            with torch.no_grad():
                return self.extract_tokens(wavs, wav_lens)
        if not self.num_tokens:
            return None
        return self._encode(wavs, wav_lens, tokens_alone=True)[1]

    def _encode(self, wavs, wav_lens, **wanted):
        """What `contextualise` gives, and the lengths."""
        x, lengths = self.frontend(wavs, wav_lens)
        contextualise = partial(self.contextualise, **wanted)
        if x.device.type == "cpu" and not is_exporting():
            parts = in_similar_parts(
                contextualise, x, lengths, self.max_padding
            )
        else:
            parts = contextualise(x, lengths)
        return *parts, lengths

    def contextualise(
        self,
        x: torch.Tensor,
        lengths: torch.Tensor,
        keep_indices: torch.Tensor | None = None,
        all_layers: bool = False,
        blocks=None,
        tokens_alone: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor] | None]:
        """Computes frames and tokens from local features: everything after
        `frontend`. Between the two, masked pre-training overwrites frames.

        Arguments
        ---------
        x : torch.Tensor
            Local features, [B, T, C].
        lengths : torch.Tensor
            Valid frames of each item, [B].
        keep_indices : torch.Tensor | None
            Frames that the blocks see, [B, K], ascending, -1 in empty slots at
            the end; None: all. The positions are computed from all frames.
        all_layers : bool
            Whether to return every block's result.
        blocks : torch.nn.ModuleList | None
            Run instead of `self.blocks` (an averaged teacher's).
        tokens_alone : bool
            Whether frames and layers are of no use to the caller: the last
            block then leaves the frames out.

        Returns
        -------
        frames : torch.Tensor
            [B, T or K, C]; padded frames and empty slots are zero. With
            `tokens_alone` there are none, [B, 0, C].
        tokens : torch.Tensor
            Utterance tokens, [B, num_utterance_tokens, C].
        layers : list of torch.Tensor | None
            With `all_layers`, of every block after the prenet the MLP's
            output before its residual, [B, tokens + T or K, C]; zeros where
            layerdrop skipped the block.
        """
        valid = valid_frames(lengths, x.shape[1])
        x = x + self.positions(x, valid)
        places = torch.arange(x.shape[1], device=x.device)[None]
        if keep_indices is not None:
            places = keep_indices
            valid = (places >= 0).unsqueeze(-1)
            index = places.clamp_min(0).unsqueeze(-1)
            x = x.gather(1, index.expand(-1, -1, x.shape[2]))
        num = self.num_tokens
        tokens = self.utterance_tokens.expand(x.shape[0], -1, -1)
        x = torch.cat([tokens, x], dim=1)
        bias = attention_bias(
            places,
            valid,
            num,
            self.alibi_slopes,
            self.alibi_scale,
            compute_dtype(x),
        )

        x = self.prenet_dropout(self.prenet_norm(x))
        for i, block in enumerate(self.prenet):
            if not self._skips(self.prenet_layerdrop):
                x, _ = block(x, bias(i))
        x = self.input_dropout(x)
        layers, blocks = [], self.blocks if blocks is None else blocks
        for i, block in enumerate(blocks):
            last = tokens_alone and i == len(blocks) - 1
            if self._skips(self.layerdrop):
                mlp_output = torch.zeros_like(x)  # what it adds to x
            else:
                x, mlp_output = block(
                    x, bias(self.prenet_depth + i), num if last else None
                )
            if all_layers:
                layers.append(x if self.end_of_block_targets else mlp_output)
        x = self.norm(x)
        tokens, frames = x[:, :num], x[:, num:]
        if tokens_alone:
            frames = frames[:, :0]
        elif valid is not None:
            frames = frames * valid
        return frames, tokens, layers if all_layers else None

    def _skips(self, probability):
        """Whether layerdrop skips a block now."""
        return self.training and float(torch.rand(())) < probability
