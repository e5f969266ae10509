"""Networks over frames and over the vector of an utterance."""

from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import on_both
from speechbrain_c2ser.lobes.classifier.rows import batch_norm, row_of
from speechbrain_c2ser.lobes.padding import frame_mask, time_mean


@remember_arguments
class FrameProjection(nn.Module):
    """Linear and ReLU on every frame: the first half of EmoBox's probe.

    Arguments
    ---------
    input_size : int
        Channels of the encoder's frames.
    output_size : int
        Channels that are pooled.

    Example
    -------
    >>> import torch
    >>> project = FrameProjection(4, 8)
    >>> project(torch.rand(2, 5, 4), torch.tensor([5, 3]))[0].shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, input_size, output_size):
        super().__init__()
        self.linear = nn.Linear(input_size, output_size)

    def forward(self, frames, lengths):
        """Frames [B, T, input_size] to [B, T, output_size], and lengths."""
        row = row_of(lengths, frames.shape[1])
        if row is None:
            return F.relu(self.linear(frames)), lengths
        return row.leave(F.relu(self.linear(row.enter(frames)))), lengths


@remember_arguments
class VectorNetwork(nn.Module):
    """Hidden layers over the utterance vector, strongly regularised.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    hidden_sizes : list of int
        Width of each hidden layer.
    input_dropout : float
        On the standardised input.
    dropout : float
        After every hidden layer.

    Example
    -------
    >>> import torch
    >>> VectorNetwork(6, [8, 4])(torch.rand(2, 6)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self, input_size, hidden_sizes, input_dropout=0.0, dropout=0.0
    ):
        super().__init__()
        # features of any unit; outliers would otherwise rule small sets
        layers = [
            nn.BatchNorm1d(input_size, affine=False, momentum=0.02),
            nn.Hardtanh(-4.0, 4.0),
            nn.Dropout(input_dropout),
        ]
        for size in hidden_sizes:
            layers += [
                nn.Linear(input_size, size),
                nn.BatchNorm1d(size),
                nn.ReLU(),
                nn.Dropout(dropout),
            ]
            input_size = size
        self.layers = nn.Sequential(*layers)
        self.output_size = input_size

    def forward(self, vector):
        """Vectors [B, input_size] to [B, last hidden size]."""
        return self.layers(vector)


@remember_arguments
class LogMelCNN(nn.Module):
    """Two convolutions over time and frequency, then two over time.

    The first one strides over four frames and two bands. Padded frames are
    zero before every convolution, so that an utterance gives the same frames
    in any batch. Items of unlike length stand one behind the other in one row,
    not padded; batch norm counts them as if they were.

    Arguments
    ---------
    n_mels : int
        Bands of the log-mel frames.
    channels : list of int
        Of the two convolutions over time and frequency.
    output_size : int
        Channels of the two convolutions over time.
    normalise : bool
        Take each band's mean over the utterance away: the microphone's colour
        goes, and with it what the voice's own would tell.
    dropout : float
        Between the convolutions over time.
    spec_augment : torch.nn.Module | None
        ``(frames, lengths) -> frames``, applied in training mode.

    Example
    -------
    >>> import torch
    >>> network = LogMelCNN(n_mels=20, channels=[4, 8], output_size=16)
    >>> frames, lengths = network(torch.rand(2, 50, 20), torch.tensor([50, 9]))
    >>> frames.shape, lengths
    (torch.Size([2, 13, 16]), tensor([13,  3]))
    """

    STRIDE = 4
    REACH = 2  # frames on either side from which the last convolution sees

    def __init__(
        self,
        n_mels=64,
        channels=(8, 16),
        output_size=48,
        normalise=True,
        dropout=0.1,
        spec_augment=None,
    ):
        super().__init__()
        first, second = channels
        self.normalise = normalise
        self.output_size = output_size
        self.spec_augment = spec_augment
        self.conv1 = nn.Conv2d(
            1, first, (7, 5), stride=(self.STRIDE, 2), padding=(3, 2)
        )
        self.norm1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, stride=(1, 2), padding=1)
        self.norm2 = nn.BatchNorm2d(second)
        bands = (n_mels + 3) // 4
        self.conv3 = nn.Conv1d(second * bands, output_size, 3, padding=1)
        self.norm3 = nn.BatchNorm1d(output_size)
        self.conv4 = nn.Conv1d(
            output_size, output_size, 3, padding=2, dilation=2
        )
        self.norm4 = nn.BatchNorm1d(output_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames, lengths):
        """Computes frames of a quarter of the rate.

        Arguments
        ---------
        frames : torch.Tensor
            Log-mel frames [B, T, n_mels].
        lengths : torch.Tensor
            Valid frames [B].

        Returns
        -------
        frames : torch.Tensor
            [B, ceil(T / 4), output_size], zero where padded.
        lengths : torch.Tensor
            [B].
        """
        valid = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
        if self.normalise:
            frames = frames - time_mean(frames, valid).unsqueeze(1)
        if self.spec_augment is not None:
            frames = self.spec_augment(frames, lengths)
        # near unit size: log-mel bands of speech deviate by some 3
        x = frames * valid / 3
        row = row_of(lengths, x.shape[1], self.STRIDE, self.REACH)
        if row is not None:
            x = row.enter(x).unsqueeze(0)
        x = self.conv1(x.unsqueeze(1))
        lengths = on_both(self._shortened, lengths)

        def norm(layer, x, before):
            if row is None:
                return layer(x)
            return batch_norm(layer, x, row, before.bias)

        if row is None:
            valid = frame_mask(lengths, x.shape[2]).unsqueeze(1)
        else:
            valid = row.valid.T.unsqueeze(0)
        x = F.relu(norm(self.norm1, x, self.conv1)) * valid.unsqueeze(-1)
        x = norm(self.norm2, self.conv2(x), self.conv2)
        x = F.relu(x) * valid.unsqueeze(-1)
        x = self.dropout(x.transpose(2, 3).flatten(1, 2))
        x = F.relu(norm(self.norm3, self.conv3(x), self.conv3)) * valid
        more = norm(self.norm4, self.conv4(self.dropout(x)), self.conv4)
        x = x + F.relu(more) * valid
        x = x.transpose(1, 2)
        return x if row is None else row.leave(x.squeeze(0)), lengths

    def _shortened(self, lengths):
        return (lengths + self.STRIDE - 1) // self.STRIDE
