"""A transformer within stretches of an utterance, and one over them."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import frame_mask
from speechbrain_c2ser.lobes.speech_llm.connectors import sinusoids


@remember_arguments
class HierarchicalTransformer(nn.Module):
    """Frames attend within their stretch, then the stretches to each other.

    The frames of an utterance are cut into stretches of equal size; the mean
    of each after its own attention is one frame of the result. So attention
    over minutes costs what the stretches' number asks, not the frames'.

    Arguments
    ---------
    input_size : int
        Channels of the encoder's frames.
    output_size : int
        Channels of both transformers.
    stretch : int
        Frames of a stretch.
    num_layers : int
        Of each transformer.
    num_heads : int
        Of the attention; divides ``output_size``.
    ffn_size : int
        Hidden channels of the feed-forward layers.
    dropout : float
        Inside both.

    Example
    -------
    >>> network = HierarchicalTransformer(4, 8, stretch=3, num_heads=2)
    >>> frames, lengths = network(torch.rand(2, 8, 4), torch.tensor([8, 3]))
    >>> frames.shape, lengths
    (torch.Size([2, 3, 8]), tensor([3, 1]))
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        stretch: int = 50,
        num_layers: int = 1,
        num_heads: int = 4,
        ffn_size: int = 256,
        dropout: float = 0.1,
    ):
        super().__init__()
        if stretch < 1:
            raise ValueError(f"A stretch of {stretch} frames: give 1 or more.")
        if output_size % num_heads:
            raise ValueError(
                f"{num_heads} heads do not divide {output_size} channels: "
                "change num_heads."
            )
        self.stretch, self.output_size = stretch, output_size
        self.project = nn.Linear(input_size, output_size)
        self.within, self.across = (
            nn.TransformerEncoder(
                nn.TransformerEncoderLayer(
                    output_size,
                    num_heads,
                    ffn_size,
                    dropout,
                    batch_first=True,
                    norm_first=True,
                ),
                num_layers,
                enable_nested_tensor=False,
            )
            for _ in range(2)
        )

    def forward(
        self, frames: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames [B, T, input_size] to [B, ceil(T / stretch), output_size]."""
        batch, time, _ = frames.shape
        size, width = self.stretch, self.output_size
        more = -time % size
        x = F.pad(self.project(frames), (0, 0, 0, more))
        valid = frame_mask(lengths, time + more).view(-1, size)
        x = x.view(-1, size, width)
        x = _attend(self.within, x, valid)  # [B * stretches, size, C]
        counts = valid.sum(1, keepdim=True).clamp_min(1)
        x = (x * valid.unsqueeze(-1)).sum(1) / counts
        x = x.view(batch, -1, width)
        lengths = (lengths + size - 1) // size
        valid = frame_mask(lengths, x.shape[1])
        x = _attend(self.across, x, valid)
        return x * valid.unsqueeze(-1), lengths


def _attend(transformer, x, valid):
    """A transformer's frames; places by sines, padding attended by none."""
    x = x + sinusoids(x.shape[1], x.shape[2], x.device).to(x.dtype)
    # what has no frame at all attends to its padding, and is thrown away
    padded = ~(valid | ~valid.any(1, keepdim=True))
    return transformer(x, src_key_padding_mask=padded)
