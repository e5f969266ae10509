"""Every speech encoder at a tiny size, of random weights."""

import torch
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from speechbrain_c2ser.lobes import (
    LogMel,
    SelfSupervisedEncoder,
    SpeechFunctionals,
    WhisperEncoder,
)

MODELS = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
}
SSL = [f"{kind}_{norm}" for kind in MODELS for norm in ("layer", "group")]
ENCODERS = ["emotion2vec", "whisper", "whisper_30s", "log_mel", "functionals"]


def save_self_supervised(name, folder, dtype=torch.float32):
    """A Hugging Face folder of, say, "wavlm_group"."""
    torch.manual_seed(3)
    kind, norm = name.split("_")
    config_class, model_class = MODELS[kind]
    config = config_class(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=[8] * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
    )
    model_class(config).to(dtype).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=norm == "layer").save_pretrained(
        folder
    )
    return str(folder)


def build_encoder(name, ssl_folder, build_emotion2vec):
    """A frozen encoder by its name in ENCODERS or SSL."""
    torch.manual_seed(4)
    if name == "emotion2vec":
        return build_emotion2vec()
    if name.startswith("whisper"):
        return WhisperEncoder(
            num_layers=2,
            size=16,
            num_heads=2,
            ffn_size=16,
            max_positions=100,
            freeze=True,
            pad_to_30s="30s" in name,
        )
    if name == "log_mel":
        return LogMel(n_mels=16)
    if name == "functionals":
        return SpeechFunctionals(n_mels=16, n_cepstra=8)
    kind = name.split("_")[0]
    return SelfSupervisedEncoder(ssl_folder(name), kind, freeze=True)
