"""Whisper's encoder as C2SER uses it: true lengths, no padding to 30 s."""

from inspect import signature
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import gelu, pad
from transformers import WhisperFeatureExtractor
from transformers.models.whisper import modeling_whisper

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import on_both, on_host
from speechbrain_c2ser.lobes.acoustics.power_spectrum import power_spectrum
from speechbrain_c2ser.lobes.attention_in_tiles import use_tiles
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    SpeechFeatures,
)
from speechbrain_c2ser.lobes.encoders.whisper_loading import (
    from_numbers,
    from_source,
)
from speechbrain_c2ser.lobes.exporting import is_exporting
from speechbrain_c2ser.lobes.padding import (
    frame_mask,
    longest,
    sample_counts,
    valid_frames,
)
from speechbrain_c2ser.lobes.similar_parts import in_similar_parts, parts_pay

# Whisper's own, whatever its size.
SAMPLE_RATE = 16000
N_FFT = 400
HOP_LENGTH = 160
# Windows of long recordings that are encoded at once when nothing is trained.
WINDOWS_AT_ONCE = 16
# Before transformers 5 a layer also takes a mask of its heads, and gives a
# tuple.
HEAD_MASK = [None] * (
    "layer_head_mask"
    in signature(modeling_whisper.WhisperEncoderLayer.forward).parameters
)


@remember_arguments
class WhisperEncoder(SpeechEncoder):
    """Semantic encoder: waveform to frames of 20 ms.

    Weights and layers are transformers' own (the decoder is not kept). Unlike
    there, every utterance is encoded at its true length, in any batch as
    alone: the log-mel floor is per utterance, padded frames are blanked before
    each convolution, and attention does not see them. Audio longer than the
    positions reach (30 s) is encoded in windows of that length, their frames
    joined.

    Arguments
    ---------
    source : str | None
        Folder or hub name of a Whisper model. None builds the encoder from
        the numbers below, with random weights.
    pretrained : bool
        False reads only the configuration in ``source`` and leaves the weights
        random: for a checkpoint that is loaded over them.
    save_path : str | None
        Download cache of ``source``; None is Hugging Face's own.
    num_layers, size, num_heads, ffn_size, n_mels : int | None
        Transformer layers, width, attention heads, feed-forward width and mel
        bands; needed without ``source`` and refused with it.
    max_positions : int | None
        Longest window, in frames of 20 ms; as the five numbers above.
    keep_layers : int | None
        Leave out the transformer layers above the first so many: for what is
        made of early layers alone, at a fraction of the time. None keeps all.
    freeze : bool
        No gradients, and eval mode even under ``train()``.
    pad_to_30s : bool
        Encode as Whisper was pre-trained, silence appended to full windows;
        the returned frames are still those of the speech only. The
        last layers of a frozen, untuned Whisper need it, the early ones do
        not; C2SER is trained without, and is faster so.
    dropout : float
        Dropout on embeddings, attention outputs and in the feed-forward
        (C2SER was trained with 0.1).
    spec_augment : torch.nn.Module | list[torch.nn.Module] | None
        ``(mel, lengths) -> mel``, applied in training mode; several in turn.
    gradient_checkpointing : bool
        Trade time for memory in training.

    Example
    -------
    >>> encoder = WhisperEncoder(
    ...     num_layers=1, size=16, num_heads=2, ffn_size=32
    ... )
    >>> features = encoder.extract(torch.randn(2, 16000))
    >>> features.frames.shape, features.lengths
    (torch.Size([2, 50, 16]), tensor([50, 50]))
    """

    def __init__(
        self,
        source=None,
        pretrained=True,
        save_path=None,
        num_layers=None,
        size=None,
        num_heads=None,
        ffn_size=None,
        n_mels=None,
        max_positions=None,
        keep_layers=None,
        freeze=False,
        pad_to_30s=False,
        dropout=0.0,
        spec_augment=None,
        gradient_checkpointing=False,
    ):
        super().__init__()
        numbers = {
            "encoder_layers": num_layers,
            "d_model": size,
            "encoder_attention_heads": num_heads,
            "encoder_ffn_dim": ffn_size,
            "num_mel_bins": n_mels,
            "max_source_positions": max_positions,
        }
        given = {k: v for k, v in numbers.items() if v is not None}
        if source is None:
            self.encoder = from_numbers(given)
        elif given:
            raise ValueError(
                "WhisperEncoder takes its sizes from the source "
                f"'{source}': leave out {sorted(given)}."
            )
        else:
            self.encoder = from_source(source, pretrained, save_path)
        self._keep_layers(keep_layers)
        # Transformers loads in the file's own type (large-v3: fp16) and lets
        # the sinusoidal positions be trained; neither is wanted.
        self.encoder.float()
        self.encoder.embed_positions.requires_grad_(False)
        self.encoder.set_attn_implementation("sdpa")
        use_tiles(self.encoder)
        for layer in self.encoder.layers:
            layer.dropout = layer.activation_dropout = dropout
        self.dropout = nn.Dropout(dropout)
        if gradient_checkpointing:
            self.encoder.gradient_checkpointing_enable({"use_reentrant": False})
        self.output_size = self.encoder.config.d_model
        self.num_layers = self.encoder.config.encoder_layers
        # two convolutions, the second of stride 2
        self.frame_rate = SAMPLE_RATE / (2 * HOP_LENGTH)
        self.pad_to_30s = pad_to_30s
        if isinstance(spec_augment, list | tuple):
            spec_augment = nn.ModuleList(spec_augment)
        self.spec_augment = spec_augment
        self.freeze = freeze
        if freeze:
            self.requires_grad_(False)

        bands = self.encoder.config.num_mel_bins
        if bands > N_FFT // 2 + 1:
            raise ValueError(
                f"A spectrum of Whisper has {N_FFT // 2 + 1} frequencies: "
                f"{bands} mel bands are too many."
            )
        extractor = WhisperFeatureExtractor(bands)
        filters = torch.as_tensor(extractor.mel_filters, dtype=torch.float32)
        self.register_buffer("mel_filters", filters, persistent=False)
        self.register_buffer(
            "window", torch.hann_window(N_FFT), persistent=False
        )
        self.train()

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """Frames of 20 ms, after the final LayerNorm, and on request the
        output of every transformer layer, before it."""
        with torch.set_grad_enabled(
            torch.is_grad_enabled() and not self.freeze
        ):
            counts = sample_counts(wavs, wav_lens)
            self._check_counts(counts)
            size = (wavs.shape[1] // HOP_LENGTH + 1) // 2
            if not self.pad_to_30s:
                mel, mel_lengths = self._log_mel(wavs, counts)
            else:
                wavs, full = self._pad_to_windows(wavs, counts)
                mel, mel_lengths = self._log_mel(wavs, full)
            mel = self._augment(mel, counts // HOP_LENGTH)
            encoded = self._encode(mel, mel_lengths, all_layers)
            # With pad_to_30s also the silence was encoded.
            lengths = on_both(lambda n: (n // HOP_LENGTH + 1) // 2, counts)
            size = longest(lengths, size)
            mask = frame_mask(lengths, size).unsqueeze(2)
            frames, *layers = [x[:, :size] * mask for x in encoded]
        return SpeechFeatures(
            frames, lengths, layers=layers if all_layers else None
        )

    def _keep_layers(self, number):
        """Drops the transformer layers above the first `number`."""
        layers = self.encoder.layers
        if number is None:
            return
        if not 0 < number <= len(layers):
            raise ValueError(
                f"keep_layers is {number}, but the encoder has {len(layers)} "
                f"layers: give 1 to {len(layers)}."
            )
        self.encoder.layers = layers[:number]
        self.encoder.config.encoder_layers = number

    def _encode(self, mel, lengths, all_layers=False):
        """[frames], with `all_layers` [frames, layer 0, layer 1, ...]."""
        window = 2 * self.encoder.config.max_source_positions
        if mel.shape[1] <= window:
            return self._encode_window(mel, lengths, all_layers)

        batch, time, bands = mel.shape
        count = -(-time // window)
        mel = pad(mel, (0, 0, 0, count * window - time))
        mel = mel.view(batch * count, window, bands)
        starts = torch.arange(count, device=mel.device) * window
        valid = (lengths.unsqueeze(1) - starts).clamp(0, window).view(-1)
        spoken = valid.nonzero().squeeze(1)
        groups = [
            self._encode_window(mel[index], valid[index], all_layers)
            for index in spoken.split(WINDOWS_AT_ONCE)
        ]
        results = []
        for parts in zip(*groups, strict=True):  # of the frames, of each layer
            windows = torch.cat(parts)  # [spoken windows, window / 2, C]
            joined = windows.new_zeros(batch * count, *windows.shape[1:])
            joined = joined.index_copy(0, spoken, windows)
            joined = joined.view(batch, -1, self.output_size)
            results.append(joined[:, : (time + 1) // 2])
        return results

    def save_config(self, folder):
        """Writes what ``WhisperEncoder(folder, pretrained=False)`` reads.

        Arguments
        ---------
        folder : str | Path
            Receives ``config.json`` and ``preprocessor_config.json``.
        """
        self.encoder.config.save_pretrained(folder)
        WhisperFeatureExtractor(
            self.encoder.config.num_mel_bins
        ).save_pretrained(folder)

    def save_pretrained(self, folder):
        """Writes a Whisper folder that ``WhisperEncoder(folder)`` reads.

        Arguments
        ---------
        folder : str | Path
            Receives the configuration and ``model.safetensors``.
        """
        self.save_config(folder)
        tensors = {
            f"encoder.{name}": tensor.detach().cpu().contiguous()
            for name, tensor in self.encoder.state_dict().items()
        }
        save_file(tensors, Path(folder) / "model.safetensors", {"format": "pt"})

    def _check_counts(self, counts):
        if not is_exporting() and on_host(counts).min() < HOP_LENGTH:
            counts = on_host(counts)
            item = int(counts.argmin())
            raise ValueError(
                f"Waveform {item} of the batch has {int(counts[item])} "
                f"samples, less than the {HOP_LENGTH} ({HOP_LENGTH} / "
                f"{SAMPLE_RATE} s) of one log-mel frame."
            )

    def _pad_to_windows(self, wavs, counts):
        """Silence up to a whole number of windows, per item."""
        window = 2 * self.encoder.config.max_source_positions * HOP_LENGTH
        full = on_both(lambda n: -(-n // window) * window, counts)
        wavs = wavs * frame_mask(counts, wavs.shape[1])
        missing = longest(full, window) - wavs.shape[1]
        return pad(wavs, (0, max(missing, 0))), full

    def _augment(self, mel, lengths):
        steps = self.spec_augment
        if not isinstance(steps, nn.ModuleList):
            steps = [] if steps is None else [steps]
        for augment in steps:
            mel = augment(mel, lengths)
        return mel

    def _log_mel(self, wavs, counts):
        # Each item is mirrored at its own two ends, as if it were alone.
        frames = on_both(lambda n: n // HOP_LENGTH, counts)
        total = longest(frames, wavs.shape[1] // HOP_LENGTH)
        span = (total - 1) * HOP_LENGTH + N_FFT
        position = torch.arange(span, device=wavs.device) - N_FFT // 2
        period = 2 * (counts.unsqueeze(1) - 1)
        mirrored = position.unsqueeze(0).remainder(period)
        mirrored = torch.minimum(mirrored, period - mirrored)
        wavs = wavs.float().gather(1, mirrored)
        # bf16 or fp16 would lose the floor: features are always float32.
        with torch.autocast(wavs.device.type, enabled=False):
            power = power_spectrum(
                wavs, N_FFT, HOP_LENGTH, self.window, center=False
            )
            mel = (power @ self.mel_filters).clamp(min=1e-10).log10()
        mask = frame_mask(frames, total).unsqueeze(2)
        loudest = mel.masked_fill(~mask, -torch.inf).amax((1, 2), keepdim=True)
        mel = (torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0
        return mel * mask, frames

    def _encode_window(self, mel, lengths, all_layers):
        """At most one window per item, else as `_encode`."""
        if not parts_pay(mel):
            return self._encode_layers(mel, lengths, all_layers)

        def encode(mel, lengths):
            frames, *layers = self._encode_layers(mel, lengths, all_layers)
            return frames, lengths, layers

        frames, _, layers = in_similar_parts(encode, mel, lengths)
        return [frames, *layers]

    def _encode_layers(self, mel, lengths, all_layers):
        """As `_encode_window`, all items at once."""
        encoder = self.encoder
        mask = frame_mask(lengths, mel.shape[1])
        x = (mel * mask.unsqueeze(2)).transpose(1, 2)
        x = gelu(encoder.conv1(x)) * mask.unsqueeze(1)
        x = gelu(encoder.conv2(x)).transpose(1, 2)
        x = self.dropout(x + encoder.embed_positions.weight[: x.shape[1]])

        lengths = on_both(lambda n: (n + 1) // 2, lengths)
        mask = frame_mask(lengths, x.shape[1])
        # Without padding, no mask: attention's faster kernels stay possible.
        full = valid_frames(lengths, x.shape[1]) is None
        keys = None if full else mask[:, None, None, :]
        layers = []
        for layer in encoder.layers:
            x = layer(x, keys, *HEAD_MASK)
            x = x[0] if isinstance(x, tuple) else x
            if all_layers:
                layers.append(x)
        mask = mask.unsqueeze(2)
        return [encoder.layer_norm(x) * mask, *[x * mask for x in layers]]
