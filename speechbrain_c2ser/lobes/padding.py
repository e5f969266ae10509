"""Padding never counts: lengths, masks and means over valid frames.

While a model is exported (``torch.export``) no tensor has values to look at:
nothing is checked, and every batch is taken for a padded one.
"""

import torch
from torch.nn import functional as F

from speechbrain_c2ser.host import on_host, to_device
from speechbrain_c2ser.lobes.exporting import is_exporting


def sample_counts(
    wavs: torch.Tensor, wav_lens: torch.Tensor | None = None
) -> torch.Tensor:
    """Number of valid samples of every waveform of a padded batch.

    Arguments
    ---------
    wavs : torch.Tensor
        Waveforms [B, T].
    wav_lens : torch.Tensor | None
        Relative lengths [B] in (0, 1], SpeechBrain's convention. None
        says that every item is full.

    Returns
    -------
    torch.Tensor
        Integer counts [B], on the device of ``wavs``.

    Raises
    ------
    ValueError
        When ``wavs`` is not [B, T], or when ``wav_lens`` has another
        number of items or a value outside (0, 1].

    Example
    -------
    >>> sample_counts(torch.zeros(2, 1000), torch.tensor([1.0, 0.25]))
    tensor([1000,  250])
    """
    if wavs.dim() != 2:
        raise ValueError(
            "Waveforms must be [batch, time] (one channel), got the shape "
            f"{tuple(wavs.shape)}."
        )
    batch, time = wavs.shape
    if wav_lens is None:
        if is_exporting():
            return torch.full((batch,), time, device=wavs.device)
        return to_device(torch.full((batch,), time), wavs.device)
    if is_exporting():
        counts = torch.round(wav_lens.double() * time).long()
        return counts.clamp(max=time)
    # Float64: a relative length times minutes of samples must round back to
    # the very sample it came from. On the CPU: Apple's GPUs have no float64.
    wav_lens = on_host(wav_lens).double()
    if wav_lens.shape != (batch,):
        raise ValueError(
            f"wav_lens must hold one value for each of the {batch} waveforms, "
            f"got the shape {tuple(wav_lens.shape)}."
        )
    if wav_lens.min() <= 0 or wav_lens.max() > 1 + 1e-6:
        raise ValueError(
            "wav_lens are fractions of the longest waveform in (0, 1], got "
            f"{wav_lens.tolist()}."
        )
    counts = torch.round(wav_lens * time).long().clamp(max=time)
    return to_device(counts, wavs.device)


def frame_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Boolean mask that is True on the valid frames.

    Arguments
    ---------
    lengths : torch.Tensor
        Frame counts [B].
    size : int
        Number of frames in the padded batch.

    Returns
    -------
    torch.Tensor
        Mask [B, size].

    Example
    -------
    >>> frame_mask(torch.tensor([1, 3]), 3)
    tensor([[ True, False, False],
            [ True,  True,  True]])
    """
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def longest(lengths: torch.Tensor, size: int) -> int:
    """Frames that a padded batch needs.

    Arguments
    ---------
    lengths : torch.Tensor
        Valid frames of each item, [B].
    size : int
        Frames that it has.

    Returns
    -------
    int
        Those of the longest item; in an export, ``size``.

    Example
    -------
    >>> longest(torch.tensor([1, 3]), 5)
    3
    """
    return size if is_exporting() else int(on_host(lengths).max())


def valid_frames(lengths: torch.Tensor, size: int) -> torch.Tensor | None:
    """`frame_mask` over channels, or None where nothing is padded.

    Arguments
    ---------
    lengths : torch.Tensor
        Frame counts [B].
    size : int
        Number of frames in the padded batch.

    Returns
    -------
    torch.Tensor | None
        Mask [B, size, 1]; None when all items are full.

    Example
    -------
    >>> valid_frames(torch.tensor([1, 2]), 2).flatten()
    tensor([ True, False,  True,  True])
    >>> valid_frames(torch.tensor([2, 2]), 2)
    """
    if not is_exporting() and int(on_host(lengths).min()) >= size:
        return None
    return frame_mask(lengths, size).unsqueeze(-1)


def time_mean(x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean over the valid frames.

    Arguments
    ---------
    x : torch.Tensor
        [B, T, D].
    valid : torch.Tensor
        Booleans [B, T, 1].

    Returns
    -------
    torch.Tensor
        [B, D].

    Example
    -------
    >>> import torch
    >>> x = torch.tensor([[[1.0], [3.0], [99.0]]])
    >>> time_mean(x, torch.tensor([[[True], [True], [False]]]))
    tensor([[2.]])
    """
    return (x * valid).sum(1) / valid.sum(1)


def instance_norm(
    x: torch.Tensor, valid: torch.Tensor, eps: float = 1e-5
) -> torch.Tensor:
    """Zero mean, unit variance over each utterance's valid frames.

    Arguments
    ---------
    x : torch.Tensor
        [B, T, D].
    valid : torch.Tensor
        Booleans [B, T, 1].
    eps : float
        Added to the variance.

    Returns
    -------
    torch.Tensor
        [B, T, D], zero on padding.

    Example
    -------
    >>> import torch
    >>> x = torch.tensor([[[1.0], [3.0], [99.0]]])
    >>> valid = torch.tensor([[[True], [True], [False]]])
    >>> instance_norm(x, valid, eps=0.0).flatten()
    tensor([-1.,  1.,  0.])
    """
    centred = x - time_mean(x, valid).unsqueeze(1)
    variance = time_mean(centred.square(), valid).unsqueeze(1)
    return centred * (variance + eps).rsqrt() * valid


def masked_mean(frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Mean over the valid frames of each item.

    Arguments
    ---------
    frames : torch.Tensor
        [B, T, C].
    lengths : torch.Tensor
        Valid frames of each item, [B].

    Returns
    -------
    torch.Tensor
        [B, C].

    Example
    -------
    >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2]))
    tensor([[2.]])
    """
    valid = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
    return (frames * valid).sum(1) / lengths.unsqueeze(1)


def normalize(wavs: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """Layer-norms each waveform over its own samples.

    Arguments
    ---------
    wavs : torch.Tensor
        [B, samples].
    samples : torch.Tensor
        Valid samples of each item, [B].

    Returns
    -------
    torch.Tensor
        [B, samples], float32, zeros after the valid samples.

    Example
    -------
    >>> normalize(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([2]))
    tensor([[-1.0000,  1.0000,  0.0000]])
    """
    if is_exporting():
        return instance_norm(
            wavs.float().unsqueeze(2), valid_frames(samples, wavs.shape[1])
        ).squeeze(2)
    normalized = torch.zeros_like(wavs, dtype=torch.float32)
    for i, count in enumerate(on_host(samples).tolist()):
        wav = wavs[i, :count].float()
        normalized[i, :count] = F.layer_norm(wav, wav.shape)
    return normalized
