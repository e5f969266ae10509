"""Augmentation of features: SpecAugment, SpecSub, stretching, mixup."""

import torch
from torch import nn

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import frame_mask


@remember_arguments
class Mixup(nn.Module):
    """Every item mixed with another one of its batch, and its label too.

    For heads over utterances, whose targets are shares or numbers. Of two
    items that differ in length the shorter one is followed by its padding.

    Arguments
    ---------
    alpha : float
        Of the Beta distribution of the shares; the larger share stays the
        item's own.

    Example
    -------
    >>> from speechbrain_c2ser.lobes.encoders.features import SpeechFeatures
    >>> features = SpeechFeatures(torch.rand(2, 5, 4), torch.tensor([5, 3]))
    >>> labels = {"emotion": torch.eye(3)[:2]}
    >>> mixed, targets = Mixup(0.3)(features, labels)
    >>> mixed.lengths.min() >= 3, targets["emotion"].sum(1)
    (tensor(True), tensor([1., 1.]))
    """

    def __init__(self, alpha: float = 0.3):
        super().__init__()
        self.alpha = alpha

    def forward(self, features, targets: dict):
        """Mixes features and targets.

        Arguments
        ---------
        features : SpeechFeatures
            Of a batch.
        targets : dict
            Head → shares or numbers [B, labels], NaN where missing.

        Returns
        -------
        features : SpeechFeatures
        targets : dict
            Head → mixed targets [B, labels], NaN where either is missing.
        """
        device = features.lengths.device
        order = torch.randperm(len(features.lengths), device=device)
        share = torch.distributions.Beta(self.alpha, self.alpha)
        share = share.sample(order.shape).to(device)
        share = torch.maximum(share, 1 - share)

        def mixed(x):
            part = share.view(-1, *[1] * (x.dim() - 1))
            return part * x + (1 - part) * x[order]

        lengths = torch.maximum(features.lengths, features.lengths[order])
        layers = features.layers and [mixed(x) for x in features.layers]
        tokens = None if features.tokens is None else mixed(features.tokens)
        targets = {name: mixed(own.to(device)) for name, own in targets.items()}
        frames = mixed(features.frames)
        return type(features)(frames, lengths, tokens, layers), targets


@remember_arguments
class SpecAugment(nn.Module):
    """Blanks random bands of time and frequency; does nothing in eval.

    The defaults are those that C2SER was trained with. SpeechBrain's
    ``SpectrogramDrop`` places its bands within the padded length, so that a
    short item beside a long one would mostly be left alone; here every item
    is masked as if it were alone, and never more than half of it by one band.
    A departure: widths are 0 to the largest and a band lies inside the item;
    the authors' are 1 to the largest and may be cut off at the item's end.

    Arguments
    ---------
    time_masks : int
        Number of bands in time.
    time_width : int
        Largest width of one of them, in mel frames (10 ms each).
    frequency_masks : int
        Number of bands in frequency.
    frequency_width : int
        Largest width of one of them, in mel bands.

    Example
    -------
    >>> augment = SpecAugment(2, 50, 2, 10)
    >>> mel = torch.ones(1, 300, 80)
    >>> bool((augment(mel, torch.tensor([300])) == 0).any())
    True
    >>> bool((augment.eval()(mel, torch.tensor([300])) == 0).any())
    False
    """

    def __init__(
        self,
        time_masks: int = 2,
        time_width: int = 50,
        frequency_masks: int = 2,
        frequency_width: int = 10,
    ):
        super().__init__()
        self.time_masks = time_masks
        self.time_width = time_width
        self.frequency_masks = frequency_masks
        self.frequency_width = frequency_width

    def forward(self, mel: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Returns a masked copy of the features.

        Arguments
        ---------
        mel : torch.Tensor
            Log-mel frames [B, T, bands].
        lengths : torch.Tensor
            Valid frames [B].

        Returns
        -------
        torch.Tensor
            Log-mel frames of the same shape.
        """
        if not self.training:
            return mel
        bands = torch.full_like(lengths, mel.shape[2])
        time = _random_bands(
            lengths, mel.shape[1], self.time_masks, self.time_width
        )
        frequency = _random_bands(
            bands, mel.shape[2], self.frequency_masks, self.frequency_width
        )
        return mel.masked_fill(time.unsqueeze(2) | frequency.unsqueeze(1), 0.0)


@remember_arguments
class SpecSub(nn.Module):
    """Puts earlier frames in the place of later ones; does nothing in eval.

    Of U2++ (Wu et al., arXiv 2106.05642): each piece of an item is replaced
    by as many frames that begin no later than itself, so that what is seen
    is speech, but not what was said. Pieces are drawn as C2SER's authors draw
    them, within every item's own length, and copied from what came in: none
    copies what another has put there. The defaults are theirs, too.

    Arguments
    ---------
    pieces : int
        Number of pieces that are replaced.
    width : int
        Largest width of one of them, in mel frames (10 ms each); the
        smallest is one frame, unless the item ends within it.

    Example
    -------
    >>> substitute = SpecSub(3, 30)
    >>> mel = torch.arange(300.0).view(1, 300, 1)
    >>> changed = substitute(mel, torch.tensor([300]))
    >>> bool((changed <= mel).all())
    True
    >>> torch.equal(substitute.eval()(mel, torch.tensor([300])), mel)
    True
    """

    def __init__(self, pieces: int = 3, width: int = 30):
        super().__init__()
        self.pieces = pieces
        self.width = width

    def forward(self, mel: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Returns a copy of the features with pieces replaced.

        Arguments
        ---------
        mel : torch.Tensor
            Log-mel frames [B, T, bands].
        lengths : torch.Tensor
            Valid frames [B].

        Returns
        -------
        torch.Tensor
            Log-mel frames of the same shape.
        """
        if not self.training:
            return mel
        lengths = lengths.unsqueeze(1)
        positions = torch.arange(mel.shape[1], device=mel.device)
        source = positions.expand(mel.shape[:2])  # [B, T] frame that is copied
        for _ in range(self.pieces):
            start = _random_below(lengths)
            width = 1 + _random_below(torch.full_like(lengths, self.width))
            end = torch.minimum(start + width, lengths)
            back = _random_below(start + 1)
            inside = (positions >= start) & (positions < end)
            source = torch.where(inside, positions - back, source)
        return mel.gather(1, source.unsqueeze(2).expand_as(mel))


@remember_arguments
class TimeStretch(nn.Module):
    """Plays features faster or slower; does nothing in eval.

    Each item is resampled along time by a factor of its own, by linear
    interpolation between neighbouring frames: the speed perturbation of
    speech recognition (Ko et al., Interspeech 2015), on frames in place of
    the waveform, so that a frozen encoder need not be run again.

    Arguments
    ---------
    amount : float
        Factors are uniform in 1 - amount ... 1 + amount.

    Example
    -------
    >>> stretch = TimeStretch(0.15)
    >>> frames, lengths = torch.rand(2, 40, 8), torch.tensor([40, 20])
    >>> stretched, lengths = stretch(frames, lengths)
    >>> bool(34 <= lengths[0] <= 46), stretched.shape[1] == lengths.max()
    (True, tensor(True))
    """

    def __init__(self, amount: float = 0.15):
        super().__init__()
        if not 0 <= amount < 1:
            raise ValueError(f"amount must lie in [0, 1), got {amount}.")
        self.amount = amount

    def forward(self, frames, lengths):
        """Returns stretched features and their lengths.

        Arguments
        ---------
        frames : torch.Tensor
            [B, T, C].
        lengths : torch.Tensor
            Valid frames [B].

        Returns
        -------
        frames : torch.Tensor
            [B, other T, C], zero behind an item's end.
        lengths : torch.Tensor
            [B]
        """
        if not self.training:
            return frames, lengths
        factors = 2 * torch.rand(lengths.shape, device=lengths.device) - 1
        longer = ((1 + self.amount * factors) * lengths).round().long()
        longer = longer.clamp(min=1)
        steps = torch.arange(int(longer.max()), device=frames.device)
        # [B, T'] place in the item: its first and last frames stay the ends
        places = steps * ((lengths - 1) / (longer - 1).clamp(min=1))[:, None]
        places = torch.minimum(places, (lengths - 1)[:, None])
        before = places.floor().long()
        after = torch.minimum(before + 1, (lengths - 1)[:, None])
        share = (places - before).unsqueeze(2).to(frames.dtype)
        items = torch.arange(len(frames), device=frames.device)[:, None]
        x = torch.lerp(frames[items, before], frames[items, after], share)
        return x * frame_mask(longer, x.shape[1]).unsqueeze(2), longer


def _random_below(limits):
    """Whole numbers from 0 to one below each of the limits."""
    drawn = (torch.rand(limits.shape, device=limits.device) * limits).long()
    return torch.minimum(drawn, limits - 1)  # a product may round up to it


def _random_bands(lengths, size, count, width):
    """Union [B, size] of ``count`` random bands in every item's length."""
    shape = (len(lengths), count, 1)
    lengths = lengths.view(-1, 1, 1)
    widest = (lengths // 2).clamp(max=width) + 1
    widths = (torch.rand(shape, device=lengths.device) * widest).long()
    starts = torch.rand(shape, device=lengths.device)
    starts = (starts * (lengths - widths + 1)).long()
    positions = torch.arange(size, device=lengths.device)
    bands = (positions >= starts) & (positions < starts + widths)
    return bands.any(dim=1) & frame_mask(lengths.view(-1), size)
