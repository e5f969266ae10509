"""Acoustic functionals of an utterance, in the manner of openSMILE.

A frozen encoder without parameters, for networks that learn from hundreds of
recordings only.
"""

import torch
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.acoustics.descriptors import (
    SHAPE,
    VOICE,
    spectral_shape,
    voice_functionals,
)
from speechbrain_c2ser.lobes.acoustics.functionals import (
    DYNAMICS,
    FUNCTIONALS,
    deltas,
    dynamics,
    functionals,
)
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    SpeechFeatures,
)
from speechbrain_c2ser.lobes.encoders.log_mel import LogMel
from speechbrain_c2ser.lobes.padding import sample_counts


@remember_arguments
class SpeechFunctionals(SpeechEncoder):
    """Encoder of one utterance token: statistics of everything audible.

    The token is also its only frame.

    Contours are cepstra, loudness, spectral shape and zero crossings, smoothed
    over three frames; statistics are taken of them, of their slopes, of them
    in the louder 70 % of frames, and of the voice's pitch.

    Arguments
    ---------
    n_mels : int
        Mel bands.
    n_cepstra : int
        Cepstral coefficients.

    Attributes
    ----------
    columns : tuple[str, ...]
        What each number of the token is.

    Example
    -------
    >>> encoder = SpeechFunctionals(n_mels=16, n_cepstra=8)
    >>> features = encoder.extract(torch.rand(2, 8000), torch.tensor([1, 0.5]))
    >>> features.tokens.shape, encoder.output_size
    (torch.Size([2, 1, 2046]), 2046)
    """

    not_exported = "its functionals are computed item by item"

    def __init__(self, n_mels: int = 64, n_cepstra: int = 24):
        super().__init__()
        if n_cepstra > n_mels:
            raise ValueError(
                f"{n_mels} mel bands have no {n_cepstra} cepstral "
                "coefficients: set n_cepstra to at most n_mels."
            )
        self.log_mel = LogMel(n_mels)
        bands = torch.arange(n_mels) + 0.5
        orders = torch.arange(n_cepstra)
        cosines = torch.cos(torch.pi / n_mels * torch.outer(bands, orders))
        cosines *= (2 / n_mels) ** 0.5
        cosines[:, 0] *= 0.5**0.5
        self.register_buffer("cosines", cosines, persistent=False)
        self.columns = _columns(n_cepstra)
        self.num_layers = 1
        self.num_tokens = 1
        self.output_size = len(self.columns)

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """One token for each utterance, which is also its frame and layer.

        Raises
        ------
        ValueError
            Where an item is shorter than a tenth of a second.
        """
        counts = sample_counts(wavs, wav_lens)
        if counts.min() < 1600:
            item = int(counts.argmin())
            raise ValueError(
                f"Waveform {item} of the batch has {int(counts[item])} "
                "samples: statistics need at least 1600 (0.1 s)."
            )
        power, lengths = self.log_mel.power(wavs, wav_lens)
        mel, _ = self.log_mel.bands(power, lengths)
        items = zip(
            wavs.float(),
            counts.tolist(),
            power,
            mel,
            lengths.tolist(),
            strict=True,
        )
        with torch.autocast(wavs.device.type, enabled=False):
            tokens = [
                self._token(wav[:count], spectra[:length], frames[:length])
                for wav, count, spectra, frames, length in items
            ]
        tokens = torch.stack(tokens).unsqueeze(1)  # [B, 1, C]
        return SpeechFeatures(
            tokens,
            torch.ones_like(lengths),
            tokens,
            [tokens] if all_layers else None,
        )

    def _token(self, wav, power, mel):
        loudness = mel.logsumexp(1, keepdim=True)
        contours = [
            mel @ self.cosines,
            loudness,
            spectral_shape(power),
            zero_crossings(wav, len(self.log_mel.window), self.log_mel.hop),
        ]
        ends = F.pad(torch.cat(contours, 1).t(), (1, 1), mode="replicate")
        contours = F.avg_pool1d(ends, 3, 1).t()
        slopes = deltas(contours)
        loud = loudness[:, 0] > loudness.quantile(0.3)
        if loud.sum() < 2:
            # a sound that never changes
            loud = torch.ones_like(loud)
        return torch.cat(
            [
                functionals(contours),
                functionals(slopes),
                functionals(contours[loud]),
                dynamics(contours),
                dynamics(slopes),
                voice_functionals(wav),
            ]
        )


def _columns(n_cepstra: int) -> tuple[str, ...]:
    """Names of the token's numbers, in the order of `_token`."""
    contours = (
        *(f"cepstrum {order}" for order in range(n_cepstra)),
        "loudness",
        *SHAPE,
        "zero crossings",
    )
    blocks = (
        (FUNCTIONALS, ""),
        (FUNCTIONALS, "delta "),
        (FUNCTIONALS, "loud "),
        (DYNAMICS, ""),
        (DYNAMICS, "delta "),
    )
    return (
        *(
            f"{statistic} of {kind}{contour}"
            for statistics, kind in blocks
            for statistic in statistics
            for contour in contours
        ),
        *VOICE,
    )


def zero_crossings(wav: torch.Tensor, window: int, hop: int) -> torch.Tensor:
    """Zero crossings per sample of centred windows.

    Arguments
    ---------
    wav : torch.Tensor
        Waveform [samples].
    window, hop : int
        In samples; the window is even.

    Returns
    -------
    torch.Tensor
        [samples // hop + 1, 1].

    Example
    -------
    >>> wav = torch.tensor([1.0, -1.0]).repeat(400)
    >>> float(zero_crossings(wav, 80, 160)[2].round(decimals=2))
    1.0
    """
    padded = F.pad(wav, (window // 2, window // 2))
    frames = padded.unfold(0, window, hop)
    return ((frames[:, 1:] * frames[:, :-1]) < 0).float().mean(1, keepdim=True)
