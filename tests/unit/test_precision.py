"""fp32, bf16 and int8: what each changes, and where it is refused."""

import copy
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from test_long_recordings import Level
from torch import nn

from speechbrain_c2ser import processor
from speechbrain_c2ser.checkpoints.classifier_folder import save_classifier
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.cli import main, recordings
from speechbrain_c2ser.inference import int8, pretrained
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.inference.int8 import Int8Linear, to_int8
from speechbrain_c2ser.inference.packed_layers import can_pack
from speechbrain_c2ser.inference.pretrained import (
    PretrainedModel,
    check_precision,
)
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes import (
    CategoryHead,
    EmotionClassifier,
    MaskedMean,
    MultiHead,
)
from speechbrain_c2ser.lobes.lora import add_lora, fold_adapters

CPU = {"device": "cpu", "precision": "int8"}
SPACE = LabelSpace.from_name("emo_emilia")


def int8_layers(model):
    return [m for m in model.modules() if isinstance(m, Int8Linear)]


@pytest.mark.parametrize("laid_out", [True, False])
def test_rows_are_quantized_each_by_itself(laid_out, monkeypatch):
    if laid_out and not int8.can_lay_out():
        pytest.skip("needs a processor with int8 instructions")
    monkeypatch.setattr(int8, "can_lay_out", lambda: laid_out)
    monkeypatch.setattr(int8, "INPUTS", 4)  # of 7
    linear = nn.Linear(96, 40)
    x = torch.randn(3, 7, 96)
    x[1] *= 1000  # a loud neighbour
    x[2] = 0
    exact = linear(x)
    quantized = to_int8(nn.Sequential(linear))
    assert laid_out == (quantized[0].rows.layout is torch._mkldnn)
    batch = quantized(x)
    assert quantized(x[:, :0]).shape == (3, 0, 40)
    assert torch.equal(batch[:1], quantized(x[:1]))
    for one, two in zip(batch, exact, strict=True):
        assert (one - two).norm() <= 0.02 * two.norm()
    assert torch.equal(batch[2], linear.bias.expand(7, 40))
    assert quantized(x.bfloat16()).dtype is torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert quantized(x).dtype is torch.bfloat16
    by_weight = x[0] @ linear.weight.t() + linear.bias
    assert (by_weight - exact[0]).norm() < 0.02 * exact[0].norm()


def test_hooks_stay_and_what_reads_weights_is_left():
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = nn.Linear(8, 8)
            self.lm_head = nn.Linear(8, 8)
            self.lora_A = nn.ModuleDict({"default": nn.Linear(8, 2)})
            self.fused = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)

    parts, seen = Parts().eval(), []
    parts.plain.register_forward_pre_hook(lambda *_: seen.append(1))
    exact = parts.fused(torch.ones(1, 3, 8))
    assert int8_layers(to_int8(parts)) == [parts.plain]
    parts.plain(torch.ones(1, 8))
    assert seen == [1] and "plain.weight" not in dict(parts.named_parameters())
    assert torch.equal(parts.fused(torch.ones(1, 3, 8)), exact)


@pytest.mark.parametrize(
    "name", ["emotion2vec", "whisper", "wavlm_layer", "hubert_group"]
)
def test_encoders_in_int8(encoder_of, build_emotion2vec, clips, name):
    """WavLM multiplies by its layers' weights itself."""
    own = name == "emotion2vec"
    encoder = copy.deepcopy(build_emotion2vec() if own else encoder_of(name))
    wavs, lens = clips
    interface = PretrainedModel(encoder, {}, {"device": "cpu"})
    with torch.no_grad():
        exact = encoder.extract(wavs, lens)
        interface = PretrainedModel(encoder, {}, CPU)
        assert int8_layers(interface)
        batch = encoder.extract(wavs, lens)
        first = int(lens[0] * wavs.shape[1] + 0.5)
        alone = encoder.extract(wavs[:1, :first])
    length = int(alone.lengths[0])
    ours = alone.frames[0, :length]
    # As near as roundings that a last bit turns the other way leave it.
    apart = (batch.frames[0, :length] - ours).norm() / ours.norm()
    assert apart < 2e-3
    difference = (batch.frames - exact.frames).norm() / exact.frames.norm()
    assert 0 < difference < 0.1


def test_c2ser_in_int8(build_model, clips):
    model = build_model(lora={"rank": 2, "alpha": 4})
    hparams = {"label_space": SPACE, "languages": ["en"], "prompts": None}
    wavs, lens = clips
    exact = C2SER(
        build_model(lora={"rank": 2, "alpha": 4}), hparams, {"device": "cpu"}
    )
    expected = exact.classify_batch(wavs, lens)[0]
    c2ser = C2SER(model, hparams, CPU)
    assert len(int8_layers(c2ser)) > 10
    probabilities = c2ser.classify_batch(wavs, lens)[0]
    assert 0 < (probabilities - expected).abs().max() < 0.05
    assert c2ser.describe_batch(wavs[:1], lens[:1], max_new_tokens=4)


# Before tests pretend: weights are laid out in bf16 where this is so.
HAS_BF16 = can_pack(torch.bfloat16)
needs_bf16 = pytest.mark.skipif(
    not HAS_BF16, reason="needs a processor with bf16 instructions"
)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_lora_becomes_part_of_the_weights(build_model, clips, precision):
    hparams = {"label_space": SPACE, "languages": ["en"], "prompts": None}
    model = build_model(lora={"rank": 2, "alpha": 4})
    beside = copy.deepcopy(model)
    c2ser = C2SER(model, hparams, {"device": "cpu", "precision": precision})
    assert not [name for name in c2ser.state_dict() if "lora_" in name]
    ours = c2ser.classify_batch(*clips)[0]
    c2ser.mods["model"] = beside
    exact = c2ser.classify_batch(*clips)[0]
    without = copy.deepcopy(beside)
    for name, weight in without.named_parameters():
        if "lora_B" in name:
            weight.data.zero_()
    c2ser.mods["model"] = without
    assert (c2ser.classify_batch(*clips)[0] - exact).abs().max() > 1e-4
    apart = 1e-5 if precision == "fp32" else 0.05
    torch.testing.assert_close(ours, exact, atol=apart, rtol=0)


def test_lora_in_half_precision_and_beside_quantized_weights():
    class Quantized(nn.Linear):
        pass

    model = nn.ModuleDict({"one": nn.Linear(8, 8).bfloat16()})
    model["other"] = nn.Linear(8, 8)
    add_lora(model.requires_grad_(False), 2, 4, targets=["one", "other"])
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight)
    model["other"].base_layer.__class__ = Quantized
    half = model["one"]
    base = half.base_layer.weight.float()
    update = half.get_delta_weight("default").float()
    gone = []
    fold_adapters(model, gone.append)
    assert type(model["one"]) is nn.Linear
    (weight,) = gone  # not written to: it may be a file's
    assert torch.equal(weight.float(), base)
    torch.testing.assert_close(
        model["one"].weight.float(), base + update, atol=0, rtol=2**-7
    )
    assert hasattr(model["other"], "lora_A")


def test_where_a_precision_is_refused(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    for precision in ("bf16", "int8"):
        check_precision(precision, cpu)
        with pytest.raises(
            ValueError, match=f"no instructions for {precision}"
        ):
            check_precision(precision, cpu, quick=True)
    check_precision("fp32", cpu, quick=True)
    monkeypatch.setattr(
        torch.cpu,
        "get_capabilities",
        lambda: dict.fromkeys(sum(processor.INSTRUCTIONS.values(), ()), True),
        raising=False,
    )
    check_precision("int8", cpu, quick=True)
    with pytest.raises(ValueError, match="give the device cpu"):
        check_precision("int8", torch.device("cuda"))
    monkeypatch.setattr(pretrained, "_computes", lambda _: True)
    with pytest.raises(ValueError, match="give the device cpu"):
        PretrainedModel(nn.Linear(1, 1), {}, {**CPU, "device": "meta"})
    with pytest.raises(ValueError, match="int8, not 'int4'"):
        PretrainedModel(nn.Linear(1, 1), {}, {"precision": "int4"})


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """here(*words) -> (code, stdout, stderr); with a recording."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        torch.cpu,
        "get_capabilities",
        lambda: {"amx_bf16": True, "amx_int8": True},
        raising=False,
    )
    tone = 0.3 * np.sin(np.arange(8000) / 7)
    soundfile.write("a.wav", tone, 16000)

    def run(*words):
        code = main([*map(str, words)])
        return (code, *capsys.readouterr())

    return run


def test_classify_in_each_precision(here, build_emotion2vec, tmp_path):
    others = ["int8", *["bf16"] * HAS_BF16]
    heads = MultiHead({"emotion": CategoryHead(16, SPACE.names)})
    model = EmotionClassifier(build_emotion2vec(), heads, MaskedMean(16))
    save_classifier(model.eval(), tmp_path / "m", SPACE)
    rows = {}
    for precision in ("fp32", *others):
        words = ("classify", "a.wav", "--model", "m", "--json", "--device")
        code, out, err = here(*words, "cpu", "--precision", precision)
        assert (code, err) == (0, "")
        rows[precision] = np.array(
            list(json.load(io.StringIO(out))["probabilities"].values())
        )
        assert rows[precision].sum() == pytest.approx(1, abs=1e-3)
    for other in others:
        assert 0 < abs(rows[other] - rows["fp32"]).max() < 0.05


@pytest.mark.parametrize(
    "precision", [pytest.param("bf16", marks=needs_bf16), "int8"]
)
def test_features_are_written_as_fp32(
    here, build_emotion2vec, tmp_path, precision
):
    save_emotion2vec(build_emotion2vec(), tmp_path / "m")
    (tmp_path / "wav.scp").write_text("one a.wav\n")
    words = ("features", "wav.scp", "out", "--model", "m", "--device", "cpu")
    assert here(*words, "--precision", precision)[0] == 0
    assert np.load(tmp_path / "out" / "one.npy").dtype == np.float32


def test_a_precision_is_refused_first_and_known_to_resume(here, monkeypatch):
    loads = []

    def load(_, options):
        loads.append(options.precision)
        return Level(after=1)

    monkeypatch.setattr(recordings, "_load", load)
    shutil.copy("a.wav", "b.wav")
    words = ("classify", "a.wav", "b.wav", "--model", "m", "-o", "out")
    words = (*words, "--batch-size", 1, "--device", "cpu", "--precision")
    assert here(*words, "int8")[0] == 130 and loads == ["int8"]
    code, _, err = here(*words, "fp32", "--resume")
    assert code == 2 and "precision was int8, is fp32" in err
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    code, _, err = here(*words, "bf16")
    assert code == 2 and err.count("\n") == 1 and "leave the" in err
    assert loads == ["int8", "fp32"]


def resident(path):
    """Bytes of a file that count as this process's memory."""
    text = Path("/proc/self/smaps").read_text()
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.MULTILINE)
    ours = [part for part in parts if f"{path}\n" in part]
    return sum(1024 * int(re.search(r"Rss: +(\d+)", p)[1]) for p in ours)


@pytest.mark.skipif(
    not Path("/proc/self/smaps").exists(), reason="Linux counts pages there"
)
def test_a_file_of_weights_leaves_memory_when_they_are_quantized(tmp_path):
    path, shape = tmp_path / "w.safetensors", (1100, 4096)
    save_file({"0.weight": torch.randn(shape), "one": torch.ones(9)}, path)
    model = torch.nn.Sequential(torch.nn.Linear(4096, 1100, bias=False))
    with safe_open(path, "pt") as saved:
        model[0].weight.data = saved.get_tensor("0.weight")
    exact = model[0].weight.detach()
    held = exact.clone()
    if resident(path) < 0.9 * path.stat().st_size:
        pytest.skip("this safetensors reads files instead of mapping them")
    to_int8(model)
    assert resident(path) < 0.1 * path.stat().st_size
    # Scales are of rows, of each part; and whoever looks reads the file again.
    error = (model[0].weight - held).abs().amax(1)
    assert (error <= 0.51 * held.abs().amax(1) / 127).all()
    assert torch.equal(exact, held)
