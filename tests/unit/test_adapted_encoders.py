"""LoRA inside encoders and encoders of which some layers are trained."""

import pytest
import torch
from tiny_encoders import build_encoder

from speechbrain_c2ser.lobes import LoRAEncoder, PartlyTrained, WhisperEncoder

WAVLM = ["intermediate_dense", "output_dense"]


def whisper(freeze=False):
    return WhisperEncoder(
        num_layers=2, size=16, num_heads=2, ffn_size=32, freeze=freeze
    )


def trained(module):
    return [n for n, p in module.named_parameters() if p.requires_grad]


@pytest.mark.parametrize(
    "kind, targets",
    [
        ("whisper", ["q_proj", "v_proj"]),
        ("wav2vec2_layer", ["q_proj"]),
        ("hubert_layer", ["k_proj"]),
        ("wavlm_layer", WAVLM),
    ],
)
def test_every_update_has_a_gradient(kind, targets, ssl_folder, clips):
    if kind == "whisper":
        encoder = whisper()
    else:
        encoder = build_encoder(kind, ssl_folder, None)
        encoder.requires_grad_(True)
        encoder.freeze = False
    adapted = LoRAEncoder(encoder, rank=2, targets=targets).train()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    adapted(*clips).square().sum().backward()
    for name, parameter in adapted.named_parameters():
        moved = parameter.grad is not None and parameter.grad.any()
        assert bool(moved) == ("lora_" in name), name


def test_lora_alone_as_in_a_batch_and_starts_from_the_encoder(clips, alone):
    encoder = whisper().eval()
    with torch.no_grad():
        before = encoder(*clips)
        adapted = LoRAEncoder(encoder, rank=2)
        adapted.eval()
        torch.testing.assert_close(adapted(*clips), before)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
        together = adapted.extract(*clips)
        assert not torch.allclose(together.frames, before, atol=1e-2)
        for i in range(3):
            single = adapted.extract(*alone(i))
            size = int(single.lengths)
            torch.testing.assert_close(
                together.frames[i, :size], single.frames[0], atol=1e-5, rtol=0
            )


def test_only_the_dropout_of_the_updates_follows_the_mode():
    adapted = LoRAEncoder(whisper()).train()
    modes = {n: m.training for n, m in adapted.encoder.named_modules()}
    assert {v for n, v in modes.items() if "lora_dropout" in n} == {True}
    assert {v for n, v in modes.items() if "lora_dropout" not in n} == {False}
    assert not any(m.training for m in adapted.eval().modules())


def test_layers_by_pattern():
    names = trained(PartlyTrained(whisper(), [r"layers\.1\.", "layer_norm"]))
    assert any("layers.1." in name for name in names)
    assert all("layers.1." in n or "layer_norm" in n for n in names)


def test_what_could_not_be_trained_is_refused(ssl_folder):
    with pytest.raises(ValueError, match="freeze: True.*build it with"):
        LoRAEncoder(whisper(freeze=True))
    with pytest.raises(ValueError, match="'layers.7' fits no parameter"):
        PartlyTrained(whisper(), ["layers.7"])
    with pytest.raises(ValueError, match="nowhere"):
        LoRAEncoder(whisper(), targets=["nowhere"])
    encoder = build_encoder("wavlm_layer", ssl_folder, None)
    encoder.freeze = False
    with pytest.raises(ValueError, match="of a wavlm is never used"):
        LoRAEncoder(encoder, targets=["q_proj"])
