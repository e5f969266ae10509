"""The decoder of masked pre-training: masked frames from their neighbours."""

import torch.nn.functional as F
from torch import nn

from speechbrain_c2ser.lobes.lengths import frame_mask


class ConvDecoder(nn.Module):
    """Grouped convolutions that guess masked frames from their neighbours.

    Each layer is Conv1d, LayerNorm without affine, GELU, with a residual
    where the sizes agree; padded frames are zeroed before each convolution so
    that an utterance is the same alone and in a batch.

    Arguments
    ---------
    input_size : int
        D of the encoder; also the output's.
    size : int
        Channels inside.
    depth : int
        Number of convolutions.
    kernel : int
        Frames per convolution, odd.
    groups : int
        Groups; must divide both sizes.

    Example
    -------
    >>> import torch
    >>> decoder = ConvDecoder(16, 8, depth=2, kernel=3, groups=2)
    >>> decoder(torch.randn(2, 5, 16), torch.tensor([5, 3])).shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, input_size, size, depth, kernel, groups):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"decoder_kernel must be odd, got {kernel}.")
        if input_size % groups or size % groups:
            raise ValueError(
                f"decoder_groups {groups} must divide the encoder's "
                f"{input_size} and the decoder's {size} channels."
            )
        sizes = [input_size] + [size] * depth
        # nested so that the names are those of the published checkpoints
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(
                    before, size, kernel, padding=kernel // 2, groups=groups
                )
            )
            for before in sizes[:-1]
        )
        self.proj = nn.Linear(size, input_size)

    def forward(self, x, lengths):
        """Decode [B, T, D] with true lengths [B] to [B, T, D]."""
        valid = frame_mask(lengths, x.shape[1]).unsqueeze(-1)
        for block in self.blocks:
            residual = x
            x = block((x * valid).transpose(1, 2)).transpose(1, 2)
            x = F.gelu(F.layer_norm(x, x.shape[-1:]))
            if residual.shape == x.shape:
                x = x + residual
        return self.proj(x)
