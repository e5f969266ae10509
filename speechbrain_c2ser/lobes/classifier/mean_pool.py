"""The head of emotion2vec+, and a classifier made of encoder and head."""

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import masked_mean


@remember_arguments
class MeanPoolClassifier(nn.Module):
    """Mean over frames, then one linear layer: the head of emotion2vec+.

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    labels : list of str
        Label of each output. Outputs whose label starts with "unuse" never
        win: their logit is -inf.

    Example
    -------
    >>> head = MeanPoolClassifier(4, ["angry", "unuse_0", "sad"])
    >>> logits = head(torch.rand(2, 5, 4), torch.tensor([5, 3]))
    >>> logits.shape, head.used
    (torch.Size([2, 3]), [0, 2])
    """

    def __init__(self, input_size, labels):
        super().__init__()
        self.labels = list(labels)
        self.used = [
            i
            for i, label in enumerate(self.labels)
            if not label.startswith("unuse")
        ]
        if not self.used:
            raise ValueError(
                "No label is left: every one of them starts with 'unuse'."
            )
        self.linear = nn.Linear(input_size, len(self.labels))

    def forward(self, frames, lengths):
        """Computes the logits.

        Arguments
        ---------
        frames : torch.Tensor
            [B, T, C].
        lengths : torch.Tensor
            Valid frames of each item, [B].

        Returns
        -------
        torch.Tensor
            [B, labels], -inf for unused labels.
        """
        logits = self.linear(masked_mean(frames, lengths))
        unused = torch.ones(
            len(self.labels), dtype=torch.bool, device=logits.device
        )
        unused[self.used] = False
        return logits.masked_fill(unused, float("-inf"))


@remember_arguments
class EncoderClassifier(nn.Module):
    """An encoder and a head over its frames, such as emotion2vec+.

    Arguments
    ---------
    encoder : torch.nn.Module
        With `extract(wavs, wav_lens) -> (frames, tokens, lengths)`.
    head : torch.nn.Module
        With `forward(frames, lengths) -> logits`.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import Emotion2VecS
    >>> encoder = Emotion2VecS(
    ...     conv_layers=[(8, 10, 5), (8, 8, 8), (8, 8, 8)],
    ...     embed_dim=16, num_heads=2, prenet_depth=1, depth=1,
    ...     conv_pos_groups=2,
    ... )
    >>> head = MeanPoolClassifier(16, ["angry", "sad"])
    >>> EncoderClassifier(encoder, head)(torch.rand(2, 4000)).shape
    torch.Size([2, 2])
    """

    def __init__(self, encoder, head):
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, wavs, wav_lens=None):
        """Computes the logits of waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor or None
            Relative lengths, [B]; None when all are full.

        Returns
        -------
        torch.Tensor
            [B, labels].
        """
        frames, _, lengths = self.encoder.extract(wavs, wav_lens)
        return self.head(frames, lengths)

    def extract(self, *args, **kwargs):
        """The encoder's own `extract`.

        Arguments
        ---------
        *args : object
            As the encoder's.
        **kwargs : object
            As the encoder's.

        Returns
        -------
        tuple
            As the encoder's.
        """
        return self.encoder.extract(*args, **kwargs)
