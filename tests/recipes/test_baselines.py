"""The baselines on models of a few kilobytes: the code path of the real ones.

Every script runs through its command line, and `c2ser evaluate` reads what it
wrote.
"""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from device import DEVICE
from safetensors.torch import load_file
from scripts import scripts_in
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from transformers import (
    GenerationConfig,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.cli import main as c2ser
from speechbrain_c2ser.evaluation.comparing import read_result
from speechbrain_c2ser.evaluation.predictions import (
    read_predictions,
    write_predictions,
)
from speechbrain_c2ser.lobes import (
    CategoryHead,
    EmotionClassifier,
    MaskedMean,
    MultiHead,
)

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes" / "Baselines"
TEXTS = ["The speaker sounds angry, happy or sad."] * 4


@pytest.fixture(scope="module")
def recipe():
    """recipe(name) -> the script as a module."""
    with scripts_in(RECIPES) as imported:
        yield imported


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Tones for one emotion, noise for another, by three speakers."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for n in range(6):
        emotion = ("angry", "sad")[n % 2]
        time = np.arange(4000 + 1000 * (n // 2)) / 16000
        wave = 0.2 * np.sin(2 * np.pi * (150 + 5 * n) * time)
        if emotion == "sad":
            wave = 0.02 * np.random.default_rng(n).normal(size=len(time))
        soundfile.write(folder / f"{n}.wav", wave.astype(np.float32), 16000)
        rows.append(
            {
                "index": f"u{n}",
                "emotion": emotion,
                "wav": f"{n}.wav",
                "speaker": f"s{n // 2}",
                "language": "en",
                "text": "a take",
            }
        )
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluated(path, *options):
    """What `c2ser evaluate` makes of predictions by themselves."""
    assert c2ser(["evaluate", str(path), "--samples", "9", *options]) == 0
    return read_result(path.with_suffix("") / "result.json")


def common(corpus, path, *options):
    return [str(corpus), str(path), "--device", DEVICE, *map(str, options)]


@pytest.fixture(scope="module")
def whisper(make_tiny_models, tmp_path_factory):
    """A Whisper that writes text."""
    folder = tmp_path_factory.mktemp("whisper")
    make_tiny_models.train_tokenizer(TEXTS, 300).backend_tokenizer.model.save(
        str(folder)
    )
    tokenizer = WhisperTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt")
    )
    start = "<|startoftranscript|>"
    tokenizer.add_special_tokens({"additional_special_tokens": [start]})
    end, begin = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(start)
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            d_model=16,
            encoder_layers=1,
            encoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_layers=1,
            decoder_attention_heads=2,
            decoder_ffn_dim=16,
            vocab_size=len(tokenizer),
            max_source_positions=50,
            max_target_positions=32,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=begin,
            suppress_tokens=None,
            begin_suppress_tokens=None,
        )
    )
    model.generation_config = GenerationConfig(
        max_new_tokens=5,
        decoder_start_token_id=begin,
        eos_token_id=end,
        pad_token_id=end,
    )
    model.save_pretrained(folder)
    extractor = WhisperFeatureExtractor(chunk_length=1)
    WhisperProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


def test_cascade(recipe, corpus, whisper, tiny_llm, tmp_path):
    path = tmp_path / "cascade.jsonl"
    options = ("--whisper", whisper, "--llm", tiny_llm, "--batch-size", 4)
    recipe("cascade").main(common(corpus, path, *options))
    rows = read_predictions(path)
    assert [row["id"] for row in rows] == [f"u{n}" for n in range(6)]
    assert all(isinstance(row["transcript_asr"], str) for row in rows)
    assert all(set(row["probabilities"]) == {"angry", "sad"} for row in rows)
    result = evaluated(path)
    assert set(result["readings"]) == {"strict", "synonyms", "scored"}
    # Alone as in a batch.
    one = tmp_path / "one.jsonl"
    recipe("cascade").main(common(corpus, one, *options[:-1], 1))
    for row, own in zip(rows, read_predictions(one), strict=True):
        assert (row["text"], row["transcript_asr"]) == (
            own["text"],
            own["transcript_asr"],
        )
        assert row["probabilities"] == pytest.approx(
            own["probabilities"], abs=1e-5
        )


def test_cascade_on_the_manifests_own_transcripts(
    recipe, corpus, tiny_llm, tmp_path
):
    path = tmp_path / "oracle.jsonl"
    recipe("cascade").main(common(corpus, path, "--llm", tiny_llm))
    rows = read_predictions(path)
    assert {row["transcript_asr"] for row in rows} == {"a take"}
    # The same words give the same answer: it does not listen.
    assert len({json.dumps(row["probabilities"]) for row in rows}) == 1
    without = tmp_path / "without.jsonl"
    lines = map(json.loads, corpus.read_text().splitlines())
    rows = [
        {**row, "text": "", "wav": str(corpus.parent / row["wav"])}
        for row in lines
    ]
    without.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match="0.wav has no transcript"):
        recipe("cascade").main(common(without, path, "--llm", tiny_llm))


def test_what_a_model_cannot_hear_is_said(recipe, corpus, capsys):
    item = {"wav": str(corpus.parent / "0.wav")}
    heard = recipe("baseline").heard(item, seconds=0.1)
    assert len(heard) == 1600
    assert "0.wav: only the first 0.1 s of 0.2 s" in capsys.readouterr().out
    assert len(recipe("baseline").heard(item)) == 4000
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def qwen2_audio(make_tiny_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("qwen2_audio")
    special = ["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]
    special += ["<|im_start|>", "<|im_end|>"]
    tokenizer = make_tiny_models.train_tokenizer(TEXTS, 300)
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    config = Qwen2AudioConfig(
        audio_config={
            "d_model": 16,
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 16,
            "max_source_positions": 50,
        },
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    torch.manual_seed(0)
    model = Qwen2AudioForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    extractor = WhisperFeatureExtractor(feature_size=128, chunk_length=1)
    Qwen2AudioProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


def test_qwen2_audio(recipe, corpus, qwen2_audio, tmp_path):
    texts = []
    for batch_size in (4, 1):
        path = tmp_path / f"{batch_size}.jsonl"
        options = ("--model", qwen2_audio, "--batch-size", batch_size)
        recipe("qwen2_audio").main(common(corpus, path, *options))
        rows = read_predictions(path)
        assert len(rows) == 6 and "label" not in rows[0]
        texts.append([row["text"] for row in rows])
    assert texts[0] == texts[1]
    result = evaluated(path)
    assert result["main"] == "synonyms"
    assert set(result["readings"]) == {"strict", "synonyms"}


@pytest.fixture(scope="module")
def emotion2vec_plus(build_emotion2vec, tmp_path_factory):
    names = ["生气/angry", "其他/other", "难过/sad"]
    torch.manual_seed(3)
    heads = MultiHead({"emotion": CategoryHead(16, names)})
    model = EmotionClassifier(build_emotion2vec(), heads, MaskedMean(16))
    return save_classifier(model, tmp_path_factory.mktemp("e2v") / "plus")


def test_emotion2vec_plus(recipe, corpus, emotion2vec_plus, tmp_path):
    found = []
    for batch_size in (4, 1):
        path = tmp_path / f"{batch_size}.jsonl"
        options = ("--model", emotion2vec_plus, "--batch-size", batch_size)
        recipe("emotion2vec_plus").main(common(corpus, path, *options))
        found.append(read_predictions(path))
    for row, own in zip(*found, strict=True):
        assert row["label"] == own["label"]
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probabilities"] == pytest.approx(
            own["probabilities"], abs=1e-5
        )
    # "other" is outside of the corpus's labels: said, or counted.
    for row in found[0]:
        row["label"] = "其他/other"
    path.write_text("".join(json.dumps(r) + "\n" for r in found[0]))
    assert c2ser(["evaluate", str(path)]) == 2
    result = evaluated(path, "--outside-as-unparsed")
    assert result["readings"]["synonyms"]["unparsed"] == 6
    assert result["readings"]["scored"]["unparsed"] == 0


def test_emotion2vec_plus_from_a_published_file(recipe, corpus, tmp_path):
    """In FunASR's form: model.pt, config.yaml and tokens.txt."""
    stem = ROOT / "tests" / "parity" / "reference" / "emotion2vec_plus_9"
    config = json.loads(stem.with_suffix(".json").read_text())["config"]
    tensors = load_file(stem.with_suffix(".safetensors"))
    weights = {
        key.removeprefix("weights/"): tensor.float()
        for key, tensor in tensors.items()
        if key.startswith("weights/")
    }
    torch.save({"model": weights}, tmp_path / "model.pt")
    text = yaml.safe_dump({"model_conf": config["model_conf"]})
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "tokens.txt").write_text("\n".join(config["labels"]) + "\n")
    path = tmp_path / "out.jsonl"
    options = ("--model", tmp_path / "model.pt", "--labels", "emo_emilia")
    recipe("emotion2vec_plus").main(common(corpus, path, *options))
    rows = read_predictions(path)
    assert {row["label"] for row in rows} <= set(config["labels"])
    assert all(len(row["probabilities"]) == 7 for row in rows)
    result = evaluated(path, "--labels", "emo_emilia", "--outside-as-unparsed")
    assert result["readings"]["scored"]["unparsed"] == 0


def test_emotion2vec_without_a_classifier(
    recipe, corpus, build_emotion2vec, tmp_path
):
    folder = save_emotion2vec(build_emotion2vec(), tmp_path / "encoder")
    with pytest.raises(ValueError, match="without a classifier"):
        recipe("emotion2vec_plus").load(str(folder))


YAML = """
wav2vec2_hub: facebook/wav2vec2-base
pretrained_path: speechbrain/emotion-recognition-wav2vec2-IEMOCAP
wav2vec2: !new:speechbrain.integrations.huggingface.wav2vec2.Wav2Vec2
    source: !ref <wav2vec2_hub>
    output_norm: True
    freeze: True
    save_path: SAVE
avg_pool: !new:speechbrain.nnet.pooling.StatisticsPooling
    return_std: False
output_mlp: !new:speechbrain.nnet.linear.Linear
    input_size: 16
    n_neurons: 2
    bias: False
model: !new:torch.nn.ModuleList
    - [!ref <output_mlp>]
modules:
    wav2vec2: !ref <wav2vec2>
    output_mlp: !ref <output_mlp>
    avg_pool: !ref <avg_pool>
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        wav2vec2: !ref <wav2vec2>
        model: !ref <model>
        label_encoder: !ref <label_encoder>
    paths:
        wav2vec2: !ref <pretrained_path>/wav2vec2.ckpt
        model: !ref <pretrained_path>/model.ckpt
        label_encoder: !ref <pretrained_path>/label_encoder.txt
"""


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory):
    """The published folder's form: (model, wav2vec2-base)."""
    folder = tmp_path_factory.mktemp("wav2vec2")
    base, model = folder / "base", folder / "model"
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(5, 16),
        conv_kernel=(10, 16),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    torch.manual_seed(4)
    Wav2Vec2Model(config).save_pretrained(base)
    Wav2Vec2FeatureExtractor().save_pretrained(base)
    model.mkdir()
    lobe = Wav2Vec2(str(base), save_path=str(folder / "save"), freeze=True)
    tensors = {k: v + 0.1 for k, v in lobe.state_dict().items()}
    torch.save(tensors, model / "wav2vec2.ckpt")
    weight = torch.randn(2, 16)
    torch.save({"0.w.weight": weight}, model / "model.ckpt")
    (model / "label_encoder.txt").write_text(
        "'ang' => 0\n'sad' => 1\n================\n'starting_index' => 0\n"
    )
    text = YAML.replace("SAVE", str(folder / "save"))
    (model / "hyperparams.yaml").write_text(text)
    return model, base


def test_speechbrain_wav2vec2(recipe, corpus, wav2vec2, tmp_path):
    model, base = wav2vec2
    path = tmp_path / "wav2vec2.jsonl"
    options = ("--model", model, "--wav2vec2", base)
    script = recipe("speechbrain_wav2vec2")
    script.main(common(corpus, path, *options))
    rows = read_predictions(path)
    assert {row["label"] for row in rows} <= {"ang", "sad"}
    assert set(rows[0]["probabilities"]) == {"angry", "sad"}
    assert evaluated(path)["readings"]["scored"]["n"] == 6
    # What was loaded are the folder's weights, not the base's.
    loaded = script.load(str(model), str(base)).wav2vec2.state_dict()
    first = load_file(base / "model.safetensors")
    name = next(k for k in first if "feature_projection.projection.weight" in k)
    torch.testing.assert_close(loaded[f"model.{name}"], first[name] + 0.1)


@pytest.mark.parametrize(
    "line",
    [
        "a: !apply:os.mkdir [RAN]",
        "a: (!!python/object/apply:os.mkdir [RAN])",  # HyperPyYAML's tuple
        "pretrainer: !new:os.mkdir [RAN]",
    ],
)
def test_a_strangers_yaml_runs_nothing(recipe, wav2vec2, tmp_path, line):
    model, base = wav2vec2
    copy = shutil.copytree(model, tmp_path / "copy")
    ran = tmp_path / "ran"
    with open(copy / "hyperparams.yaml", "a") as file:
        file.write("\n" + line.replace("RAN", str(ran)) + "\n")
    script = recipe("speechbrain_wav2vec2")
    assert script.load(str(copy), str(base)).labels == ["ang", "sad"]
    assert not ran.exists()


def test_a_folder_of_something_else_is_told(recipe, wav2vec2, tmp_path):
    model, base = wav2vec2
    script = recipe("speechbrain_wav2vec2")
    copy = shutil.copytree(model, tmp_path / "copy")
    torch.save({}, copy / "model.ckpt")
    with pytest.raises(ValueError, match="none of this classifier: 0.w"):
        script.load(str(copy), str(base))
    (copy / "hyperparams.yaml").write_text("a: 1\n")
    with pytest.raises(ValueError, match="names no wav2vec2_hub"):
        script.load(str(copy))
    with pytest.raises(FileNotFoundError, match="no hyperparams.yaml"):
        script.load(str(tmp_path / "nowhere"))


def test_opensmile(recipe, corpus, tmp_path, capsys):
    pytest.importorskip("opensmile", reason="needs the extra 'baselines'")
    script = recipe("opensmile_svm")
    path = tmp_path / "egemaps.jsonl"
    argv = [str(corpus), str(path), "--features", "egemaps"]
    script.main([*argv, "--leave-one-speaker-out"])
    assert "0 of 6 unparsed" in capsys.readouterr().out
    rows = read_predictions(path)
    assert {row["split"] for row in rows} == {"s0", "s1", "s2"}
    # Five of six; chance is three.
    assert evaluated(path)["readings"]["synonyms"]["wa"] > 0.6
    with np.load(tmp_path / "eGeMAPSv02.npz") as cache:
        assert cache["vectors"].shape == (6, 88)
    folds = tmp_path / "folds.json"
    ids = [f"u{n}" for n in range(6)]
    text = json.dumps([{"training": ids[:4], "eval": ids[4:]}])
    folds.write_text(text, encoding="utf-16")
    script.main([*argv, "--folds", str(folds)])
    out = capsys.readouterr().out
    assert "4 utterances are tested in no fold" in out and "0 of 2" in out
    folds.write_text(json.dumps([{"train": ids, "test": ids[4:]}]))
    with pytest.raises(ValueError, match="tests u4, u5, which it trains on"):
        script.main([*argv, "--folds", str(folds)])
    folds.write_text(json.dumps([{"train": ["x"], "test": ids}]))
    with pytest.raises(ValueError, match="names x, not listed"):
        script.main([*argv, "--folds", str(folds)])
    with pytest.raises(ValueError, match="u0.* is in training and test"):
        script.main([*argv, "--test", str(corpus)])


def test_leave_one_speaker_out_makes_one_table(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script = importlib.import_module("leave_one_speaker_out")
    corpus = tmp_path / "list.jsonl"
    corpus.write_text(
        "".join(
            json.dumps({"id": str(i), "emotion": true, "wav": "a.wav"})
            + "\n"
            + "\n"
            for i, true in enumerate("saa")
        )
    )
    argv = ["x", str(corpus), str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", argv)
    said = {"egemaps": "sss", "compare": "ssa", "network": "saa"}

    def run_steps(steps):
        (step,) = steps
        rows = [
            {"id": str(i), "emotion": true, "label": label}
            for i, (true, label) in enumerate(
                zip("saa", said[step.name], strict=True)
            )
        ]
        write_predictions(rows, step.folder / "predictions.jsonl")

    monkeypatch.setattr(script, "run_steps", run_steps)
    monkeypatch.setattr(script, "find_spec", lambda name: None)
    script.main()
    assert "No openSMILE rows: it is not installed" in capsys.readouterr().out
    (alone,) = (tmp_path / "out/table.md").read_text().splitlines()[2:]
    assert "from scratch" in alone and "1.000" in alone
    monkeypatch.setattr(script, "find_spec", lambda name: name)
    script.main()
    lines = (tmp_path / "out/table.md").read_text().splitlines()[2:]
    assert [line.split("|")[2].split()[0] for line in lines] == [
        "0.500",
        "0.750",
        "1.000",
    ]
    assert "3 seeds averaged | 1.000" in capsys.readouterr().out
