"""Every lobe at a tiny size, of random weights, with something to read."""

from collections.abc import Callable

import torch
from c2ser_speed import write_llm
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    PreTrainedTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
)

from speechbrain_c2ser import lobes
from speechbrain_c2ser.lobes.speech_llm.merging import Speech, merge

# Bases of others, and what only draws at random.
NOT_BUILT = {"Head", "Mixup", "SpeechEncoder"}
LABELS = ["angry", "sad"]
SAMPLES, SIZE, WIDTH, WORDS = 16000, 16, 192, 12
PADDED = torch.tensor([20, 7, 13])  # frames of three utterances


def inputs() -> dict[str, torch.Tensor]:
    """What the lobes read, three utterances of different lengths.

    Returns
    -------
    dict of torch.Tensor
        By name; the padding is zero.
    """
    torch.manual_seed(0)
    lengths = PADDED
    mask = torch.arange(20) < lengths[:, None]
    wavs = 0.1 * torch.randn(3, SAMPLES)
    lens = torch.tensor([1.0, 0.4, 0.7])
    wavs *= torch.arange(SAMPLES) < (lens * SAMPLES)[:, None]
    return {
        "wavs": wavs,
        "lens": lens,
        "frames": torch.randn(3, 20, SIZE) * mask[..., None],
        "lengths": lengths,
        "vector": torch.randn(3, SIZE),
        "tokens": torch.randn(3, 10, WORDS),
        "two": torch.randn(3, 2, WORDS),
        "words": torch.randn(3, 6, WORDS),
        "counts": torch.tensor([6, 4, 1]),
        "meaning": torch.randn(3, WORDS),
        "speech": torch.randn(3, 9, WIDTH),
        "heard": torch.tensor([9, 4, 6]),
    }


def whisper(freeze=True):
    """A Whisper encoder of two layers."""
    return lobes.WhisperEncoder(
        num_layers=2, size=SIZE, num_heads=2, ffn_size=32, freeze=freeze
    )


def emotion2vec():
    """An Emotion2Vec-S of two layers."""
    convolutions = [[SIZE, 10, 5], *[[SIZE, 3, 2]] * 4, *[[SIZE, 2, 2]] * 2]
    return lobes.Emotion2VecS(
        conv_layers=convolutions,
        embed_dim=SIZE,
        num_heads=2,
        prenet_depth=1,
        depth=1,
        conv_pos_groups=2,
    )


def classifier():
    """Log-mel energies, a projection, an emotion."""
    return lobes.EmotionClassifier(
        lobes.LogMel(n_mels=SIZE),
        lobes.MultiHead({"emotion": lobes.CategoryHead(8, LABELS)}),
        lobes.MaskedMean(8),
        frame_network=lobes.FrameProjection(SIZE, 8),
    )


def self_supervised(folder):
    """A wav2vec 2.0 of one layer."""
    folder = folder / "wav2vec2"
    Wav2Vec2Config(
        hidden_size=SIZE,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=SIZE,
        conv_dim=[8] * 7,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
    ).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return lobes.SelfSupervisedEncoder(
        str(folder), "wav2vec2", pretrained=False
    )


def text_encoder(folder):
    """A BERT of one layer that knows two words."""
    folder = folder / "bert"
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "oh": 1, "no": 2}, "[PAD]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]"
    ).save_pretrained(folder)
    BertConfig(
        vocab_size=6,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    ).save_pretrained(folder)
    return lobes.TextEncoder(str(folder), 4, pretrained=False)


def language_model(folder):
    """A Qwen2 of three layers."""
    source = write_llm(folder / "llm", "tiny")
    return lobes.LanguageModel(source, pretrained=False)


def speech_llm(folder):
    """C2SER without an acoustic encoder."""
    connector = lobes.LinearConnector(SIZE, WIDTH)
    perception = lobes.ContextualPerception(whisper(), None, connector)
    return lobes.SpeechEmotionLLM(perception, language_model(folder))


def _decode(lm, x):
    prompts = lm.embed([[5, 6, 7], [5, 6], [8]])
    boundaries = torch.ones(2, WIDTH, device=x["speech"].device)
    return lm.decode(
        merge(prompts, Speech(x["speech"], x["heard"]), boundaries)
    )


def _answered(model, x):
    speech = model.listen(x["wavs"], x["lens"])
    answers = {name: [f"the speaker sounds {name}."] for name in LABELS}
    question = ["what is the emotion?"] * 3
    output = model.loss(speech, question, answers["sad"] * 3)
    scores = model.score_labels(speech, question, answers)
    return speech.embeddings, output.item_loss, scores


# What a lobe of each kind is called with.
_FRAMES = ("frames", "lengths")
_WAVS = ("wavs", "lens")
_BOTH = ("frames", "lengths", "words", "counts")
_WITH_TOKENS = ("frames", "lengths", "tokens")
_TEXTS = [{"transcript": "oh no"}, {"transcript": "oh"}, {"transcript": "no"}]
_STYLES = {"emotion": LABELS, "pitch": ["low", "high"]}
_SPEAKER = {"output_size": 8, "attention_size": 8, "se_size": 4}
_GRU = {"input_size": SIZE, "hidden_size": 12}
_QUERIES = {"num_queries": 5, "size": 8, "num_layers": 1}


def _named(name, *arguments, **options):
    return lambda folder: getattr(lobes, name)(*arguments, **options)


def _wrapped(name, *arguments, **options):
    return lambda folder: getattr(lobes, name)(
        whisper(freeze=False), *arguments, **options
    )


# Name -> (what builds it in a folder, what it reads: names, or a function of
# the lobe and of all inputs).
LOBES: dict[str, tuple[Callable, tuple | Callable]] = {
    "AnchorHead": (_named("AnchorHead", SIZE, LABELS), ("vector",)),
    "AttentiveStatistics": (_named("AttentiveStatistics", SIZE, 8), _FRAMES),
    "Block": (_named("Block", "torch.nn.GRU", _GRU, 12), _FRAMES),
    "CategoryHead": (_named("CategoryHead", SIZE, LABELS), ("vector",)),
    "ConnectorTransformer": (
        _named(
            "ConnectorTransformer",
            SIZE,
            24,
            utterance_size=WORDS,
            num_layers=1,
        ),
        _WITH_TOKENS,
    ),
    "ConcatFusion": (_named("ConcatFusion", SIZE, WORDS, 8), _BOTH),
    "ContextualPerception": (
        lambda folder: lobes.ContextualPerception(
            whisper(), emotion2vec(), lobes.LinearConnector(SIZE, 24, SIZE)
        ),
        _WAVS,
    ),
    "ContrastHead": (_named("ContrastHead", SIZE, LABELS), ("vector",)),
    "CrossAttentionFusion": (
        _named("CrossAttentionFusion", SIZE, WORDS, 8),
        _BOTH,
    ),
    "CTCHead": (
        _named("CTCHead", SIZE, LABELS),
        lambda head, x: head(None, x["frames"], x["lengths"]),
    ),
    "DimensionHead": (
        _named("DimensionHead", SIZE, pick=["arousal", "valence"]),
        ("vector",),
    ),
    "Downsampler": (_named("Downsampler", rate=4, size=SIZE), _FRAMES),
    "EncoderPair": (
        lambda folder: lobes.EncoderPair(
            lobes.LogMel(n_mels=SIZE), emotion2vec()
        ),
        _WAVS,
    ),
    "Emotion2VecPretraining": (
        lambda folder: lobes.Emotion2VecPretraining(
            emotion2vec(),
            average_top_k_layers=1,
            decoder_size=8,
            decoder_depth=1,
            decoder_groups=2,
        ),
        lambda model, x: model.make_targets(x["frames"], x["lengths"]),
    ),
    "Emotion2VecS": (lambda folder: emotion2vec(), _WAVS),
    "EmotionClassifier": (lambda folder: classifier(), _WAVS),
    "FrameHead": (
        _named("FrameHead", SIZE, LABELS, frame_rate=2),
        ("vector", *_FRAMES),
    ),
    "FrameProjection": (_named("FrameProjection", SIZE, 8), _FRAMES),
    "GateFusion": (_named("GateFusion", SIZE, WORDS, 8), _BOTH),
    "HierarchicalTransformer": (
        _named("HierarchicalTransformer", SIZE, 8, stretch=3, num_heads=2),
        _FRAMES,
    ),
    "LanguageModel": (language_model, _decode),
    "LastFrame": (_named("LastFrame", SIZE), _FRAMES),
    "LayerConcat": (
        _named("LayerConcat", SIZE, [0, 2]),
        lambda concat, x: concat([x["frames"]] * 3),
    ),
    "LayerMix": (
        _named("LayerMix", 2),
        lambda mix, x: mix([x["frames"], 2 * x["frames"]]),
    ),
    "LinearConnector": (
        _named("LinearConnector", SIZE, 24, WORDS),
        _WITH_TOKENS,
    ),
    "LoRAEncoder": (_wrapped("LoRAEncoder", rank=2), _WAVS),
    "LogMel": (_named("LogMel", n_mels=SIZE), _WAVS),
    "LogMelCNN": (_named("LogMelCNN", n_mels=SIZE), _FRAMES),
    "MaskedMean": (_named("MaskedMean", SIZE), _FRAMES),
    "MeanAndDeviation": (_named("MeanAndDeviation", SIZE), _FRAMES),
    "MixedLayers": (_wrapped("MixedLayers"), _WAVS),
    "MultiHead": (
        lambda folder: lobes.MultiHead(
            {"emotion": lobes.CategoryHead(SIZE, LABELS)}
        ),
        ("vector",),
    ),
    "MultiLabelHead": (_named("MultiLabelHead", SIZE, LABELS), ("vector",)),
    "PairedHead": (
        _named("PairedHead", SIZE, WORDS),
        ("vector", "meaning"),
    ),
    "PartlyTrained": (_wrapped("PartlyTrained", [r"layers\.1\."]), _WAVS),
    "RankContrastHead": (
        _named("RankContrastHead", SIZE, pick=["valence", "arousal"]),
        ("vector",),
    ),
    "QFormerConnector": (
        _named("QFormerConnector", SIZE, 24, utterance_size=WORDS, **_QUERIES),
        _WITH_TOKENS,
    ),
    "SelfSupervisedEncoder": (self_supervised, _WAVS),
    "SpeakerEncoder": (
        _named("SpeakerEncoder", [SIZE] * 4 + [48], **_SPEAKER),
        _WAVS,
    ),
    "SpecAugment": (
        _named("SpecAugment", 2, 50, 2, 10),
        lambda augment, x: augment(x["frames"], x["lengths"]),
    ),
    "SpecSub": (
        _named("SpecSub", 3, 30),
        lambda augment, x: augment(x["frames"], x["lengths"]),
    ),
    "SpeechEmotionLLM": (speech_llm, _answered),
    "SpeechFunctionals": (
        _named("SpeechFunctionals", n_mels=SIZE, n_cepstra=8),
        lambda encoder, x: encoder.extract(x["wavs"], x["lens"]).tokens,
    ),
    "TimeStretch": (_named("TimeStretch", 0.1), _FRAMES),
    "TrackHead": (
        _named("TrackHead", SIZE, ["valence"], frame_rate=2),
        ("vector", *_FRAMES),
    ),
    "TextEncoder": (
        text_encoder,
        lambda encoder, x: encoder.read(_TEXTS).frames,
    ),
    "TwoWayDilated": (
        _named("TwoWayDilated", SIZE, 8, num_blocks=3),
        _FRAMES,
    ),
    "UtteranceTokens": (
        _named("UtteranceTokens", WORDS),
        lambda pool, x: pool(None, None, x["tokens"]),
    ),
    "UtteranceStatistics": (
        _wrapped("UtteranceStatistics", layers=[0, 1]),
        lambda encoder, x: encoder.extract(x["wavs"], x["lens"]).tokens,
    ),
    "VectorNetwork": (_named("VectorNetwork", SIZE, [8, 4]), ("vector",)),
    "ViewsHead": (_named("ViewsHead", 10, 6), ("vector",)),
    "WhisperEncoder": (lambda folder: whisper(), _WAVS),
    "WordsAlone": (_named("WordsAlone"), _BOTH),
    "WordConnector": (
        _named("WordConnector", SIZE, 24, WORDS, num_vectors=2, words=_STYLES),
        (*_FRAMES, "two"),
    ),
}


def answer(name: str, lobe: torch.nn.Module, x: dict) -> list[torch.Tensor]:
    """What a lobe makes of the inputs.

    Arguments
    ---------
    name : str
        Of :data:`LOBES`.
    lobe : torch.nn.Module
        As it was built.
    x : dict of torch.Tensor
        Of :func:`inputs`, on the lobe's device.

    Returns
    -------
    list of torch.Tensor
        All that it gives, in order.
    """
    reads = LOBES[name][1]
    if callable(reads):
        return tensors_of(reads(lobe, x))
    return tensors_of(lobe(*(x[each] for each in reads)))


def tensors_of(output) -> list[torch.Tensor]:
    """The tensors of nested sequences and mappings, in order."""
    if isinstance(output, torch.Tensor):
        return [output]
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, tuple | list):
        return [tensor for each in output for tensor in tensors_of(each)]
    return []
