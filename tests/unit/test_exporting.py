"""ONNX: the same answers as torch, or one line before any work."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from tiny_encoders import SSL

from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.inference import Emotion2VecSEncoder, exporting
from speechbrain_c2ser.inference import EmotionClassifier as Interface
from speechbrain_c2ser.lobes import (
    AttentiveStatistics,
    Block,
    CategoryHead,
    DimensionHead,
    Emotion2VecS,
    EmotionClassifier,
    FrameHead,
    LayerMix,
    LogMel,
    LogMelCNN,
    MaskedMean,
    MultiHead,
    TrackHead,
)
from speechbrain_c2ser.lobes.acoustics.power_spectrum import power_spectrum
from speechbrain_c2ser.lobes.emotion2vec.voice_spectrum import VoiceSpectrum

for package in exporting.NEEDED:
    pytest.importorskip(package, reason="the extra `onnx` is not installed")
import onnx  # noqa: E402

LABELS = ["angry", "sad"]


def save(folder, encoder, pooling=MaskedMean, heads=None, **parts):
    """A classifier's folder, with a temperature."""
    size = 6 if "frame_network" in parts else encoder.output_size
    pooling = pooling(size)
    heads = heads or {"emotion": CategoryHead(pooling.output_size, LABELS)}
    model = EmotionClassifier(encoder, MultiHead(heads), pooling, **parts)
    save_classifier(model, folder, temperature=1.7)
    return folder


def export(folder, path):
    assert main(["export", str(folder), str(path)]) == 0
    return exporting_session(path)


def exporting_session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )


def compare(session, function, clips, alone):
    """ONNX against torch: in a batch, and each item alone."""
    names = [output.name for output in session.get_outputs()]
    for wavs, wav_lens in [clips, *(alone(i) for i in range(3))]:
        if wav_lens is None:
            wav_lens = torch.ones(1)
        expected = function(wavs, wav_lens)
        answers = session.run(
            None, {"wavs": wavs.numpy(), "wav_lens": wav_lens.numpy()}
        )
        assert names == list(expected)
        for answer, truth in zip(answers, expected.values(), strict=True):
            np.testing.assert_allclose(answer, truth, atol=1e-4, rtol=0)


def compare_classifier(folder, session, clips, alone):
    interface = Interface.from_hparams(folder, run_opts={"device": "cpu"})
    compare(session, interface.predict_batch, clips, alone)


def test_classifier_with_all_kinds_of_heads(tmp_path, clips, alone, capsys):
    heads = {
        "emotion": CategoryHead(12, LABELS),
        "vad": DimensionHead(12),
        "when": FrameHead(6, LABELS, frame_rate=25.0),
        "tracks": TrackHead(6, ["valence"], frame_rate=25.0),
    }
    folder = save(
        tmp_path / "model",
        LogMel(n_mels=16),
        lambda size: AttentiveStatistics(size, 4),
        heads,
        frame_network=LogMelCNN(16, [2, 2], 6),
    )
    path = tmp_path / "deep" / "model.onnx"
    session = export(folder, path)
    out = capsys.readouterr().out
    assert "at 0.7, 1.9, 4.3 s" in out and re.search(r"when: \d\.\de-", out)
    compare_classifier(folder, session, clips, alone)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["labels"])["emotion"] == LABELS
    assert json.loads(facts["frame_rate"]) == {"when": 25.0, "tracks": 25.0}
    assert (facts["sample_rate"], facts["temperature"]) == ("16000", "1.7")
    assert facts["main"] == "emotion" and facts["least_samples"] == "400"
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]
    # ONNX Runtime 1.23, the last of Python 3.10, has none of float64
    nodes = onnx.load(path).graph.node
    assert not {"Cos", "Sin"} & {node.op_type for node in nodes}


def test_emotion2vec_features(tmp_path, build_emotion2vec, clips, alone):
    save_emotion2vec(build_emotion2vec(), tmp_path / "model")
    session = export(tmp_path / "model", tmp_path / "x.onnx")
    interface = Emotion2VecSEncoder.from_hparams(
        tmp_path / "model", run_opts={"device": "cpu"}
    )

    def features(wavs, wav_lens):
        frames, lengths = interface._encode(wavs, wav_lens, "frame")
        tokens = interface.encode_batch(wavs, wav_lens, "utterance")
        return {"frames": frames, "lengths": lengths, "tokens": tokens}

    compare(session, features, clips, alone)


def test_mixed_layers_of_whisper(tmp_path, encoder_of, clips, alone):
    encoder = encoder_of("whisper")
    folder = save(tmp_path / "model", encoder, layer_mix=LayerMix(2))
    session = export(folder, tmp_path / "x.onnx")
    compare_classifier(folder, session, clips, alone)
    facts = session.get_modelmeta().custom_metadata_map
    # its positions reach no further: 2 s in this tiny one
    assert facts["most_samples"] == "32000"


# --- the branches of an export, without the export ----------------------


@pytest.fixture
def as_exported(monkeypatch):
    """as_exported(): from now on blocks compute as while exported."""

    def switch():
        for name, module in list(sys.modules.items()):
            if name.startswith("speechbrain_c2ser.lobes"):
                if hasattr(module, "is_exporting"):
                    monkeypatch.setattr(module, "is_exporting", lambda: True)

    return switch


@pytest.mark.parametrize(
    "name",
    [
        "emotion2vec",
        "whisper",
        "whisper_30s",
        "log_mel",
        *(name for name in SSL if "layer" in name),
    ],
)
@torch.no_grad()
def test_encoders_say_the_same(name, encoder_of, clips, as_exported):
    encoder = encoder_of(name)
    expected = encoder.extract(*clips, all_layers=True)
    as_exported()
    features = encoder.extract(*clips, all_layers=True)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_voice_spectrum_says_the_same(clips, as_exported):
    encoder = Emotion2VecS(
        conv_layers=[(16, 3, 1)],
        spectrum={"bands": 20, "lags": 8},
        embed_dim=16,
        num_heads=2,
        prenet_depth=1,
        depth=1,
        conv_pos_groups=2,
    ).eval()
    spectrum = VoiceSpectrum()
    expected = encoder.extract(*clips), spectrum(clips[0])
    as_exported()
    features = encoder.extract(*clips), spectrum(clips[0])
    torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"center": False}])
def test_power_spectrum_by_convolution(options, as_exported):
    wavs, window = torch.randn(2, 3000), torch.hann_window(400)
    expected = power_spectrum(wavs, 512, 160, window, **options)
    as_exported()
    power = power_spectrum(wavs, 512, 160, window, **options)
    torch.testing.assert_close(power, expected, atol=1e-3, rtol=1e-4)


# --- what cannot be exported --------------------------------------------


def refuse(capsys, folder, path, *words):
    capsys.readouterr()
    assert main(["export", str(folder), str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in words:
        assert word in error, error
    assert not list(path.parent.glob("*.onnx*"))


def test_what_runs_item_by_item(tmp_path, encoder_of, capsys):
    block = Block("torch.nn.GRU", {"input_size": 16, "hidden_size": 6}, 6)
    gru = save(tmp_path / "gru", LogMel(n_mels=16), frame_network=block)
    refuse(capsys, gru, tmp_path / "x.onnx", "A Block cannot", "at a time")
    group = save(tmp_path / "group", encoder_of("hubert_group"))
    refuse(capsys, group, tmp_path / "x.onnx", "SelfSupervised", "layer")
    functionals = save(tmp_path / "functionals", encoder_of("functionals"))
    refuse(capsys, functionals, tmp_path / "x.onnx", "SpeechFunctionals")


def test_what_is_too_large(tmp_path, monkeypatch, capsys):
    folder = save(tmp_path / "model", LogMel(n_mels=16))
    monkeypatch.setattr(exporting, "LARGEST", 10)
    refuse(capsys, folder, tmp_path / "x.onnx", "2 GB")


def test_no_folder_and_no_packages(tmp_path, monkeypatch, capsys):
    refuse(capsys, tmp_path / "no", tmp_path / "x.onnx", "no folder")
    (tmp_path / "there").mkdir()
    assert main(["export", "x", str(tmp_path / "there")]) == 2
    assert "is a folder" in capsys.readouterr().err
    refuse(capsys, "x", tmp_path / "model.safetensors", "name it OUT.onnx")
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    refuse(capsys, tmp_path, tmp_path / "x.onnx", "speechbrain_c2ser[onnx]")


def test_a_block_that_fixes_the_batch(tmp_path):
    def take(model, wavs, wav_lens):
        return (torch.ones(1, len(wavs)) @ wavs,)

    model = exporting._Exported(torch.nn.Identity(), take)
    facts = {"least_samples": 400, "most_samples": None}
    exporting._write(model, ["x"], facts, tmp_path / "x")
    with pytest.raises(ValueError, match="cannot run 1 items of 400 samples"):
        exporting._compare(model, ["x"], facts, tmp_path / "x")


def test_a_file_that_differs_takes_no_place(tmp_path, monkeypatch, capsys):
    folder = save(tmp_path / "model", LogMel(n_mels=16))
    before = tmp_path / "x.onnx"
    before.write_text("earlier")
    monkeypatch.setattr(exporting, "LIMIT", -1.0)
    assert main(["export", str(folder), str(before)]) == 2
    assert "differs from torch" in capsys.readouterr().err
    assert before.read_text() == "earlier"
    assert sorted(p.name for p in tmp_path.glob("x.*")) == ["x.onnx"]


def test_a_runtime_that_cannot_open_the_file(tmp_path, monkeypatch):
    class Session:
        def __init__(self, *_, **__):
            raise RuntimeError("9 : NOT_IMPLEMENTED :\nCos(7)")

    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    with pytest.raises(ValueError, match="cannot open .*ED : Cos") as error:
        exporting._compare(None, [], {}, tmp_path / "x")
    assert "[onnx]" in str(error.value)


def test_the_example_of_the_documents(root, tmp_path, monkeypatch, write_wav):
    text = (root / "docs" / "serve.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?InferenceSession.*?)```", text, re.S)[1]
    export(save(tmp_path / "m", LogMel(n_mels=16)), tmp_path / "model.onnx")
    write_wav(tmp_path / "call.wav")
    monkeypatch.chdir(tmp_path)
    printed = []
    exec(code, {"print": lambda *words: printed.append(words)})
    (words,) = printed
    assert words[0] in LABELS and 0.5 <= words[1] <= 1
