"""Layers of the data2vec 2.0 family of speech encoders (emotion2vec)."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.lobes.attention import attend
from speechbrain_c2ser.lobes.emotion2vec.time_conv import TimeConv
from speechbrain_c2ser.lobes.emotion2vec.voice_spectrum import VoiceSpectrum


class ConvFrontEnd(nn.Module):
    """Waveform to frames: convolutions without padding, each followed by
    LayerNorm and GELU.

    Arguments
    ---------
    conv_layers : list of (int, int, int)
        Channels, kernel and stride of each layer.
    spectrum : dict | None
        Arguments of a `VoiceSpectrum` that the convolutions run on; None: on
        the waveform, as published.

    Example
    -------
    >>> front_end = ConvFrontEnd([(8, 10, 5), (8, 4, 4)])
    >>> front_end(torch.rand(2, 400)).shape
    torch.Size([2, 19, 8])
    """

    # Elements of the widest activation of one piece of audio: small enough
    # to stay in a processor's cache instead of going through memory.
    PIECE_ELEMENTS = 1 << 21

    def __init__(self, conv_layers, spectrum: dict | None = None):
        super().__init__()
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList()
        self.spectrum = None
        self.hop, self.receptive_field, channels = 1, 1, 1
        if spectrum is not None:
            self.spectrum = VoiceSpectrum(**spectrum)
            self.hop = self.spectrum.hop
            self.receptive_field = self.spectrum.window
            channels = self.spectrum.output_size
        for size, kernel, stride in conv_layers:
            conv = TimeConv(channels, size, kernel, stride, bias=False)
            nn.init.normal_(conv.weight, std=math.sqrt(2 / (kernel * channels)))
            self.convs.append(conv)
            self.norms.append(nn.LayerNorm(size))
            self.receptive_field += (kernel - 1) * self.hop
            self.hop *= stride
            channels = size
        self.output_size = channels

    def frame_lengths(
        self, sample_lengths: torch.Tensor | int
    ) -> torch.Tensor | int:
        """Frames that so many samples give.

        Arguments
        ---------
        sample_lengths : torch.Tensor | int
            Samples.

        Returns
        -------
        torch.Tensor | int
            Frames; below 1 where the audio is too short.
        """
        lengths = sample_lengths
        if self.spectrum is not None:
            window, hop = self.spectrum.window, self.spectrum.hop
            lengths = (lengths - window) // hop + 1
        for conv in self.convs:
            lengths = (lengths - conv.kernel_size) // conv.stride + 1
        return lengths

    def forward(self, wavs: torch.Tensor) -> torch.Tensor:
        """Computes the frames of whole waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, samples].

        Returns
        -------
        torch.Tensor
            [B, T, channels].
        """
        x = wavs.unsqueeze(-1)
        if self.spectrum is not None:
            x = self.spectrum(wavs)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.gelu(norm(conv(x)))
        return x

    def piece_frames(self) -> int:
        """Frames of one piece for `in_pieces`.

        Returns
        -------
        int
            Frames whose first activation has about `PIECE_ELEMENTS` elements.
        """
        first, hop = self.convs[0], self.hop
        if self.spectrum is not None:
            hop //= self.spectrum.hop
        per_frame = hop // first.stride * first.out_channels
        return max(1, self.PIECE_ELEMENTS // per_frame)

    def in_pieces(self, wav: torch.Tensor):
        """Computes the same frames piece after piece.

        No layer pads, so a frame depends only on its receptive field, and a
        piece's frames equal the whole waveform's. Only for inference: with
        gradients every activation is kept anyway.

        Arguments
        ---------
        wav : torch.Tensor
            [samples].

        Yields
        ------
        torch.Tensor
            [1, t, channels], the next t frames.
        """
        total, step = self.frame_lengths(len(wav)), self.piece_frames()
        for start in range(0, total, step):
            stop = min(start + step, total)
            end = (stop - 1) * self.hop + self.receptive_field
            yield self(wav[None, start * self.hop : end])


class PositionalConvs(nn.Module):
    """Relative positions from a stack of grouped convolutions.

    Each layer: convolution, LayerNorm without parameters, GELU. Padded
    frames are set to zero before *each* layer, as bias and LayerNorm fill
    them again: an item sees the zeros it would see alone.

    Arguments
    ---------
    embed_dim : int
        Channels.
    width : int
        Total width; a layer's kernel is max(3, width // depth).
    depth : int
        Layers.
    groups : int
        Groups of each convolution.
    pre_norm : bool
        Whether a LayerNorm stands before the first layer.

    Example
    -------
    >>> PositionalConvs(8, 9, 3, 2)(torch.rand(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        embed_dim: int,
        width: int,
        depth: int,
        groups: int,
        pre_norm: bool = False,
    ):
        super().__init__()
        kernel = max(3, width // depth)
        self.norm = nn.LayerNorm(embed_dim) if pre_norm else nn.Identity()
        self.convs = nn.ModuleList(
            TimeConv(
                embed_dim,
                embed_dim,
                kernel,
                padding=kernel // 2,
                groups=groups,
            )
            for _ in range(depth)
        )

    def forward(
        self, x: torch.Tensor, valid: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Computes what is to be added to the frames.

        Arguments
        ---------
        x : torch.Tensor
            [B, T, C].
        valid : torch.Tensor | None
            [B, T, 1] bool, True on real frames; None when all are.

        Returns
        -------
        torch.Tensor
            [B, T, C].
        """
        frames = x.shape[1]
        x = self.norm(x)
        for conv in self.convs:
            if valid is not None:
                x = x * valid
            # An even kernel gives one frame too many.
            x = conv(x)[:, :frames]
            x = F.gelu(F.layer_norm(x, x.shape[-1:]))
        return x


class Block(nn.Module):
    """Transformer block: self-attention with a bias, then an MLP.

    Arguments
    ---------
    embed_dim : int
        Channels.
    num_heads : int
        Attention heads.
    mlp_ratio : float
        Hidden size of the MLP over embed_dim.
    layer_norm_first : bool
        Pre-norm instead of post-norm. As in the official code the pre-norm
        block has no residual around the MLP's input.
    norm_eps : float
        Epsilon of the LayerNorms.
    norm_affine : bool
        Whether the LayerNorms have parameters.
    dropout : float
        After the attention's projection.
    attention_dropout : float
        On the attention weights.
    activation_dropout : float
        After each of the MLP's layers.
    post_mlp_dropout : float
        Before the MLP's residual.

    Example
    -------
    >>> x, mlp_output = Block(8, 2)(torch.rand(1, 5, 8))
    >>> x.shape, mlp_output.shape
    (torch.Size([1, 5, 8]), torch.Size([1, 5, 8]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        layer_norm_first: bool = False,
        norm_eps: float = 1e-5,
        norm_affine: bool = True,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
        post_mlp_dropout: float = 0.0,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.layer_norm_first = layer_norm_first
        self.attention_dropout = attention_dropout
        hidden = int(embed_dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(embed_dim, norm_eps, norm_affine)
        self.norm2 = nn.LayerNorm(embed_dim, norm_eps, norm_affine)
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.projection = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)
        self.mlp = nn.Sequential(
            nn.Linear(embed_dim, hidden),
            nn.GELU(),
            nn.Dropout(activation_dropout),
            nn.Linear(hidden, embed_dim),
            nn.Dropout(activation_dropout),
        )
        self.post_mlp_dropout = nn.Dropout(post_mlp_dropout)

    def attend(
        self,
        x: torch.Tensor,
        bias: torch.Tensor | None = None,
        first: int | None = None,
    ) -> torch.Tensor:
        """Self-attention.

        Arguments
        ---------
        x : torch.Tensor
            [B, T, C].
        bias : torch.Tensor | None
            Added to the scores, broadcastable to [B, heads, T, T]; it may
            be wider, as of :func:`.attention.attend`.
        first : int | None
            As in :meth:`forward`.

        Returns
        -------
        torch.Tensor
            [B, T, C].
        """
        batch, frames, channels = x.shape
        shape = (batch, frames, 3, self.num_heads, -1)
        q, k, v = self.qkv(x).view(shape).permute(2, 0, 3, 1, 4)
        if first is not None:
            q, frames = q[:, :, :first], first
            if bias is not None and bias.shape[2] > 1:
                bias = bias[:, :, :first]
        dropout = self.attention_dropout if self.training else 0.0
        x = attend(q, k, v, bias, dropout)
        x = x.transpose(1, 2).reshape(batch, frames, channels)
        return self.dropout(self.projection(x))

    def forward(
        self,
        x: torch.Tensor,
        bias: torch.Tensor | None = None,
        first: int | None = None,
    ):
        """Runs the block.

        Arguments
        ---------
        x : torch.Tensor
            [B, T, C].
        bias : torch.Tensor | None
            Added to the scores, broadcastable to [B, heads, T, T]; it may
            be wider, as of :func:`.attention.attend`.
        first : int | None
            Positions from the first on that are wanted: the others are
            attended to, and no more is made of them. None: all.

        Returns
        -------
        torch.Tensor
            The block's output, [B, T or first, C].
        torch.Tensor
            The MLP's output before dropout and residual, of the same shape.
        """
        wanted = x[:, :first]
        if self.layer_norm_first:
            x = wanted + self.attend(self.norm1(x), bias, first)
            mlp_output = self.mlp(self.norm2(x))
            return mlp_output + self.post_mlp_dropout(mlp_output), mlp_output
        x = self.norm1(wanted + self.attend(x, bias, first))
        mlp_output = self.mlp(x)
        return self.norm2(x + self.post_mlp_dropout(mlp_output)), mlp_output
