"""Two encoders and a connector: a waveform to embeddings."""

import torch
from torch import nn
from torch.nn.functional import pad

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.padding import masked_mean, sample_counts
from speechbrain_c2ser.lobes.similar_parts import in_similar_parts, parts_pay

UTTERANCE_SOURCES = ("tokens", "first_frames", "mean")
# Samples. A shorter item may be too short for an encoder, which then tells
# its place in the batch.
SHORTEST = 1600


@remember_arguments
class ContextualPerception(nn.Module):
    """What is said and how it is said, as embeddings for a language model.

    A semantic encoder (Whisper) gives frames, an acoustic one (Emotion2Vec-S)
    gives a few vectors for the whole utterance; the connector joins them. Any
    ``SpeechEncoder`` serves either role. Without one of the encoders the other
    stands alone, which is how the ablations of the paper are run.

    Arguments
    ---------
    semantic_encoder : SpeechEncoder | None
        Its frames are taken.
    acoustic_encoder : SpeechEncoder | None
        Its tokens or frames are taken, as ``utterance_source`` says.
    connector : torch.nn.Module
        ``(frames, lengths, utterance_vectors) -> (embeddings, lengths)``.
    utterance_source : str
        ``tokens``: the acoustic encoder's learned utterance tokens, as in the
        paper. ``first_frames``: as many of its first frames, zeros where a
        clip has fewer; the published code took these by mistake, so the
        published checkpoint expects them. ``mean``: one vector, the mean of
        the valid frames; the one that suits an encoder without tokens.

    Raises
    ------
    ValueError
        Without any encoder, where the acoustic one has no tokens and
        ``utterance_source`` asks for them, or where a width of the connector
        is not its encoder's.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import LinearConnector
    >>> from speechbrain_c2ser.lobes import WhisperEncoder
    >>> perception = ContextualPerception(
    ...     WhisperEncoder(num_layers=1, size=16, num_heads=2, ffn_size=32),
    ...     None,
    ...     LinearConnector(16, 24),
    ... )
    >>> embeddings, lengths = perception(torch.randn(2, 16000))
    >>> embeddings.shape, lengths
    (torch.Size([2, 13, 24]), tensor([13, 13]))
    """

    def __init__(
        self,
        semantic_encoder,
        acoustic_encoder,
        connector,
        utterance_source="tokens",
    ):
        super().__init__()
        if semantic_encoder is None and acoustic_encoder is None:
            raise ValueError(
                "ContextualPerception needs a semantic encoder, an acoustic "
                "encoder or both; got neither."
            )
        if utterance_source not in UTTERANCE_SOURCES:
            raise ValueError(
                f"utterance_source is one of {UTTERANCE_SOURCES}, not "
                f"'{utterance_source}'."
            )
        tokens = getattr(acoustic_encoder, "num_tokens", None)
        if utterance_source != "mean" and tokens == 0:
            raise ValueError(
                f"utterance_source is '{utterance_source}', but a "
                f"{type(acoustic_encoder).__name__} has no utterance tokens: "
                "set utterance_source to mean."
            )
        for encoder, role, width in (
            (semantic_encoder, "semantic_encoder", "input_size"),
            (acoustic_encoder, "acoustic_encoder", "utterance_size"),
        ):
            given = getattr(encoder, "output_size", None)
            expected = getattr(connector, width, given)
            if given is not None and given != expected:
                raise ValueError(
                    f"The connector's {width} is {expected}, but the {role} "
                    f"gives {given}: set it to !ref <{role}.output_size>."
                )
        self.semantic_encoder = semantic_encoder
        self.acoustic_encoder = acoustic_encoder
        self.connector = connector
        self.utterance_source = utterance_source
        self.output_size = connector.output_size

    def forward(self, wavs, wav_lens=None, utterance_vectors=None):
        """Perceives a padded batch of waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms [B, T], 16 kHz.
        wav_lens : torch.Tensor | None
            Relative lengths [batch].
        utterance_vectors : torch.Tensor | None
            What :meth:`utterance_vectors` gave for these waveforms earlier (a
            cache); the acoustic encoder is then not run.

        Returns
        -------
        embeddings : torch.Tensor
            [B, T, output_size], padding zero.
        lengths : torch.Tensor
            Valid embeddings [batch].
        """
        if utterance_vectors is not None or not parts_pay(wavs):
            return self._perceive(wavs, wav_lens, utterance_vectors)
        counts = sample_counts(wavs, wav_lens)
        if counts.min() < SHORTEST:
            return self._perceive(wavs, wav_lens)

        def perceive(wavs, counts):
            return *self._perceive(wavs, counts / wavs.shape[1]), None

        return in_similar_parts(perceive, wavs, counts)[:2]

    def _perceive(self, wavs, wav_lens, utterance_vectors=None):
        frames, lengths = None, None
        if self.semantic_encoder is not None:
            speech = self.semantic_encoder.extract(wavs, wav_lens)
            frames, lengths = speech.frames, speech.lengths
        if self.acoustic_encoder is None:
            if utterance_vectors is not None:
                raise ValueError(
                    "Utterance vectors were given to a ContextualPerception "
                    "that has no acoustic encoder: leave them out."
                )
        elif utterance_vectors is None:
            utterance_vectors = self.utterance_vectors(wavs, wav_lens)
        else:
            # A cache is often kept in half precision.
            utterance_vectors = utterance_vectors.to(wavs.device, wavs.dtype)
        return self.connector(frames, lengths, utterance_vectors)

    def utterance_vectors(self, wavs, wav_lens=None):
        """Utterance vectors of the acoustic encoder.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms [B, T], 16 kHz.
        wav_lens : torch.Tensor | None
            Relative lengths [batch].

        Returns
        -------
        torch.Tensor
            [B, N, C]; N is the number of the utterance tokens, or
            1 for ``mean``.
        """
        encoder = self.acoustic_encoder
        if encoder is None:
            raise ValueError("There is no acoustic encoder to run.")
        trained = any(p.requires_grad for p in encoder.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
            if self.utterance_source == "tokens":
                return encoder.extract_tokens(wavs, wav_lens)
            speech = encoder.extract(wavs, wav_lens)
            if self.utterance_source == "mean":
                return masked_mean(speech.frames, speech.lengths).unsqueeze(1)
            number = speech.tokens.shape[1]
            missing = max(number - speech.frames.shape[1], 0)
            return pad(speech.frames[:, :number], (0, 0, 0, missing))
