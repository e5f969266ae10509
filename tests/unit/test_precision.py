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
from speechbrain_c2ser.inference import int8, packed_mlp
from speechbrain_c2ser.inference.bf16 import to_packed
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.inference.int8 import Int8Linear, to_int8
from speechbrain_c2ser.inference.packed_layers import (
    PackedLinear,
    PackedTimeConv,
    can_pack,
)
from speechbrain_c2ser.inference.packed_mlp import PackedMLP
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
    WordConnector,
)
from speechbrain_c2ser.lobes.emotion2vec.time_conv import TimeConv
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


def packed_layers(model):
    return [m for m in model.modules() if isinstance(m, PackedLinear)]


KINDS = ("weight", "bias")
# Before tests pretend: weights are laid out where this is so.
HAS_BF16 = can_pack()
needs_bf16 = pytest.mark.skipif(
    not HAS_BF16, reason="needs a processor with bf16 instructions"
)


@needs_bf16
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_packed_weights_change_no_bit(bias):
    linear = nn.Linear(96, 40, bias=bias)
    ours = to_packed(nn.Sequential(copy.deepcopy(linear)))
    for shape in ((3, 7, 96), (1, 96), (96,), (2, 0, 96)):
        x = torch.randn(shape)
        with torch.autocast("cpu", torch.bfloat16):
            exact = linear(x)
            assert torch.equal(ours(x), exact)
        assert ours(x).dtype == torch.float32
        assert torch.equal(ours(x), exact.float())
    assert torch.equal(ours[0].weight, linear.weight.bfloat16())


@needs_bf16
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (10, 5)])
@torch.no_grad()
def test_convolutions_are_products_over_windows(bias, kernel, stride):
    conv = TimeConv(24, 40, kernel, stride, bias=bias)
    padded = TimeConv(24, 40, 3, padding=1)
    ours = to_packed(nn.Sequential(copy.deepcopy(conv), padded))
    assert type(ours[0]) is PackedTimeConv and type(ours[1]) is TimeConv
    assert torch.equal(ours[0].weight, conv.weight.bfloat16())
    rounded = copy.deepcopy(conv).bfloat16().float()
    for x in (torch.randn(2, 31, 24), torch.randn(24, 2, 17).permute(1, 2, 0)):
        exact = rounded(x.bfloat16().float())
        y = ours[0](x)
        assert y.dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            assert ours[0](x).dtype == torch.bfloat16
        torch.testing.assert_close(y, exact, atol=1e-2, rtol=2**-8)


@needs_bf16
@torch.no_grad()
def test_what_is_not_laid_out_is_rounded_once():
    """Autocast would round these weights anew at each use."""

    class Tone(nn.Module):
        in_fp32 = ("exact",)

        def __init__(self):
            super().__init__()
            self.exact = nn.Conv1d(8, 8, 3)
            self.conv = nn.Conv1d(8, 8, 3)
            self.positions = TimeConv(8, 8, 3, padding=1, groups=2)
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x):
            y = self.conv(x.transpose(1, 2)).transpose(1, 2)
            return self.layer(self.positions(y))

    tone, x = Tone().eval(), torch.randn(2, 9, 8)
    with torch.autocast("cpu", torch.bfloat16):
        exact = tone(x)
        to_packed(tone)
        assert torch.equal(tone(x), exact)
    names = {
        name
        for name, weight in tone.named_parameters()
        if weight.dtype == torch.float32
    }
    norms = {f"layer.norm{n}.{part}" for n in "12" for part in KINDS}
    assert names == norms | {f"exact.{part}" for part in KINDS}


@needs_bf16
@torch.no_grad()
def test_a_packed_front_end_is_as_near_to_fp32_as_autocast(encoder_of, clips):
    encoder = copy.deepcopy(encoder_of("emotion2vec"))
    exact = encoder.extract(*clips).frames
    with torch.autocast("cpu", torch.bfloat16):
        rounded = encoder.extract(*clips).frames
        PretrainedModel(encoder, {}, {"device": "cpu", "precision": "bf16"})
        kinds = [type(conv) for conv in encoder.front_end.convs]
        packed = encoder.extract(*clips).frames
    assert set(kinds) == {PackedTimeConv}
    error, usual = ((x - exact).norm() for x in (packed, rounded))
    assert 0 < error < 1.2 * usual


@needs_bf16
@pytest.mark.parametrize("name", ["whisper", "wavlm_layer"])
@torch.no_grad()
def test_encoders_in_packed_bf16(encoder_of, clips, name):
    """WavLM multiplies by its layers' weights itself."""
    encoder = copy.deepcopy(encoder_of(name))
    with torch.autocast("cpu", torch.bfloat16):
        exact = encoder.extract(*clips).frames
        model = PretrainedModel(
            encoder, {}, {"device": "cpu", "precision": "bf16"}
        )
        assert packed_layers(model)
        assert torch.equal(encoder.extract(*clips).frames, exact)


@needs_bf16
def test_c2ser_in_packed_bf16(build_model, clips):
    options = {"device": "cpu", "precision": "bf16"}
    hparams = {"label_space": SPACE, "languages": ["en"], "prompts": None}
    model = build_model(lora={"rank": 2, "alpha": 4})
    plain = C2SER(copy.deepcopy(model), hparams, {"device": "cpu"})
    plain.dtype = torch.bfloat16
    c2ser = C2SER(model, hparams, options)
    assert len(packed_layers(c2ser)) > 10 and not packed_layers(plain)
    ours, exact = (each.classify_batch(*clips)[0] for each in (c2ser, plain))
    torch.testing.assert_close(ours, exact, atol=0.01, rtol=0)
    c2ser.mods.model.language_model.hold_in(torch.bfloat16)
    assert c2ser.describe_batch(*clips, max_new_tokens=4)


@needs_bf16
@torch.no_grad()
def test_what_runs_in_fp32_is_not_packed():
    words = {"emotion": ["sad", "happy"]}
    connector = WordConnector(16, 24, 12, num_vectors=2, words=words).eval()
    vectors = torch.randn(3, 2, 12)
    exact = connector.scores(vectors)["emotion"]
    PretrainedModel(connector, {}, {"device": "cpu", "precision": "bf16"})
    assert packed_layers(connector) == [connector.projection]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(connector.scores(vectors)["emotion"], exact)


class Gated(nn.Module):
    """LLaMA's MLP, or one that looks like it."""

    def __init__(self, extra=0):
        super().__init__()
        self.gate_proj = nn.Linear(24, 70)
        self.up_proj = nn.Linear(24, 70, bias=False)
        self.down_proj = nn.Linear(70, 24)
        self.act_fn = nn.SiLU()
        self.extra = extra

    def forward(self, x):
        hidden = self.act_fn(self.gate_proj(x)) * self.up_proj(x)
        return self.down_proj(hidden) + self.extra


def plain_mlp(activation=nn.GELU):
    layers = [nn.Linear(24, 70), activation(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(70, 24), nn.Dropout())


@needs_bf16
@pytest.mark.parametrize("build", [Gated, plain_mlp])
@torch.no_grad()
def test_hidden_channels_go_some_at_a_time(build, monkeypatch):
    monkeypatch.setattr(packed_mlp, "CHANNELS", 32)  # 32, 32 and 6
    exact = nn.ModuleDict({"mlp": build()}).eval()
    ours = to_packed(copy.deepcopy(exact))
    assert type(ours["mlp"]) is PackedMLP
    widths = [each[0].out_features for each in ours["mlp"].parts]
    assert widths == [32, 32, 6]
    for shape in ((2, 5, 24), (1, 24), (2, 0, 24)):
        x = torch.randn(shape)
        with torch.autocast("cpu", torch.bfloat16):
            assert ours["mlp"](x).dtype == torch.bfloat16
        y = ours["mlp"](x)
        assert y.dtype == torch.float32
        torch.testing.assert_close(y, exact["mlp"](x), atol=0.02, rtol=0.02)


@needs_bf16
def test_what_is_no_large_mlp_stays_as_it_is(monkeypatch):
    parts = nn.ModuleDict({"small": Gated()})
    assert type(to_packed(parts.eval())["small"]) is Gated
    monkeypatch.setattr(packed_mlp, "CHANNELS", 32)
    parts = nn.ModuleDict(
        {
            "more": Gated(extra=1),
            "other": plain_mlp(nn.Tanh),
            "inner": nn.ModuleDict({"exact": Gated(), "mlp": Gated()}),
        }
    ).eval()
    parts["inner"].in_fp32 = ("exact",)
    to_packed(parts)
    assert type(parts["more"]) is Gated and packed_layers(parts["more"])
    assert type(parts["other"]) is nn.Sequential
    assert type(parts["inner"]["exact"]) is Gated
    assert type(parts["inner"]["mlp"]) is PackedMLP


@needs_bf16
@torch.no_grad()
def test_encoders_and_language_models_have_such_mlps(
    build_model, clips, monkeypatch
):
    hparams = {"label_space": SPACE, "languages": ["en"], "prompts": None}
    model = build_model(lora={"rank": 2, "alpha": 4})
    plain = C2SER(copy.deepcopy(model), hparams, {"device": "cpu"})
    monkeypatch.setattr(packed_mlp, "CHANNELS", 24)
    c2ser = C2SER(model, hparams, {"device": "cpu", "precision": "bf16"})
    mlps = {
        name.split(".")[2]
        for name, each in c2ser.named_modules()
        if isinstance(each, PackedMLP)
    }
    assert mlps == {"language_model", "perception"}
    ours, exact = (each.classify_batch(*clips)[0] for each in (c2ser, plain))
    torch.testing.assert_close(ours, exact, atol=0.01, rtol=0)


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
