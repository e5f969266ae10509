"""A tiny SpeechEmotionLLM and what to feed it."""

import shutil
from pathlib import Path

import pytest
import torch
from tiny_encoders import build_encoder
from transformers import AutoConfig, AutoModelForCausalLM

from speechbrain_c2ser.lobes.encoders.whisper import WhisperEncoder
from speechbrain_c2ser.lobes.speech_llm.connectors import ConnectorTransformer
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.perception import ContextualPerception
from speechbrain_c2ser.lobes.speech_llm.speech_emotion_llm import (
    SpeechEmotionLLM,
)


@pytest.fixture(scope="session")
def build_model(tiny_llm, tiny_whisper, build_emotion2vec):
    """build_model(lora=None, acoustic=True) -> SpeechEmotionLLM in eval.

    LoRA's second matrices start from noise, so that its parts show.
    """

    def build(lora=None, acoustic=True, **options):
        torch.manual_seed(2)
        perception = ContextualPerception(
            WhisperEncoder(str(tiny_whisper)),
            build_emotion2vec() if acoustic else None,
            ConnectorTransformer(
                32,
                32,
                utterance_size=16,
                num_layers=1,
                num_heads=2,
                ffn_size=32,
            ),
        )
        lm = LanguageModel(str(tiny_llm), lora=lora, freeze=lora is not None)
        with torch.no_grad():
            for name, parameter in lm.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
        return SpeechEmotionLLM(perception, lm, **options).eval()

    return build


@pytest.fixture(scope="session")
def model(build_model):
    """A tiny SpeechEmotionLLM; tests must not change it."""
    return build_model()


@pytest.fixture
def small_llm(tiny_llm, tmp_path):
    """small_llm(name, **numbers): a random language model of a family.

    With a window of 8 positions, where the family has one.
    """

    def build(name, **numbers):
        sizes = {
            "vocab_size": 400,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "sliding_window": 8,
            "max_position_embeddings": 64,
            "attn_implementation": "eager",
        }
        more = {
            "qwen2": {"use_sliding_window": True, "max_window_layers": 1},
            "gemma3_text": {"sliding_window_pattern": 2},
        }
        sizes |= more.get(name, {}) | numbers
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(name, **sizes)
        )
        model.save_pretrained(tmp_path)
        for file in Path(tiny_llm).glob("token*"):
            shutil.copy(file, tmp_path)
        return LanguageModel(tmp_path)

    return build


@pytest.fixture(scope="session")
def encoder_of(ssl_folder, build_emotion2vec):
    """encoder_of(name) -> a tiny frozen encoder; tests must not change it."""
    built = {}

    def build(name):
        if name not in built:
            built[name] = build_encoder(name, ssl_folder, build_emotion2vec)
        return built[name].eval()

    return build


@pytest.fixture
def clips():
    """A short quiet clip, a long loud one, one between: [3, T], lengths."""
    seconds, gains = (0.4, 1.3, 0.8), (0.003, 0.5, 0.05)
    counts = [int(16000 * s) for s in seconds]
    wavs = torch.zeros(3, max(counts))
    for row, count, gain in zip(wavs, counts, gains, strict=True):
        row[:count] = gain * torch.randn(count)
    return wavs, torch.tensor(counts) / max(counts)


@pytest.fixture
def alone(clips):
    """alone(i) -> (wavs [1, T_i], None): item i without its neighbours."""
    wavs, wav_lens = clips

    def item(index):
        count = round(wav_lens[index].item() * wavs.shape[1])
        return wavs[index : index + 1, :count], None

    return item
