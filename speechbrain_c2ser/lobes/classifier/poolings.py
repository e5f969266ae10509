"""From the frames of an utterance to one vector, its padding left out.

Every pooling is ``forward(frames, lengths, tokens) -> [B, output_size]``.
"""

import torch
from speechbrain.lobes.models.ECAPA_TDNN import AttentiveStatisticsPooling
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import frame_mask, masked_mean, time_mean


@remember_arguments
class MaskedMean(nn.Module):
    """Mean of the valid frames.

    Arguments
    ---------
    input_size : int
        Channels of the frames.

    Example
    -------
    >>> MaskedMean(4)(torch.rand(2, 5, 4), torch.tensor([5, 3])).shape
    torch.Size([2, 4])
    """

    def __init__(self, input_size):
        super().__init__()
        self.output_size = input_size

    def forward(self, frames, lengths, tokens=None):
        """Pools frames [B, T, C] to [B, C]."""
        return masked_mean(frames, lengths)


@remember_arguments
class LastFrame(nn.Module):
    """The last valid frame: of a decoder's tokens the one that saw them all.

    Arguments
    ---------
    input_size : int
        Channels of the frames.

    Example
    -------
    >>> pool = LastFrame(1)
    >>> pool(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2]))
    tensor([[3.]])
    """

    def __init__(self, input_size):
        super().__init__()
        self.output_size = input_size

    def forward(self, frames, lengths, tokens=None):
        """Pools frames [B, T, C] to [B, C]."""
        items = torch.arange(len(frames), device=frames.device)
        return frames[items, lengths - 1]


@remember_arguments
class MeanAndDeviation(nn.Module):
    """Mean and standard deviation of the valid frames, side by side.

    SpeechBrain's ``StatisticsPooling`` adds noise to the mean even in eval.

    Arguments
    ---------
    input_size : int
        Channels of the frames.

    Example
    -------
    >>> pool = MeanAndDeviation(1)
    >>> pool(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2]))
    tensor([[2.0000, 1.0000]])
    """

    def __init__(self, input_size):
        super().__init__()
        self.output_size = 2 * input_size

    def forward(self, frames, lengths, tokens=None):
        """Pools frames [B, T, C] to [B, 2 C]."""
        valid = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
        mean = time_mean(frames, valid)
        square = time_mean((frames - mean.unsqueeze(1)).square(), valid)
        # the square root has no gradient at 0
        return torch.cat([mean, (square + 1e-5).sqrt()], -1)


@remember_arguments
class AttentiveStatistics(nn.Module):
    """Mean and deviation under learned weights of each frame and channel.

    SpeechBrain's pooling of ECAPA-TDNN (Okabe et al. 2018; Desplanques et al.
    2020).

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    attention_size : int
        Hidden channels of the attention.

    Example
    -------
    >>> pool = AttentiveStatistics(4, attention_size=8)
    >>> pool(torch.rand(2, 5, 4), torch.tensor([5, 3])).shape
    torch.Size([2, 8])
    """

    def __init__(self, input_size, attention_size=128):
        super().__init__()
        self.output_size = 2 * input_size
        self.pooling = AttentiveStatisticsPooling(
            input_size, attention_channels=attention_size
        )

    def forward(self, frames, lengths, tokens=None):
        """Pools frames [B, T, C] to [B, 2 C]."""
        # Its parts without its forward, which takes relative lengths (they
        # round) and cannot be exported.
        valid = frame_mask(lengths, frames.shape[1]).unsqueeze(1)  # [B, 1, T]
        x = frames.transpose(1, 2)
        even = valid / lengths[:, None, None]
        context = [part.unsqueeze(2).expand_as(x) for part in _moments(x, even)]
        scores = self.pooling.tdnn(torch.cat([x, *context], 1))
        scores = self.pooling.conv(self.pooling.tanh(scores))
        weights = scores.masked_fill(~valid, float("-inf")).softmax(2)
        return torch.cat(_moments(x, weights), 1)


def _moments(x, weights):
    """Mean and deviation [B, C] of x [B, C, T] under weights."""
    mean = (weights * x).sum(2)
    square = (weights * (x - mean.unsqueeze(2)).square()).sum(2)
    return mean, square.clamp(1e-12).sqrt()


@remember_arguments
class UtteranceTokens(nn.Module):
    """Mean of the encoder's utterance tokens; its frames are not used.

    Arguments
    ---------
    input_size : int
        Channels of the tokens.

    Example
    -------
    >>> pool = UtteranceTokens(4)
    >>> pool(None, None, torch.ones(2, 10, 4)).shape
    torch.Size([2, 4])
    """

    def __init__(self, input_size):
        super().__init__()
        self.output_size = input_size

    def forward(self, frames, lengths, tokens=None):
        """Pools tokens [B, N, C] to [B, C]."""
        return tokens.mean(1)
