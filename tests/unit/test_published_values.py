"""The published settings, once more and by hand, beside the yamls.

A value that is changed by accident looks like any other. "Code" is the
authors' code and config.yaml, "paper" is arXiv 2502.18186.
"""

import inspect
import io
import math
import re
from pathlib import Path

import pytest
from hyperpyyaml import resolve_references
from ruamel.yaml import YAML

from speechbrain_c2ser.chain_of_thought.templates import PROMPTS
from speechbrain_c2ser.checkpoints.converters.c2ser import convert_c2ser
from speechbrain_c2ser.labels import LabelSpace

HPARAMS = Path(__file__).parents[2] / "hparams"
SEVEN = "angry happy fearful surprised neutral sad disgusted".split()
NINE = (
    "angry disgusted fearful happy neutral other sad surprised unknown".split()
)

# Of a yaml with its blocks: dotted path -> value; "path!" is the class there.
PUBLISHED = {
    "c2ser/full.yaml": {
        # Emo-Emilia's labels (its data; paper, section 4)
        "label_names": SEVEN,
        "label_space.names": SEVEN,
        "languages": ["en", "zh"],
        # optimization, code: config.yaml
        "opt_class!": "AdamW",
        "peak_lr": 5e-5,
        "opt_class.lr": 5e-5,
        "opt_class.betas": [0.9, 0.99],
        "opt_class.eps": 1e-6,
        "opt_class.weight_decay": 0.01,
        "max_grad_norm": 5.0,
        "grad_accumulation_factor": 4,
        "lr_schedule!": "WarmupInverseSquareRoot",
        "lr_schedule.peak": 5e-5,
        "lr_schedule.warmup_updates": 8000,
        "lr_factors.semantic_encoder": 1.0,
        "precision": "bf16",
        # code: 3900, 2900 mel frames and 200 tokens of config.yaml
        "batching.batch_seconds": 39.0,
        "limits.mel_frames": 2900,
        "limits.answer_tokens": 200,
        # Whisper-medium, not padded to 30 s, trained; code
        "semantic_encoder!": "WhisperEncoder",
        "semantic_encoder.source": "openai/whisper-medium",
        "semantic_encoder.pretrained": True,
        "semantic_encoder.keep_layers": None,
        "semantic_encoder.freeze": False,
        "semantic_encoder.pad_to_30s": False,
        "semantic_encoder.dropout": 0.1,
        # spec_aug and spec_sub of config.yaml, in this order; code
        "semantic_encoder.spec_augment.0!": "SpecAugment",
        "semantic_encoder.spec_augment.0.time_masks": 2,
        "semantic_encoder.spec_augment.0.time_width": 50,
        "semantic_encoder.spec_augment.0.frequency_masks": 2,
        "semantic_encoder.spec_augment.0.frequency_width": 10,
        "semantic_encoder.spec_augment.1!": "SpecSub",
        "semantic_encoder.spec_augment.1.pieces": 3,
        "semantic_encoder.spec_augment.1.width": 30,
        "acoustic_encoder.freeze": True,
        # Qwen2-7B with LoRA, not on up_proj; code
        "language_model!": "LanguageModel",
        "language_model.source": "Qwen/Qwen2-7B",
        "language_model.pretrained": True,
        "language_model.lora.rank": 8,
        "language_model.lora.alpha": 32,
        "language_model.lora.dropout": 0.1,
        "language_model.lora.targets": [
            *("q_proj", "k_proj", "v_proj", "o_proj"),
            *("gate_proj", "down_proj"),
        ],
        "language_model.freeze": True,
        "language_model.dtype": "bfloat16",
        "language_model.quantize": None,
        # downsampler and connector; code
        "connector!": "ConnectorTransformer",
        "connector.downsample_rate": 4,
        "connector.left_padding": 2,
        "connector.num_layers": 4,
        "connector.num_heads": 4,
        "connector.ffn_size": 2560,
        "connector.dropout": 0.1,
        # the tokens (paper, section 3), not the first frames (code)
        "perception.utterance_source": "tokens",
        "model.lower_case": True,
        # what is drawn changes linearly (paper, section 3); the cross-entropy
        # alone
        "curriculum.schedule": "linear",
        "terms": {},
    },
    "emotion2vec_s/base.yaml": {
        # the nine classes of emotion2vec+; code: its head
        "emotions": NINE,
        # paper, section 3.1: optimization and the losses' weights
        "peak_rate": 7.5e-5,
        "opt_class.lr": 7.5e-5,
        "lr_schedule!": "WarmupCosine",
        "lr_schedule.peak": 7.5e-5,
        "lr_schedule.warmup": 0.05,
        "grad_accumulation_factor": 2,
        "weights.utterance": 0.1,
        "weights.category": 100.0,
        # our choice, where the paper is silent
        "weights.frame": 1.0,
        "weights.head": 1.0,
        "pair_loss.temperature": 0.1,
        "model.utterance_target": "layer_norm",
        "model.pooling": "tokens",
        "model.num_classes": None,
        # emotion2vec's trained configuration; code
        "optimizer_step_limit": 100_000,
        # fairseq's "adam" is decoupled; data2vec 2.0 spares these.
        "opt_class!": "AdamW",
        "opt_class.weight_decay": 0.01,
        "undecayed": ["alibi_scale"],
        "max_grad_norm": math.inf,  # its yaml has none
        "model.decoder_dropout": 0.1,
        "opt_class.betas": [0.9, 0.98],
        "opt_class.eps": 1e-6,
        "clone_batch": 8,
        "augmentation": None,
        "model.average_top_k_layers": 8,
        "model.clone_batch": 8,
        "model.mask_prob": 0.5,
        "model.mask_prob_adjust": 0.05,
        "model.mask_length": 5,
        "model.mask_noise_std": 0.01,
        "model.decoder_size": 384,
        "model.decoder_depth": 4,
        "model.decoder_kernel": 7,
        "model.decoder_groups": 16,
        "model.ema_decay": 0.999,
        "model.ema_end_decay": 0.99999,
        "model.ema_anneal": 0.2,  # 20,000 of 100,000 updates
        "model.head_dropout": 0.5,
        # the encoder; code
        "encoder!": "Emotion2VecS",
        "encoder.conv_layers": [
            [512, 10, 5],
            *[[512, 3, 2]] * 4,
            *[[512, 2, 2]] * 2,
        ],
        "encoder.spectrum": None,
        "encoder.embed_dim": 768,
        "encoder.num_heads": 12,
        "encoder.prenet_depth": 4,
        "encoder.depth": 8,
        "encoder.mlp_ratio": 4.0,
        "encoder.layer_norm_first": False,
        "encoder.norm_eps": 1e-5,
        "encoder.norm_affine": True,
        "encoder.conv_pos_width": 95,
        "encoder.conv_pos_depth": 5,
        "encoder.conv_pos_groups": 16,
        "encoder.conv_pos_pre_norm": False,
        "encoder.num_utterance_tokens": 10,
        "encoder.alibi": True,
        "encoder.alibi_heads": None,
        "encoder.alibi_scale": 1.0,
        "encoder.alibi_learned_scale": True,
        "encoder.alibi_scale_per_head": True,
        "encoder.alibi_scale_per_layer": False,
        "encoder.normalize": True,
        "encoder.dropout": 0.1,
        "encoder.attention_dropout": 0.1,
        "encoder.activation_dropout": 0.0,
        "encoder.post_mlp_dropout": 0.1,
        "encoder.prenet_dropout": 0.1,
        "encoder.input_dropout": 0.0,
        "encoder.prenet_layerdrop": 0.05,
        "encoder.layerdrop": 0.05,
        "encoder.end_of_block_targets": False,
        "encoder.freeze": False,
    },
    # EmoBox's probe (Ma et al., 2024)
    "emotion_recognition/emobox.yaml": {
        "freeze": True,
        "encoder.freeze": True,
        "layer_mix": None,
        "frame_network!": "FrameProjection",
        "frame_network.output_size": 256,
        "pooling!": "MaskedMean",
        "heads.heads.emotion!": "CategoryHead",
        "opt_class!": "Adam",
        "opt_class.lr": 0.001,
        "number_of_epochs": 100,
        "epoch_counter.limit": 100,
        "batch_size": 32,
        "hidden_size": 256,
        "select_by": "max valid_ua",
        "sampling": "random",
        "weigh_classes": False,
        "augmentation": None,
        "mixup": None,
    },
}


@pytest.fixture(scope="module")
def read():
    """read(name) -> a yaml with its blocks and references, nothing built."""
    texts = {}

    def resolved(name):
        if name not in texts:
            text = (HPARAMS / name).read_text(encoding="utf-8")
            names = re.findall(r"^(\w+): *!PLACEHOLDER", text, re.MULTILINE)
            stream = io.StringIO(text)
            stream.name = str(HPARAMS / name)  # includes are relative to it
            texts[name] = YAML().load(
                resolve_references(stream, dict.fromkeys(names, "given"))
            )
        return texts[name]

    return resolved


@pytest.mark.parametrize(
    "name, path",
    [(name, path) for name in PUBLISHED for path in PUBLISHED[name]],
)
def test_a_setting_is_the_published_one(read, name, path):
    value = read(name)
    for key in path.removesuffix("!").split("."):
        value = value[int(key) if key.isdigit() else key]
    if path.endswith("!"):
        value = value.tag.value.rpartition(".")[2]
    assert value == PUBLISHED[name][path]
    assert isinstance(value, bool) == isinstance(PUBLISHED[name][path], bool)


@pytest.mark.parametrize(
    "name, block, ours",
    [
        (
            "c2ser/full.yaml",
            "semantic_encoder",  # its sizes are those of the source
            "save_path num_layers size num_heads ffn_size n_mels "
            "max_positions gradient_checkpointing",
        ),
        ("c2ser/full.yaml", "language_model", "gradient_checkpointing device"),
        ("emotion2vec_s/base.yaml", "encoder", "pad_short max_padding"),
    ],
)
def test_no_setting_of_a_block_is_missing_here(read, name, block, ours):
    """But for those that say how and where it runs."""
    listed = {
        path.split(".")[1].rstrip("!")
        for path in PUBLISHED[name]
        if path.startswith(f"{block}.")
    }
    assert set(read(name)[block]) == listed | set(ours.split())


def test_emobox_grid_is_the_published_one():
    """Rate and width are chosen on the validation set."""
    text = (HPARAMS / "emotion_recognition/emobox.yaml").read_text()
    assert "--grid lr=0.001,0.0001 --grid hidden_size=128,256" in text


def test_prompts_are_the_published_ones():
    """Paper, section 3, and code: a sentence for each stage."""
    assert PROMPTS["en"]["explicit"][0] == (
        "Please describe the speaking style, content, and the speaker's "
        "emotional state of this speech."
    )
    assert PROMPTS["en"]["implicit"][0] == (
        "Please consider the speaking style, content, and directly provide "
        "the speaker's emotion in this speech."
    )


def test_labels_are_the_published_ones_in_order():
    """Emo-Emilia's seven; emotion2vec+'s nine, in the order of its head."""
    assert list(LabelSpace.from_name("emo_emilia").names) == SEVEN
    assert list(LabelSpace.from_name("emotion2vec").names) == NINE


def test_the_published_checkpoint_is_converted_as_it_was_trained():
    """Code: its config.yaml, its extraction script and Qwen2's tokenizer."""
    parameters = inspect.signature(convert_c2ser).parameters
    defaults = {name: x.default for name, x in parameters.items()}
    published = {
        "utterance_source": "first_frames",
        "normalize": False,
        "connector_heads": 4,
        "lora_alpha": 32,
        "dtype": "bfloat16",
        "end_token_id": 151643,  # <|endoftext|>
    }
    assert {name: defaults[name] for name in published} == published
