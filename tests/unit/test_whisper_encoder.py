"""Whisper's encoder: alone as in a batch, windows, freezing, loading."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel
from waves import waveforms

from speechbrain_c2ser.lobes.augmentation import SpecAugment
from speechbrain_c2ser.lobes.encoders.whisper import WhisperEncoder
from speechbrain_c2ser.lobes.padding import sample_counts

SIZES = {"num_layers": 2, "size": 32, "num_heads": 4, "ffn_size": 64}


def encoder(**arguments):
    torch.manual_seed(0)
    return WhisperEncoder(**{**SIZES, **arguments})


def log_mel(model, wavs, wav_lens=None):
    """What the layers get, and the frames of each item."""
    return model._log_mel(wavs, sample_counts(wavs, wav_lens))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Whisper as Hugging Face saves it, whose windows last one second."""
    path = tmp_path_factory.mktemp("whisper")
    torch.manual_seed(3)
    config = WhisperConfig(
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=32,
        max_source_positions=50,
        vocab_size=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    WhisperModel(config).save_pretrained(path)
    WhisperFeatureExtractor(80).save_pretrained(path)
    return path


@pytest.mark.parametrize("pad_to_30s", [False, True])
@pytest.mark.parametrize(
    "others",
    [
        [(0.4, 1.0), (1.3, 1.0)],  # short beside long
        [(0.9, 0.002), (0.9, 1.0)],  # quiet beside loud
        [(2.31, 0.01), (0.33, 1.0)],  # three windows beside one
    ],
)
def test_an_item_is_the_same_alone_and_in_a_batch(others, pad_to_30s):
    model = encoder(max_positions=50, pad_to_30s=pad_to_30s).eval()
    wavs, wav_lens = waveforms(*others)
    frames, lengths, _, _ = model.extract(wavs, wav_lens)
    for i, (seconds, _) in enumerate(others):
        alone = model.extract(wavs[i : i + 1, : round(seconds * 16000)])
        assert alone.lengths == lengths[i]
        torch.testing.assert_close(
            frames[i, : lengths[i]], alone.frames[0], atol=1e-5, rtol=0
        )
        assert (frames[i, lengths[i] :] == 0).all()


def test_without_gradient_a_batch_is_encoded_in_parts_of_like_length():
    model = encoder(max_positions=50).eval()
    batches = []
    model.encoder.layers[0].register_forward_pre_hook(
        lambda _, inputs: batches.append(tuple(inputs[0].shape[:2]))
    )
    clips = waveforms((0.3, 1.0), (0.9, 1.0), (0.31, 0.1), (0.9, 0.1))
    exact = model.extract(*clips, all_layers=True)
    assert batches == [(4, 45)]
    with torch.no_grad():
        features = model.extract(*clips, all_layers=True)
    assert batches[1:] == [(2, 45), (2, 16)]
    torch.testing.assert_close(features.lengths, exact.lengths)
    for ours, theirs in zip(
        (features.frames, *features.layers),
        (exact.frames, *exact.layers),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_what_stands_behind_an_item_does_not_matter():
    model = encoder().eval()
    wavs, wav_lens = waveforms((1.0, 1.0), (0.51, 1.0))
    before = model(wavs, wav_lens)
    wavs[1, round(0.51 * 16000) :] = 7.0
    torch.testing.assert_close(model(wavs, wav_lens), before)


def test_log_mel_is_that_of_the_feature_extractor():
    wavs, _ = waveforms((0.7, 1.0))
    mel, lengths = log_mel(encoder(), wavs)
    extractor = WhisperFeatureExtractor(80)
    theirs = extractor(
        wavs[0].numpy(), 16000, padding=False, return_tensors="pt"
    ).input_features[0]
    assert lengths == 70
    torch.testing.assert_close(mel[0], theirs.T, atol=1e-5, rtol=0)


def test_padded_to_a_window_it_is_transformers_own_encoder(folder):
    model = WhisperEncoder(str(folder), pad_to_30s=True).eval()
    wavs, _ = waveforms((0.61, 1.0))
    extractor = WhisperFeatureExtractor(80, chunk_length=1)
    mel = extractor(wavs[0].numpy(), 16000, return_tensors="pt").input_features
    with torch.no_grad():
        theirs = WhisperModel.from_pretrained(folder).eval().encoder(mel)
    frames, lengths, _, _ = model.extract(wavs)
    assert lengths == 31
    torch.testing.assert_close(
        frames, theirs.last_hidden_state[:, :31], atol=1e-5, rtol=0
    )


def test_long_audio_is_encoded_in_windows():
    model = encoder(max_positions=50).eval()
    wavs, _ = waveforms((2.35, 1.0))
    mel, length = log_mel(model, wavs)
    frames, count, _, _ = model.extract(wavs)
    assert length == 235 and count == 118 and frames.shape[1] == 118
    for window, part in enumerate(mel.split(100, dim=1)):
        (alone,) = model._encode(part, torch.tensor([part.shape[1]]))
        torch.testing.assert_close(
            frames[:, window * 50 :][:, : alone.shape[1]],
            alone,
            atol=1e-5,
            rtol=0,
        )


def test_frozen_it_stays_in_eval_and_gets_no_gradient():
    model = encoder(freeze=True, dropout=0.5)
    model.train()
    assert not any(module.training for module in model.modules())
    wavs, _ = waveforms((0.5, 1.0))
    frames = model(wavs)
    assert not frames.requires_grad
    assert torch.equal(frames, model(wavs))


def test_gradients_flow_and_checkpointing_does_not_change_them():
    wavs, wav_lens = waveforms((0.5, 1.0), (0.3, 1.0))
    gradients = []
    for checkpointing in (False, True):
        model = encoder(gradient_checkpointing=checkpointing)
        model(wavs, wav_lens).square().mean().backward()
        missing = [
            name
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and parameter.grad is None
        ]
        assert not missing
        gradients.append(model.encoder.conv1.weight.grad)
    torch.testing.assert_close(*gradients)


def test_spec_augment_acts_in_training_only():
    model = encoder(spec_augment=SpecAugment(2, 50, 2, 10))
    wavs, _ = waveforms((1.0, 1.0))
    torch.manual_seed(5)
    first, second = model(wavs), model(wavs)
    assert not torch.equal(first, second)
    model.eval()
    torch.testing.assert_close(model(wavs), encoder().eval()(wavs))


def test_spec_augment_masks_each_item_within_its_length():
    augment = SpecAugment(2, 50, 0, 0)
    lengths = torch.tensor([400, 40])
    torch.manual_seed(0)
    masked = torch.zeros(2)
    for _ in range(50):
        mel = augment(torch.ones(2, 400, 80), lengths)
        masked += (mel[..., 0] == 0).sum(1)
        assert (mel[1, 40:] == 1).all()
        # Two bands of at most 50 frames, or of at most half the item.
        assert (mel[0, :, 0] == 0).sum() <= 100
    assert (masked > 0).all()


def test_a_folder_is_loaded_without_its_decoder(folder):
    model = WhisperEncoder(str(folder))
    stored = load_file(folder / "model.safetensors")
    state = model.state_dict()
    assert all(name.startswith("encoder.") for name in state)
    assert set(state) == {k for k in stored if k.startswith("encoder.")}
    for name, tensor in state.items():
        assert torch.equal(tensor, stored[name])


def test_a_configuration_alone_gives_random_weights_if_asked(folder, tmp_path):
    WhisperEncoder(str(folder), pretrained=False).save_config(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no weights"):
        WhisperEncoder(str(tmp_path))
    with torch.device("meta"):
        model = WhisperEncoder(str(tmp_path), pretrained=False)
    assert model.encoder.conv1.weight.is_meta
    assert model.output_size == 32


def test_any_width_is_loaded_again(tmp_path):
    encoder = WhisperEncoder(num_layers=1, size=16, num_heads=2, ffn_size=32)
    encoder.save_pretrained(tmp_path)
    again = WhisperEncoder(str(tmp_path))
    for name, weight in encoder.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_a_folder_that_lacks_weights_is_refused(folder, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    stored = load_file(folder / "model.safetensors")
    del stored["encoder.layers.1.fc1.weight"]
    save_file(stored, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="lacks.*layers.1.fc1.weight"):
        WhisperEncoder(str(tmp_path))


def test_weights_of_another_shape_are_named(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["encoder_ffn_dim"] = 48
    (tmp_path / "config.json").write_text(json.dumps(config))
    # transformers 4 names the keys, 5 tells the shapes too.
    expected = r"do not fit.*fc1\.bias'(: \(64,\) for \(48,\))?\.$"
    with pytest.raises(ValueError, match=expected):
        WhisperEncoder(str(tmp_path))


def test_a_hub_name_that_cannot_be_fetched(monkeypatch):
    def offline(*arguments, **options):
        raise OSError("no connection")

    monkeypatch.setattr(WhisperModel, "from_pretrained", offline)
    with pytest.raises(FileNotFoundError, match="a/b is no folder here and"):
        WhisperEncoder("a/b")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "needs either a source"),
        ({"source": "a/b", "size": 8}, ValueError, "leave out"),
        ({"source": "./no/such/folder"}, FileNotFoundError, "no Whisper"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        WhisperEncoder(**arguments)


def test_wrong_waveforms():
    model = encoder()
    with pytest.raises(ValueError, match="Waveform 1 .* 80 samples"):
        model(torch.randn(2, 1600), torch.tensor([1.0, 0.05]))
    with pytest.raises(ValueError, match="batch, time"):
        model(torch.randn(1, 1600, 8))
    with pytest.raises(ValueError, match="fractions"):
        model(torch.randn(2, 1600), torch.tensor([1600, 800]))


@pytest.mark.parametrize("samples", [160, 201, 16000])
def test_short_clips_and_silence_have_an_answer(samples):
    for wavs in (torch.zeros(1, samples), torch.randn(1, samples)):
        frames, lengths, _, _ = encoder().eval().extract(wavs)
        assert frames.isfinite().all()
        assert lengths == (samples // 160 + 1) // 2


@torch.no_grad()
def test_layers_left_out_change_none_below(folder, tmp_path):
    whole = WhisperEncoder(folder)
    early = WhisperEncoder(folder, keep_layers=1)
    assert early.num_layers == 1 < whole.num_layers
    wavs = torch.randn(1, 8000)
    expected = whole.extract(wavs, all_layers=True).layers[0]
    (layer,) = early.extract(wavs, all_layers=True).layers
    assert torch.equal(layer, expected)
    early.save_config(tmp_path)
    again = WhisperEncoder(str(tmp_path), pretrained=False, keep_layers=1)
    again.load_state_dict(early.state_dict())
    assert torch.equal(again(wavs), early(wavs))
    with pytest.raises(ValueError, match="keep_layers is 9"):
        WhisperEncoder(folder, keep_layers=9)


def test_features_stay_in_float32_under_bf16_autocast():
    model = encoder().eval()
    wavs, wav_lens = waveforms((0.5, 1.0), (0.3, 1.0))
    exact = model(wavs, wav_lens)
    mel, _ = log_mel(model, wavs, wav_lens)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(log_mel(model, wavs, wav_lens)[0], mel)
        frames = model(wavs, wav_lens)
    torch.testing.assert_close(frames.float(), exact, atol=0.1, rtol=0.1)
