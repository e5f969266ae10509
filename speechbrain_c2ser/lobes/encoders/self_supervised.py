"""SpeechBrain's wav2vec 2.0, HuBERT and WavLM, each utterance on its own."""

import math
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HUB_CACHE
from speechbrain.integrations.huggingface.hubert import HuBERT
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.integrations.huggingface.wavlm import WavLM
from torch.nn import functional as F
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.host import on_host
from speechbrain_c2ser.lobes.attention_in_tiles import use_tiles
from speechbrain_c2ser.lobes.encoders.features import (
    SpeechEncoder,
    SpeechFeatures,
)
from speechbrain_c2ser.lobes.exporting import is_exporting
from speechbrain_c2ser.lobes.padding import (
    frame_mask,
    normalize,
    sample_counts,
    valid_frames,
)
from speechbrain_c2ser.lobes.pretrained_files import check_pretrained
from speechbrain_c2ser.lobes.pretrained_sizes import reading_weights

KINDS = {"wav2vec2": Wav2Vec2, "hubert": HuBERT, "wavlm": WavLM}


@remember_arguments
class SelfSupervisedEncoder(SpeechEncoder):
    """Frames of a wav2vec 2.0, HuBERT or WavLM checkpoint.

    SpeechBrain's lobe loads and holds the model. Three of its habits make an
    utterance depend on its batch, and are avoided here: it normalizes the
    waveform over the padded length (here: over the item's own samples), its
    ``output_norm`` normalizes over time and padding (here: over the channels
    of each frame), and it masks padding also in models that never saw a mask.

    Models with ``feat_extract_norm: group`` (wav2vec 2.0 base, HuBERT base,
    WavLM base) normalize their first convolution over all time steps, padding
    included, so no mask can make a batch equal to single items. Here such a
    model encodes the items of a batch one by one: exact, and slower.

    Arguments
    ---------
    source : str
        Folder or hub name.
    kind : str
        "wav2vec2", "hubert" or "wavlm".
    pretrained : bool
        False reads only the configuration in ``source`` and leaves the
        weights random: for a checkpoint that is loaded over them.
    save_path : str | None
        Download cache; None is Hugging Face's own.
    freeze : bool
        No gradients, and eval mode even under ``train()``.
    freeze_feature_extractor : bool
        Only the convolutions are frozen.
    output_norm : bool
        Layer-norm (without parameters) of every frame.

    Raises
    ------
    ValueError
        For an unknown kind, or a source of another kind.

    Example
    -------
    >>> from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor
    >>> folder = getfixture("tmpdir")
    >>> _ = Wav2Vec2Config(
    ...     hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    ...     intermediate_size=16, conv_dim=[8] * 7,
    ...     num_conv_pos_embedding_groups=2, feat_extract_norm="layer",
    ... ).save_pretrained(folder)
    >>> _ = Wav2Vec2FeatureExtractor().save_pretrained(folder)
    >>> encoder = SelfSupervisedEncoder(
    ...     str(folder), "wav2vec2", pretrained=False
    ... ).eval()
    >>> features = encoder.extract(torch.rand(2, 8000), torch.tensor([1, 0.5]))
    >>> features.frames.shape, features.lengths
    (torch.Size([2, 24, 16]), tensor([24, 12]))
    """

    def __init__(
        self,
        source: str,
        kind: str = "wav2vec2",
        pretrained: bool = True,
        save_path: str | None = None,
        freeze: bool = False,
        freeze_feature_extractor: bool = False,
        output_norm: bool = False,
    ):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(
                f"There is no kind {kind!r} (known: {', '.join(KINDS)})."
            )
        save_path = save_path or str(HF_HUB_CACHE)
        check_pretrained(source, save_path)
        config = AutoConfig.from_pretrained(
            source, cache_dir=save_path, trust_remote_code=False
        )
        if config.model_type != kind:
            raise ValueError(
                f"'{source}' is a {config.model_type} model: set kind to it."
            )
        if pretrained:
            with reading_weights(source):
                lobe = KINDS[kind](source, save_path)
            self.model, self.extractor = lobe.model, lobe.feature_extractor
        else:
            self.model = AutoModel.from_config(config, trust_remote_code=False)
            self.extractor = AutoFeatureExtractor.from_pretrained(
                source, cache_dir=save_path, trust_remote_code=False
            )
        # Transformers loads in the file's own type, which may be fp16.
        use_tiles(self.model.float())
        self.normalize_wav = bool(self.extractor.do_normalize)
        self.model.config.apply_spec_augment = False
        self.output_norm = output_norm
        self.output_size = config.hidden_size
        self.num_layers = config.num_hidden_layers + 1
        self.frame_rate = 16000 / math.prod(config.conv_stride)
        self.one_by_one = config.feat_extract_norm == "group"
        if self.one_by_one:
            self.not_exported = (
                "its first convolution normalizes over all time steps, padding "
                "included, so that it encodes item by item; take a checkpoint "
                "with feat_extract_norm: layer (the large ones)"
            )
        self.freeze = freeze
        if freeze_feature_extractor:
            self.model.feature_extractor.requires_grad_(False)
        if freeze:
            self.requires_grad_(False)
        self.train()

    def extract(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        all_layers: bool = False,
    ) -> SpeechFeatures:
        """Frames of 20 ms and, on request, the input of the first
        transformer layer and the output of each, before the final LayerNorm
        of models that have one."""
        with torch.set_grad_enabled(
            torch.is_grad_enabled() and not self.freeze
        ):
            counts = sample_counts(wavs, wav_lens)
            lengths = self.model._get_feat_extract_output_lengths(counts)
            if not is_exporting() and lengths.min() < 1:
                item = int(lengths.argmin())
                raise ValueError(
                    f"Waveform {item} of the batch has {int(counts[item])} "
                    "samples, too few for one frame of this encoder (400)."
                )
            if self.normalize_wav:
                wavs = normalize(wavs, counts)
            else:
                wavs = wavs * frame_mask(counts, wavs.shape[1])
            encoded = self._encode(wavs, counts, lengths, all_layers)
            if self.output_norm:
                encoded = [F.layer_norm(x, x.shape[-1:]) for x in encoded]
            mask = frame_mask(lengths, encoded[0].shape[1]).unsqueeze(-1)
            frames, *layers = [x * mask for x in encoded]
        return SpeechFeatures(
            frames, lengths, layers=layers if all_layers else None
        )

    def save_config(self, folder: str | Path) -> None:
        """Writes what ``SelfSupervisedEncoder(..., pretrained=False)`` reads.

        Arguments
        ---------
        folder : str | Path
            Receives ``config.json`` and ``preprocessor_config.json``.
        """
        self.model.config.save_pretrained(folder)
        self.extractor.save_pretrained(folder)

    def _encode(self, wavs, counts, lengths, all_layers):
        """[frames], with `all_layers` [frames, layer 0, ...]; each [B, T, C]"""
        if not self.one_by_one:
            mask = valid_frames(counts, wavs.shape[1])
            if mask is not None:
                mask = mask.squeeze(2)
            return self._run(wavs, mask, all_layers)
        items = [
            self._run(wavs[i : i + 1, :count], None, all_layers)
            for i, count in enumerate(on_host(counts).tolist())
        ]
        size = int(on_host(lengths).max())
        return [
            torch.cat([F.pad(x, (0, 0, 0, size - x.shape[1])) for x in layer])
            for layer in zip(*items, strict=True)
        ]

    def _run(self, wavs, mask, all_layers):
        if not all_layers:
            return [self.model(wavs, attention_mask=mask).last_hidden_state]
        raw = []
        # Transformers 4 gives the last layer behind the final norm, 5 before.
        hook = self.model.encoder.layers[-1].register_forward_hook(
            lambda layer, inputs, output: raw.append(output)
        )
        try:
            out = self.model(
                wavs, attention_mask=mask, output_hidden_states=True
            )
        finally:
            hook.remove()
        *layers, last = out.hidden_states
        if raw:  # else the layer was dropped out
            last = raw[0][0] if isinstance(raw[0], tuple) else raw[0]
        return [out.last_hidden_state, *layers, last]
