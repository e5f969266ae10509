"""Weights laid out for a processor: what comes out stays as it was."""

import copy
import pickle
import platform
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from speechbrain_c2ser.inference import packed_mlp, pretrained
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.inference.emotion2vec import Emotion2VecSEncoder
from speechbrain_c2ser.inference.packed import to_packed
from speechbrain_c2ser.inference.packed_layers import (
    PackedLinear,
    PackedTimeConv,
    can_pack,
)
from speechbrain_c2ser.inference.packed_mlp import PackedMLP
from speechbrain_c2ser.inference.pretrained import PretrainedModel
from speechbrain_c2ser.labelling import stages
from speechbrain_c2ser.labelling.stages import SpeechEmotion
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes import WordConnector
from speechbrain_c2ser.lobes.emotion2vec.time_conv import TimeConv
from speechbrain_c2ser.processor import is_amd

SPACE = LabelSpace.from_name("emo_emilia")


def packed_layers(model):
    return [m for m in model.modules() if isinstance(m, PackedLinear)]


KINDS = ("weight", "bias")
HALF, FULL = torch.bfloat16, torch.float32
needs_bf16 = pytest.mark.skipif(
    not can_pack(HALF), reason="needs a processor with bf16 instructions"
)
needs_packing = pytest.mark.skipif(
    not can_pack(FULL), reason="needs oneDNN's products in PyTorch"
)


@needs_bf16
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_packed_weights_change_no_bit(bias):
    linear = nn.Linear(96, 40, bias=bias)
    ours = to_packed(nn.Sequential(copy.deepcopy(linear)), HALF)
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
    ours = to_packed(nn.Sequential(copy.deepcopy(conv), padded), HALF)
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
        to_packed(tone, HALF)
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
    c2ser.mods.model.language_model.hold_for(torch.bfloat16)
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


@needs_packing
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_layers_laid_out_in_fp32(bias):
    layers = nn.ModuleList([nn.Linear(96, 40, bias=bias)])
    layers += [TimeConv(24, 40, 3, stride=2, bias=bias)]
    layers += [TimeConv(24, 40, 3, padding=1, bias=bias)]
    ours = to_packed(copy.deepcopy(layers), FULL)
    kinds = [PackedLinear, PackedTimeConv, TimeConv]
    assert [type(layer) for layer in ours] == kinds
    shapes = [(3, 7, 96), (96,), (2, 0, 96)], [(2, 31, 24)], [(2, 31, 24)]
    for layer, exact, few in zip(ours, layers, shapes, strict=True):
        assert torch.equal(layer.weight, exact.weight)
        for shape in few:
            x = torch.randn(shape)
            torch.testing.assert_close(layer(x), exact(x), atol=1e-5, rtol=0)
            if layer is not ours[2]:
                rounded = x.bfloat16()  # what comes in keeps its own type
                full = exact(rounded.float()).bfloat16()
                torch.testing.assert_close(layer(rounded), full)


@needs_packing
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_laid_out_layers_are_copied_stored_and_moved(bias):
    layers = [nn.Linear(24, 40, bias=bias)]
    layers += [TimeConv(40, 24, 3, stride=2, bias=bias)]
    exact = nn.Sequential(*layers)
    ours, x = to_packed(copy.deepcopy(exact), FULL), torch.randn(2, 9, 24)
    y = ours(x)
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert [type(each) for each in other] == [type(each) for each in ours]
        assert all(each.packed.is_mkldnn for each in other)
        assert torch.equal(other(x), y)
    weights = ours.state_dict()
    assert weights.keys() == exact.state_dict().keys()
    for name, weight in exact.state_dict().items():
        assert torch.equal(weights[name], weight)
    ours.to(torch.float64)
    assert [type(each) for each in ours] == [nn.Linear, TimeConv]
    torch.testing.assert_close(ours(x.double()).float(), y)
    assert ours.to("meta")(x.to("meta")).shape == y.shape


@needs_packing
@pytest.mark.parametrize("name", ["emotion2vec", "whisper", "wavlm_layer"])
@torch.no_grad()
def test_encoders_laid_out_in_fp32(encoder_of, clips, name, monkeypatch):
    monkeypatch.setattr(pretrained, "is_amd", lambda: True)
    model = copy.deepcopy(encoder_of(name))
    encoder = PretrainedModel(model, {}, {"device": "cpu"})
    exact = model.extract(*clips).frames
    encoder.lay_out(16)
    assert not packed_layers(encoder)
    encoder.lay_out()
    assert packed_layers(encoder)
    frames = model.extract(*clips).frames
    torch.testing.assert_close(frames, exact, atol=1e-5, rtol=0)


@needs_packing
def test_many_recordings_are_laid_out_for(
    build_model, write_wav, tmp_path, monkeypatch
):
    monkeypatch.setattr(pretrained, "FEW", 2)
    monkeypatch.setattr(pretrained, "is_amd", lambda: True)
    hparams = {"label_space": SPACE, "languages": ["en"], "prompts": None}
    files = [write_wav(tmp_path / f"{n}.wav", 1.2) for n in range(3)]
    model = build_model()
    c2ser, describing = (
        C2SER(copy.deepcopy(model), hparams, {"device": "cpu"}) for _ in "12"
    )
    few = c2ser.classify_files(files[:2], progress=False)
    assert not packed_layers(c2ser)
    many = c2ser.classify_files(files, progress=False)
    assert len(packed_layers(c2ser)) > 10
    for ours, exact in zip(many, few, strict=False):
        ours, exact = ours.result.probabilities, exact.result.probabilities
        torch.testing.assert_close(ours, exact, atol=1e-6, rtol=0)
    told = describing.describe_files(files, progress=False, max_new_tokens=2)
    assert all(each.error is None for each in told)
    assert packed_layers(describing)


@needs_packing
def test_features_of_many_recordings_too(
    build_emotion2vec, write_wav, tmp_path, monkeypatch
):
    monkeypatch.setattr(pretrained, "FEW", 1)
    monkeypatch.setattr(pretrained, "is_amd", lambda: True)
    encoder = Emotion2VecSEncoder(build_emotion2vec(), {}, {"device": "cpu"})
    files = [write_wav(tmp_path / f"{n}.wav", 1.2) for n in range(2)]
    for number in (1, 2):
        rows = list(encoder.encode_files(files[:number]))
        assert rows[0].error is None
        assert bool(packed_layers(encoder)) == (number == 2)


def test_what_labels_is_ready_at_once(monkeypatch):
    """So that a run which was killed goes on to the same labels."""
    model, ready = SimpleNamespace(), []
    model.lay_out = lambda: ready.append(model)
    monkeypatch.setattr(stages, "open_classifier", lambda *_, **__: model)
    assert SpeechEmotion("model").load() is model and ready == [model]


@pytest.mark.parametrize(
    ("options", "amd"),
    [({"precision": "fp16"}, True), ({"device": "meta"}, True), ({}, False)],
)
def test_where_nothing_is_laid_out_in_fp32(options, amd, monkeypatch):
    monkeypatch.setattr(pretrained, "is_amd", lambda: amd)
    monkeypatch.setattr(pretrained, "_computes", lambda _: True)  # "meta"
    model = PretrainedModel(nn.Linear(2, 2), {}, {"device": "cpu"} | options)
    model.lay_out()
    assert not packed_layers(model)


@pytest.mark.parametrize("maker", ["AuthenticAMD", "GenuineIntel"])
@pytest.mark.parametrize("linux", [True, False])
def test_whose_processor_this_is(maker, linux, monkeypatch):
    def read_text(path, **_):
        if linux:
            return f"vendor_id\t: {maker}\n"
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", read_text)
    told = f"Family 25, {'none' if linux else maker}"
    monkeypatch.setattr(platform, "processor", lambda: told)
    assert is_amd.__wrapped__() == (maker == "AuthenticAMD")


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
    ours = to_packed(copy.deepcopy(exact), HALF)
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
    assert type(to_packed(parts.eval(), HALF)["small"]) is Gated
    monkeypatch.setattr(packed_mlp, "CHANNELS", 32)
    parts = nn.ModuleDict(
        {
            "more": Gated(extra=1),
            "other": plain_mlp(nn.Tanh),
            "inner": nn.ModuleDict({"exact": Gated(), "mlp": Gated()}),
        }
    ).eval()
    parts["inner"].in_fp32 = ("exact",)
    to_packed(parts, HALF)
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
