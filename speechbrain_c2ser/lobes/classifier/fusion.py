"""Words beside the voice: frames of two streams become one.

Every fusion is ``forward(frames, lengths, other, other_lengths) -> (frames,
lengths)``, and comes before the pooling.
"""

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import frame_mask, masked_mean


@remember_arguments
class ConcatFusion(nn.Module):
    """The other stream's mean beside each frame, then a linear layer.

    With a mean over the frames behind it, this is the concatenation of two
    utterance vectors.

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    other_size : int
        Channels of the other stream.
    output_size : int
        Channels of the result.

    Example
    -------
    >>> fuse, lengths = ConcatFusion(4, 3, 8), torch.tensor([5, 2])
    >>> words, counts = torch.rand(2, 6, 3), torch.tensor([6, 4])
    >>> fuse(torch.rand(2, 5, 4), lengths, words, counts)[0].shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, input_size: int, other_size: int, output_size: int):
        super().__init__()
        self.frames = nn.Linear(input_size, output_size)
        self.other = nn.Linear(other_size, output_size, bias=False)
        self.output_size = output_size

    def forward(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        other: torch.Tensor,
        other_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames [B, T, input_size] to [B, T, output_size], and lengths."""
        mean = masked_mean(other, other_lengths).unsqueeze(1)
        fused = self.frames(frames) + self.other(mean)
        return fused * _valid(fused, lengths), lengths


@remember_arguments
class GateFusion(nn.Module):
    """Each channel of each frame weighs the voice against the words.

    ``g * voice + (1 - g) * words``, g from both (a gated multimodal unit:
    Arevalo et al. 2017).

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    other_size : int
        Channels of the other stream, whose mean is taken.
    output_size : int
        Channels of the result.

    Example
    -------
    >>> fuse, lengths = GateFusion(4, 3, 8), torch.tensor([5, 2])
    >>> words, counts = torch.rand(2, 6, 3), torch.tensor([6, 4])
    >>> fuse(torch.rand(2, 5, 4), lengths, words, counts)[0].shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, input_size: int, other_size: int, output_size: int):
        super().__init__()
        self.frames = nn.Linear(input_size, output_size)
        self.other = nn.Linear(other_size, output_size)
        self.gate = nn.Linear(input_size + other_size, output_size)
        self.output_size = output_size

    def forward(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        other: torch.Tensor,
        other_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames [B, T, input_size] to [B, T, output_size], and lengths."""
        mean = masked_mean(other, other_lengths).unsqueeze(1)
        both = [frames, mean.expand(-1, frames.shape[1], -1)]
        gate = self.gate(torch.cat(both, -1)).sigmoid()
        voice, words = self.frames(frames).tanh(), self.other(mean).tanh()
        fused = gate * voice + (1 - gate) * words
        return fused * _valid(fused, lengths), lengths


@remember_arguments
class CrossAttentionFusion(nn.Module):
    """Frames attend to the words; or learned queries attend to both.

    Without ``queries`` each frame gets what it attends to among the words.
    With them, so many learned queries attend to frames and words together and
    are all that is pooled: bridge tokens, and the first layer of a Q-Former
    (Li et al. 2023).

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    other_size : int
        Channels of the other stream.
    output_size : int
        Channels of the result.
    queries : int | None
        How many learned queries there are; None = the frames ask.
    num_heads : int
        Of the attention; divides ``output_size``.
    dropout : float
        On the attention.

    Example
    -------
    >>> fuse, lengths = CrossAttentionFusion(4, 3, 8), torch.tensor([5, 2])
    >>> words, counts = torch.rand(2, 6, 3), torch.tensor([6, 4])
    >>> fuse(torch.rand(2, 5, 4), lengths, words, counts)[0].shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        input_size: int,
        other_size: int,
        output_size: int,
        queries: int | None = None,
        num_heads: int = 4,
        dropout: float = 0.0,
    ):
        super().__init__()
        if output_size % num_heads:
            raise ValueError(
                f"{num_heads} heads do not divide {output_size} channels: "
                "change num_heads."
            )
        self.frames = nn.Linear(input_size, output_size)
        self.other = nn.Linear(other_size, output_size)
        self.attention = nn.MultiheadAttention(
            output_size, num_heads, dropout, batch_first=True
        )
        self.norm = nn.LayerNorm(output_size)
        self.keeps_time = queries is None
        self.queries = None
        if queries is not None:
            if queries < 1:
                raise ValueError(f"{queries} queries: give 1 or more.")
            start = torch.randn(queries, output_size) * output_size**-0.5
            self.queries = nn.Parameter(start)
        self.output_size = output_size

    def forward(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        other: torch.Tensor,
        other_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames [B, T, input_size] to [B, T or queries, output_size]."""
        asking, heard = self.frames(frames), self.other(other)
        padded = ~frame_mask(other_lengths, other.shape[1])
        if self.queries is not None:
            heard = torch.cat([asking, heard], 1)
            silent = ~frame_mask(lengths, frames.shape[1])
            padded = torch.cat([silent, padded], 1)
            asking = self.queries.expand(len(frames), -1, -1)
            lengths = torch.full_like(lengths, len(self.queries))
        attended, _ = self.attention(
            asking, heard, heard, key_padding_mask=padded, need_weights=False
        )
        fused = self.norm(asking + attended)
        return fused * _valid(fused, lengths), lengths


@remember_arguments
class WordsAlone(nn.Module):
    """The words instead of the voice: a classifier of texts.

    The student of a language model's labels, a linear probe of its layers, or
    what words alone are worth beside a model that hears.

    Example
    -------
    >>> fuse, lengths = WordsAlone(), torch.tensor([5, 2])
    >>> words, counts = torch.rand(2, 6, 3), torch.tensor([6, 4])
    >>> fuse(torch.rand(2, 5, 4), lengths, words, counts)[0].shape
    torch.Size([2, 6, 3])
    """

    keeps_time = False

    def forward(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        other: torch.Tensor,
        other_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The other stream [B, T, C] and its lengths, as they are."""
        return other, other_lengths


def _valid(frames, lengths):
    return frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
