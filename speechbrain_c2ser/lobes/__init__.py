"""Neural building blocks: no files, no data, no text templates.

Every block is here under a short name that stays, whatever file it is in:
yamls, saved folders and users name ``speechbrain_c2ser.lobes.WhisperEncoder``.
A file is imported when its block is first asked for, so that a small block
does not wait for the libraries of a large one.
"""

from importlib import import_module
from typing import Any

# Public name -> its file below this folder: the closed list of what the yaml
# of a model folder may build.
PUBLIC = {
    "AnchorHead": "heads.contrast",
    "AttentiveStatistics": "classifier.poolings",
    "Block": "block",
    "CategoryHead": "heads.category",
    "ConnectorTransformer": "speech_llm.connectors",
    "ConcatFusion": "classifier.fusion",
    "ContextualPerception": "speech_llm.perception",
    "ContrastHead": "heads.contrast",
    "CrossAttentionFusion": "classifier.fusion",
    "CTCHead": "heads.ctc",
    "DimensionHead": "heads.dimension",
    "Downsampler": "speech_llm.connectors",
    "EncoderPair": "encoders.pair",
    "Emotion2VecPretraining": "emotion2vec.pretraining",
    "Emotion2VecS": "emotion2vec.encoder",
    "EmotionClassifier": "classifier.emotion_classifier",
    "FrameHead": "heads.frame",
    "FrameProjection": "classifier.networks",
    "Head": "heads.base",
    "GateFusion": "classifier.fusion",
    "HierarchicalTransformer": "classifier.hierarchical",
    "LanguageModel": "speech_llm.language_model",
    "LastFrame": "classifier.poolings",
    "LayerConcat": "encoders.layer_concat",
    "LayerMix": "encoders.layer_mix",
    "LinearConnector": "speech_llm.connectors",
    "LoRAEncoder": "encoders.adapted",
    "LogMel": "encoders.log_mel",
    "LogMelCNN": "classifier.networks",
    "MaskedMean": "classifier.poolings",
    "MeanAndDeviation": "classifier.poolings",
    "MixedLayers": "encoders.layer_mix",
    "Mixup": "augmentation",
    "MultiHead": "heads.multi_head",
    "MultiLabelHead": "heads.multi_label",
    "PairedHead": "heads.contrast",
    "PartlyTrained": "encoders.adapted",
    "RankContrastHead": "heads.contrast",
    "QFormerConnector": "speech_llm.qformer",
    "SelfSupervisedEncoder": "encoders.self_supervised",
    "SpeakerEncoder": "encoders.speaker",
    "SpecAugment": "augmentation",
    "SpecSub": "augmentation",
    "SpeechEmotionLLM": "speech_llm.speech_emotion_llm",
    "SpeechEncoder": "encoders.features",
    "SpeechFunctionals": "encoders.functionals",
    "TimeStretch": "augmentation",
    "TrackHead": "heads.track",
    "TextEncoder": "encoders.text",
    "TwoWayDilated": "classifier.two_way",
    "UtteranceTokens": "classifier.poolings",
    "UtteranceStatistics": "encoders.statistics",
    "VectorNetwork": "classifier.networks",
    "ViewsHead": "heads.views",
    "WhisperEncoder": "encoders.whisper",
    "WordsAlone": "classifier.fusion",
    "WordConnector": "speech_llm.word_connector",
}

__all__ = sorted(PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"{__name__} has no {name}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
