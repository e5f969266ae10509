"""Encoder → layer mix → network over frames → pooling → network → heads."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import on_host, to_device
from speechbrain_c2ser.lobes.classifier.poolings import (
    MaskedMean,
    UtteranceTokens,
)
from speechbrain_c2ser.lobes.encoders.features import SpeechFeatures
from speechbrain_c2ser.lobes.padding import masked_mean


@remember_arguments
class EmotionClassifier(nn.Module):
    """Any encoder with what is trained on top of it.

    ``forward`` takes waveforms. For a frozen encoder its features can be
    computed once (``cached_features``, ``from_cache``) and only the rest run
    (``classify``).

    Arguments
    ---------
    encoder : SpeechEncoder
        Any.
    heads : MultiHead
        Over the utterance vector.
    pooling : torch.nn.Module
        ``(frames, lengths, tokens) -> vector [B, C]``.
    layer_mix : LayerMix | LayerConcat | None
        Mixes the encoder's layers; None takes its last frames.
    frame_network : torch.nn.Module | None
        ``(frames, lengths) -> (frames, lengths)``.
    vector_network : torch.nn.Module | None
        ``vector -> vector``, before the heads.
    text_encoder : TextEncoder | None
        ``read(rows) -> SpeechFeatures`` of what is said.
    fusion : torch.nn.Module | None
        ``(frames, lengths, other, other_lengths) -> (frames, lengths)``,
        before the pooling.

    Raises
    ------
    ValueError
        Where the pooling takes utterance tokens and the encoder has none,
        layers are mixed that it does not have, or a text encoder and a fusion
        do not go with each other and the rest.

    Example
    -------
    >>> import torch
    >>> from speechbrain_c2ser.lobes import (
    ...     CategoryHead, FrameProjection, LogMel, MaskedMean, MultiHead
    ... )
    >>> model = EmotionClassifier(
    ...     LogMel(n_mels=20),
    ...     MultiHead({"emotion": CategoryHead(8, ["angry", "sad"])}),
    ...     MaskedMean(8),
    ...     frame_network=FrameProjection(20, 8),
    ... )
    >>> model(torch.rand(2, 8000))["emotion"].shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        encoder,
        heads,
        pooling,
        layer_mix=None,
        frame_network=None,
        vector_network=None,
        text_encoder=None,
        fusion=None,
    ):
        super().__init__()
        tokens = getattr(encoder, "num_tokens", None)
        if isinstance(pooling, UtteranceTokens) and tokens == 0:
            raise ValueError(
                f"A {type(encoder).__name__} has no utterance tokens: pool its "
                "frames, as with MaskedMean."
            )
        number = getattr(encoder, "num_layers", None)
        if number is not None and hasattr(layer_mix, "check"):
            layer_mix.check(number)
        _check_fusion(text_encoder, fusion, pooling, heads)
        self.encoder = encoder
        self.layer_mix = layer_mix
        self.frame_network = frame_network
        self.pooling = pooling
        self.vector_network = vector_network
        self.text_encoder = text_encoder
        self.fusion = fusion
        self.heads = heads

    def forward(self, wavs, wav_lens=None, features=None, rows=None):
        """Every head's output.

        Arguments
        ---------
        wavs : torch.Tensor | None
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor | None
            Relative lengths, [B].
        features : SpeechFeatures | None
            Given instead of waveforms where they are known.
        rows : sequence of dict | None
            Manifest rows of the batch, for what reads more than the voice.

        Returns
        -------
        dict
            Head's name → output.
        """
        if features is None:
            features = self.features(wavs, wav_lens)
        return self.classify(features, rows)

    def features(self, wavs, wav_lens=None):
        """The encoder's features, with layers where they are mixed.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor | None
            Relative lengths, [B].

        Returns
        -------
        SpeechFeatures
        """
        return self.encoder.extract(
            wavs, wav_lens, all_layers=self.layer_mix is not None
        )

    def check_rows(self, rows):
        """Refuses rows that lack what is read beside the voice.

        Arguments
        ---------
        rows : sequence of dict
            Manifest rows.

        Raises
        ------
        ValueError
            Names the first such row.
        """
        if self.text_encoder is not None:
            self.text_encoder.check(rows)

    def utterance_vectors(self, features, rows=None):
        """What the heads see: pooled frames.

        Arguments
        ---------
        features : SpeechFeatures
            From :meth:`features` or :meth:`from_cache`.
        rows : sequence of dict | None
            Manifest rows of the batch.

        Returns
        -------
        torch.Tensor
            [B, C].
        """
        return self._pool(features, rows)[0][0]

    def classify(self, features, rows=None):
        """Every head's output for an encoder's features.

        Arguments
        ---------
        features : SpeechFeatures
            From :meth:`features` or :meth:`from_cache`.
        rows : sequence of dict | None
            Manifest rows of the batch.

        Returns
        -------
        dict
            Head's name → output.
        """
        pooled, streams = self._pool(features, rows)
        return self.heads(*pooled, streams)

    def _pool(self, features, rows=None):
        """(Utterance vectors, the frames and lengths they are of), streams."""
        frames, lengths, tokens, layers = features
        if self.layer_mix is not None:
            frames = self.layer_mix(layers)
        if self.frame_network is not None:
            frames, lengths = self.frame_network(frames, lengths)
        streams = None
        if self.text_encoder is not None:
            words = self.text_encoder.read(rows or [{}] * len(frames))
            if self.heads.needs_words:
                voice = masked_mean(frames, lengths)
                streams = voice, masked_mean(words.frames, words.lengths)
            words = self.text_encoder.lose_some(words)
        if self.fusion is not None:
            frames, lengths = self.fusion(
                frames, lengths, words.frames, words.lengths
            )
        vector = self.pooling(frames, lengths, tokens)
        if self.vector_network is not None:
            vector = self.vector_network(vector)
        return (vector, frames, lengths), streams

    def predict(self, wavs, wav_lens=None, rows=None, temperature=1.0):
        """Every head's probabilities or values for waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor | None
            Relative lengths, [B].
        rows : sequence of dict | None
            Manifest rows of the batch.
        temperature : float
            Of the probabilities of the head that decides on the label.

        Returns
        -------
        dict
            Head's name → probabilities.
        """
        outputs = self(wavs, wav_lens, rows=rows)
        return self.heads.predict(outputs, temperature)

    @property
    def cached_kind(self):
        """The least of a frozen encoder's features that the rest needs.

        "tokens" [N, C]; "layer_means" [L, 1, C], where mixing and averaging
        can change places; "layers" [L, T, C]; or "frames" [1, T, C].
        """
        if isinstance(self.pooling, UtteranceTokens):
            if self.heads.needs_frames:
                raise ValueError(
                    "Utterance tokens are pooled and a head takes frames: pool "
                    "frames, as with MaskedMean, or set feature_folder to null."
                )
            return "tokens"
        if self.layer_mix is None:
            return "frames"
        averaged = (
            self.frame_network is None
            and self.text_encoder is None
            and not self.layer_mix.normalize
            and isinstance(self.pooling, MaskedMean)
            and not self.heads.needs_frames
        )
        return "layer_means" if averaged else "layers"

    def cached_features(self, wavs, wav_lens=None):
        """One tensor for each item, what ``cached_kind`` says.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at 16 kHz, [B, samples].
        wav_lens : torch.Tensor | None
            Relative lengths, [B].

        Returns
        -------
        list of torch.Tensor
        """
        features = self.features(wavs, wav_lens)
        kind = self.cached_kind
        if kind == "tokens":
            return list(features.tokens)
        stack = features.layers if "layer" in kind else [features.frames]
        stack = torch.stack(tuple(stack), 1)  # [B, L, T, C]
        items = [
            layers[:, :length]
            for layers, length in zip(
                stack, on_host(features.lengths).tolist(), strict=True
            )
        ]
        if kind == "layer_means":
            return [layers.mean(1, keepdim=True) for layers in items]
        return items

    def from_cache(self, items):
        """A batch of what ``cached_features`` gave.

        Arguments
        ---------
        items : sequence of torch.Tensor
            One for each utterance.

        Returns
        -------
        SpeechFeatures
            To be handed to ``classify``.
        """
        device = items[0].device
        if self.cached_kind == "tokens":
            tokens = torch.stack(tuple(items))
            ones = torch.ones(len(items), dtype=torch.long, device=device)
            return SpeechFeatures(tokens[:, :1], ones, tokens)
        lengths = torch.tensor([x.shape[1] for x in items])
        size = int(lengths.max())
        lengths = to_device(lengths, device)
        stack = torch.stack(
            [F.pad(x, (0, 0, 0, size - x.shape[1])) for x in items], 1
        )
        layers = list(stack) if self.layer_mix is not None else None
        return SpeechFeatures(stack[-1], lengths, layers=layers)


def _check_fusion(text_encoder, fusion, pooling, heads):
    """Refuse a text encoder or a fusion that would have no effect."""
    if text_encoder is None and (fusion is not None or heads.needs_words):
        raise ValueError(
            "A fusion, or a head over voice and words, has no text_encoder to "
            "read the words: give one."
        )
    if text_encoder is None:
        return
    if fusion is None and not heads.needs_words:
        raise ValueError(
            "There is a text_encoder, and neither a fusion nor a head (such "
            "as PairedHead) that takes its words: give one."
        )
    if isinstance(pooling, UtteranceTokens) and fusion is not None:
        raise ValueError(
            "UtteranceTokens pools the speech encoder's tokens, so a fusion "
            "with words has no effect: pool frames, as with MaskedMean."
        )
    if not getattr(fusion, "keeps_time", True) and heads.needs_frames:
        has_queries = getattr(fusion, "queries", None) is not None
        remedy = "set queries to null" if has_queries else "take another one"
        raise ValueError(
            f"A fusion such as this {type(fusion).__name__} keeps no frames in "
            f"time, and a head takes frames: {remedy}."
        )
