"""Connectors: what the encoders heard, as embeddings for the language model.

Every connector is ``(frames, lengths, utterance_vectors) -> (embeddings,
lengths)``, so that one replaces another by a line of yaml.
"""

import math
from functools import partial

import torch
from torch import nn
from torch.nn.functional import gelu, pad

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import on_both, to_device
from speechbrain_c2ser.lobes.padding import frame_mask, valid_frames

# Strides of the convolutions for each downsampling rate. The first one of
# stride 1 only mixes neighbours, as in the published model (rate 4).
STRIDES = {1: (), 2: (1, 2), 4: (1, 2, 2), 8: (1, 2, 2, 2)}
KERNEL = 3


class Downsampler(nn.Module):
    """Causal convolutions that shorten a sequence (C2SER paper, section 3).

    Nothing is padded at the right: an output frame depends on the past, and
    what stands after an utterance's end never reaches it.

    Arguments
    ---------
    rate : int
        1 (nothing is done), 2, 4 or 8.
    size : int
        Width of the frames.
    left_padding : int
        Zeros before each convolution. 2 keeps every frame; the authors' code
        has 2 at rate 4 and 0, which drops two frames each, at 2 and 8.

    Example
    -------
    >>> downsampler = Downsampler(rate=4, size=8)
    >>> frames, lengths = downsampler(torch.ones(1, 47, 8), torch.tensor([47]))
    >>> frames.shape, lengths
    (torch.Size([1, 12, 8]), tensor([12]))
    """

    def __init__(self, rate, size, left_padding=KERNEL - 1):
        super().__init__()
        if rate not in STRIDES:
            raise ValueError(
                f"A downsampler's rate is one of {sorted(STRIDES)}, not {rate}."
            )
        self.left_padding = left_padding
        self.convs = nn.ModuleList(
            nn.Conv1d(size, size, KERNEL, stride) for stride in STRIDES[rate]
        )

    def forward(self, frames, lengths):
        """Shortens the frames by the rate; padded lengths are rounded up.

        Arguments
        ---------
        frames : torch.Tensor
            [B, T, C].
        lengths : torch.Tensor
            Valid frames [batch].

        Returns
        -------
        frames : torch.Tensor
            [B, T', C]; what stands behind an item's length
            is not defined.
        lengths : torch.Tensor
            Valid frames [batch].
        """
        x = frames.transpose(1, 2)
        for conv in self.convs:
            x = gelu(conv(pad(x, (self.left_padding, 0))))
            lengths = on_both(partial(self._shortened, conv.stride[0]), lengths)
        return x.transpose(1, 2), lengths

    def _shortened(self, stride, lengths):
        spans = lengths + self.left_padding - KERNEL
        return (spans // stride + 1).clamp(min=0)


@remember_arguments
class ConnectorTransformer(nn.Module):
    """C2SER's connector: downsampling, a transformer, a projection.

    The utterance vectors, zero-padded to the frames' width, stand before the
    downsampled frames. A linear layer with LayerNorm, sinusoidal positions
    and pre-norm transformer layers follow, then the projection to the width
    of the language model (C2SER paper, section 3; 52 M parameters at full
    size).

    Arguments
    ---------
    input_size : int | None
        Width of the semantic frames; None: there are none, and the
        transformer is as wide as the utterance vectors.
    output_size : int
        Width of the language model's embeddings.
    utterance_size : int | None
        Width of the utterance vectors; None: there are none. Wider ones than
        ``input_size`` (smaller encoders than the published) are projected to
        it.
    downsample_rate : int
        1, 2, 4 or 8.
    left_padding : int
        Zeros before each convolution of the downsampler, 2 or 0.
    num_layers, num_heads, ffn_size : int
        The transformer's numbers.
    dropout : float
        Dropout after the input layer and positions, on each sub-layer's
        output and in the feed-forward; none inside attention, as published.

    Raises
    ------
    ValueError
        Without any width of an input, or for another downsampling rate.

    Example
    -------
    >>> connector = ConnectorTransformer(
    ...     input_size=16, output_size=24, utterance_size=12, num_layers=1
    ... )
    >>> frames, lengths = torch.randn(2, 40, 16), torch.tensor([40, 9])
    >>> vectors = torch.randn(2, 10, 12)
    >>> embeddings, lengths = connector(frames, lengths, vectors)
    >>> embeddings.shape, lengths
    (torch.Size([2, 20, 24]), tensor([20, 13]))
    """

    def __init__(
        self,
        input_size: int | None,
        output_size: int,
        utterance_size: int | None = None,
        downsample_rate: int = 4,
        left_padding: int = KERNEL - 1,
        num_layers: int = 4,
        num_heads: int = 4,
        ffn_size: int = 2560,
        dropout: float = 0.1,
    ):
        super().__init__()
        check_inputs(input_size, utterance_size)
        self.input_size = input_size
        self.output_size = output_size
        self.utterance_size = utterance_size
        self.size = size = input_size or utterance_size
        # Only what has an input: a weight without gradient stops DDP.
        self.downsampler, self.utterance_projection = None, None
        if input_size:
            self.downsampler = Downsampler(downsample_rate, size, left_padding)
        if (utterance_size or 0) > size:
            self.utterance_projection = nn.Linear(utterance_size, size)
        self.input_layer = nn.Sequential(
            nn.Linear(size, size), nn.LayerNorm(size), nn.Dropout(dropout)
        )
        self.position_dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size,
                num_heads,
                ffn_size,
                dropout,
                norm_first=True,
                batch_first=True,
            )
            for _ in range(num_layers)
        )
        for layer in self.layers:
            layer.self_attn.dropout = 0.0
        self.norm = nn.LayerNorm(size)
        self.projection = nn.Linear(size, output_size)

    def forward(
        self,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
        utterance_vectors: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Joins frames and utterance vectors for the language model.

        Arguments
        ---------
        frames : torch.Tensor | None
            Semantic frames [B, T, input_size].
        lengths : torch.Tensor | None
            Their valid counts [batch]; needed with ``frames``.
        utterance_vectors : torch.Tensor | None
            [B, N, utterance_size], all valid.

        Returns
        -------
        embeddings : torch.Tensor
            [B, N + T', output_size], padding zero.
        lengths : torch.Tensor
            Valid embeddings [batch].

        Raises
        ------
        ValueError
            When both inputs are None or a width is not the one built for.
        """
        if frames is not None:
            check_width(frames, self.input_size, "Semantic frames")
            frames, lengths = self.downsampler(frames, lengths)
        if utterance_vectors is not None:
            check_width(
                utterance_vectors, self.utterance_size, "Utterance vectors"
            )
            if self.utterance_projection is not None:
                utterance_vectors = self.utterance_projection(utterance_vectors)
            missing = self.size - utterance_vectors.shape[-1]
            utterance_vectors = pad(utterance_vectors, (0, missing))
        x, lengths = join(utterance_vectors, frames, lengths)

        x = self.input_layer(x) * math.sqrt(self.size)
        positions = sinusoids(x.shape[1], self.size, x.device)
        x = self.position_dropout(x + positions)
        mask = frame_mask(lengths, x.shape[1])
        padded = None
        if valid_frames(lengths, x.shape[1]) is not None:
            padded = ~mask
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padded)
        return self.projection(self.norm(x)) * mask.unsqueeze(2), lengths


@remember_arguments
class LinearConnector(nn.Module):
    """The simplest connector: neighbouring frames stacked, then projected.

    Utterance vectors have a projection of their own. There are no positions
    and no exchange between frames: a baseline for what the transformer adds.

    Arguments
    ---------
    input_size : int | None
        Width of the semantic frames; None: there are none.
    output_size : int
        Width of the language model's embeddings.
    utterance_size : int | None
        Width of the utterance vectors; None: there are none.
    downsample_rate : int
        Frames per embedding; the last group is filled up with zeros.

    Raises
    ------
    ValueError
        Without any width of an input.

    Example
    -------
    >>> connector = LinearConnector(16, 24, utterance_size=12)
    >>> frames, lengths = torch.randn(2, 40, 16), torch.tensor([40, 9])
    >>> vectors = torch.randn(2, 10, 12)
    >>> embeddings, lengths = connector(frames, lengths, vectors)
    >>> embeddings.shape, lengths
    (torch.Size([2, 20, 24]), tensor([20, 13]))
    """

    def __init__(
        self,
        input_size: int | None,
        output_size: int,
        utterance_size: int | None = None,
        downsample_rate: int = 4,
    ):
        super().__init__()
        check_inputs(input_size, utterance_size)
        self.input_size = input_size
        self.output_size = output_size
        self.utterance_size = utterance_size
        self.downsample_rate = downsample_rate
        width = downsample_rate * (input_size or 0)
        self.projection = input_projection(width, output_size)
        self.utterance_projection = input_projection(
            utterance_size, output_size
        )

    def forward(
        self,
        frames: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
        utterance_vectors: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`ConnectorTransformer.forward`."""
        if frames is not None:
            check_width(frames, self.input_size, "Semantic frames")
            frames, lengths = stack_frames(
                frames, lengths, self.downsample_rate
            )
            frames = self.projection(frames)
        if utterance_vectors is not None:
            check_width(
                utterance_vectors, self.utterance_size, "Utterance vectors"
            )
            utterance_vectors = self.utterance_projection(utterance_vectors)
        x, lengths = join(utterance_vectors, frames, lengths)
        return x * frame_mask(lengths, x.shape[1]).unsqueeze(2), lengths


def input_projection(width: int | None, size: int) -> nn.Linear | None:
    """A linear layer for an input that there is; None for one of no width.

    A weight without gradient would stop DDP.

    Example
    -------
    >>> input_projection(None, 8) is None
    True
    """
    return nn.Linear(width, size) if width else None


def stack_frames(
    frames: torch.Tensor, lengths: torch.Tensor, rate: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Neighbouring frames as one; the last group is filled up with zeros.

    Arguments
    ---------
    frames : torch.Tensor
        [B, T, C].
    lengths : torch.Tensor
        Valid frames [B].
    rate : int
        Frames that become one.

    Returns
    -------
    frames : torch.Tensor
        [B, T / rate rounded up, rate * C], padding zero.
    lengths : torch.Tensor
        [B].

    Example
    -------
    >>> stack_frames(torch.ones(1, 3, 2), torch.tensor([3]), 2)[0][0]
    tensor([[1., 1., 1., 1.],
            [1., 1., 0., 0.]])
    """
    batch, time, width = frames.shape
    frames = frames * frame_mask(lengths, time).unsqueeze(2)
    frames = pad(frames, (0, 0, 0, -time % rate))
    return frames.reshape(batch, -1, rate * width), -(-lengths // rate)


def check_inputs(input_size, utterance_size):
    """Refuse a connector that hears nothing.

    Example
    -------
    >>> check_inputs(16, None)
    """
    if not input_size and not utterance_size:
        raise ValueError(
            "A connector needs the width of its frames (input_size), of its "
            "utterance vectors (utterance_size) or both; got neither."
        )


def check_width(x, size, what):
    """Refuse an input that is not as wide as the connector.

    Example
    -------
    >>> check_width(torch.ones(2, 3, 4), 4, "Semantic frames")
    """
    if x.shape[-1] != size:
        raise ValueError(
            f"{what} are {x.shape[-1]} wide, but the connector was built for "
            f"{size or 'none'}."
        )


def join(utterance_vectors, frames, lengths):
    """Utterance vectors before frames, and the lengths of both together.

    Example
    -------
    >>> vectors, frames = torch.ones(2, 1, 4), torch.ones(2, 3, 4)
    >>> join(vectors, frames, torch.tensor([3, 2]))[1]
    tensor([4, 3])
    """
    if frames is None and utterance_vectors is None:
        raise ValueError(
            "A connector needs frames, utterance vectors or both; got neither."
        )
    if frames is None:
        batch, number, _ = utterance_vectors.shape
        full = torch.full((batch,), number)
        return utterance_vectors, to_device(full, utterance_vectors.device)
    if utterance_vectors is None:
        return frames, lengths
    number = utterance_vectors.shape[1]
    lengths = on_both(lambda frames: frames + number, lengths)
    return torch.cat([utterance_vectors, frames], dim=1), lengths


def sinusoids(count, size, device):
    """Interleaved sine and cosine positions [count, size] in float32.

    Example
    -------
    >>> sinusoids(1, 4, "cpu")
    tensor([[0., 1., 0., 1.]])
    """
    steps = torch.arange(0, size, 2, device=device, dtype=torch.float32)
    rates = torch.exp(steps * (-math.log(10000.0) / size))
    angles = torch.arange(count, device=device).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
