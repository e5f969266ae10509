"""Encoders of which a part is trained: LoRA beside them, or some layers."""

import re
from collections.abc import Sequence

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    WrappedEncoder,
)
from speechbrain_c2ser.lobes.lora import add_lora, train_adapters

# Hugging Face's WavLM hands these layers' weights to one fused function and
# never calls them: LoRA beside them would be trained by nothing.
NEVER_CALLED = {"wavlm": {"q_proj", "k_proj", "v_proj", "out_proj"}}


def _check_trained(encoder):
    """Refuse an encoder that was built to take no gradients."""
    if encoder.freeze:
        raise ValueError(
            f"A part of a {type(encoder).__name__} is to be trained, but "
            "it was built with freeze: True, which takes no gradients at "
            "all: build it with freeze: False."
        )


@remember_arguments
class LoRAEncoder(WrappedEncoder):
    """A frozen encoder with trained low-rank updates (LoRA) inside.

    Arguments
    ---------
    encoder : SpeechEncoder
        Any, built with ``freeze: False``; frozen here, in eval mode.
    rank : int
        Of the update.
    alpha : int
        The update is scaled by alpha / rank.
    dropout : float
        Before the update.
    targets : Sequence[str]
        Last names of the linear layers that get one. Whisper, wav2vec 2.0
        and HuBERT have ``q_proj``, ``k_proj``, ``v_proj``, ``out_proj``;
        WavLM's attention takes none: give it ``intermediate_dense`` and
        ``output_dense``.

    Raises
    ------
    ValueError
        For a frozen encoder, names that no layer has, and layers that the
        encoder never calls.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import WhisperEncoder
    >>> encoder = LoRAEncoder(WhisperEncoder(
    ...     num_layers=1, size=16, num_heads=2, ffn_size=32
    ... ), rank=2)
    >>> sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    192
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        rank: int = 8,
        alpha: int = 16,
        dropout: float = 0.1,
        targets: Sequence[str] = ("q_proj", "k_proj", "v_proj"),
    ):
        super().__init__(encoder)
        _check_trained(encoder)
        config = getattr(getattr(encoder, "model", None), "config", None)
        kind = getattr(config, "model_type", None)
        useless = sorted(NEVER_CALLED.get(kind, set()) & set(targets))
        if useless:
            raise ValueError(
                f"LoRA beside {', '.join(useless)} of a {kind} is never "
                "used: its attention is one fused function. Set targets to "
                "[intermediate_dense, output_dense]."
            )
        encoder.requires_grad_(False)
        add_lora(encoder, rank, alpha, dropout, targets)
        self.train()

    def train(self, mode: bool = True) -> "LoRAEncoder":
        """Sets the mode of LoRA's dropout; the encoder stays in eval."""
        super().train(mode)
        self.encoder.eval()
        train_adapters(self.encoder, mode)
        return self


@remember_arguments
class PartlyTrained(WrappedEncoder):
    """An encoder of which the named parameters are trained, no others.

    Arguments
    ---------
    encoder : SpeechEncoder
        Any, built with ``freeze: False``.
    patterns : Sequence[str]
        Regular expressions, searched in the parameters' names, such as
        ``layers\\.(10|11)\\.`` for the last two layers.

    Raises
    ------
    ValueError
        For a frozen encoder, and for a pattern that fits no parameter.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import WhisperEncoder
    >>> encoder = PartlyTrained(WhisperEncoder(
    ...     num_layers=2, size=16, num_heads=2, ffn_size=32
    ... ), [r"layers\\.1\\."])
    >>> {n.split(".")[3] for n, p in encoder.named_parameters()
    ...  if p.requires_grad}
    {'1'}
    """

    def __init__(self, encoder: SpeechEncoder, patterns: Sequence[str]):
        super().__init__(encoder)
        _check_trained(encoder)
        encoder.requires_grad_(False)
        parameters = dict(encoder.named_parameters())
        for pattern in patterns:
            fitting = [n for n in parameters if re.search(pattern, n)]
            if not fitting:
                examples = ", ".join(list(parameters)[:3])
                raise ValueError(
                    f"The pattern {pattern!r} fits no parameter of the "
                    f"{type(encoder).__name__} (it has {examples} ...)."
                )
            for name in fitting:
                if parameters[name].is_floating_point():
                    parameters[name].requires_grad_(True)
