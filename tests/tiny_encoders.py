"""Every speech encoder at a tiny size, of random weights."""

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    BertConfig,
    BertModel,
    HubertConfig,
    HubertModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5Model,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from speechbrain_c2ser.lobes import (
    EncoderPair,
    LogMel,
    SelfSupervisedEncoder,
    SpeakerEncoder,
    SpeechFunctionals,
    WhisperEncoder,
)

MODELS = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
}
SSL = [f"{kind}_{norm}" for kind in MODELS for norm in ("layer", "group")]
ENCODERS = [
    "emotion2vec",
    "whisper",
    "whisper_30s",
    "log_mel",
    "functionals",
    "speaker",
    "pair",
]


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
    if name == "speaker":
        return tiny_speaker_encoder()
    if name == "pair":
        return EncoderPair(LogMel(n_mels=16), build_emotion2vec())
    if name == "functionals":
        return SpeechFunctionals(n_mels=16, n_cepstra=8)
    kind = name.split("_")[0]
    return SelfSupervisedEncoder(ssl_folder(name), kind, freeze=True)


def tiny_speaker_encoder():
    """An ECAPA-TDNN of random weights, its batch norms not at their start."""
    torch.manual_seed(6)
    encoder = SpeakerEncoder(
        [16] * 4 + [48], output_size=8, attention_size=8, se_size=4
    )
    for name, value in encoder.state_dict().items():
        if "running_mean" in name:
            value.normal_(std=0.1)
        if "running_var" in name:
            value.uniform_(0.5, 2.0)
    return encoder.eval()


TEXTS = ["bert", "xlm_roberta", "t5"]


def save_text_encoder(kind, folder):
    """A Hugging Face folder of a tiny model of texts, one of TEXTS."""
    torch.manual_seed(5)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    words = {word: i for i, word in enumerate(special)}
    for word in "oh no how nice it is a sad day never mind".split():
        words[word] = len(words)
    tokenizer = Tokenizer(WordLevel(words, "<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="</s>",
    ).save_pretrained(folder)
    sizes = {
        "vocab_size": len(words),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "pad_token_id": 1,
    }
    if kind == "t5":
        model = T5Model(
            T5Config(
                vocab_size=len(words),
                d_model=16,
                d_kv=8,
                d_ff=16,
                num_layers=2,
                num_heads=2,
                pad_token_id=1,
                decoder_start_token_id=1,
            )
        )
    elif kind == "bert":
        model = BertModel(BertConfig(**sizes))
    else:
        model = XLMRobertaModel(XLMRobertaConfig(**sizes))
    model.save_pretrained(folder)
    return str(folder)
