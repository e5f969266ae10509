"""A speaker embedding as SpeechBrain computes it, from its published files."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from speechbrain.lobes.features import Fbank
from speechbrain.processing.features import InputNormalization
from tiny_encoders import tiny_speaker_encoder

from speechbrain_c2ser.checkpoints.converters.speaker import (
    load_speaker_encoder,
)
from speechbrain_c2ser.lobes import LogMel, SpeakerEncoder
from speechbrain_c2ser.lobes.encoders.pair import EncoderPair


@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
@torch.no_grad()
def test_as_speechbrain_embeds_a_speaker(kind, clips, alone, tmp_path):
    encoder = tiny_speaker_encoder()
    tensors = encoder.network.state_dict()
    path = tmp_path / f"embedding_model.{kind}"
    (torch.save if kind == "ckpt" else save_file)(tensors, path)
    ours = load_speaker_encoder(tmp_path)
    assert ours.constructor_arguments["scale"] == 8
    frames = ours.extract(*clips).frames
    # the modules of spkrec-ecapa-voxceleb's own yaml
    bands = Fbank(n_mels=80)
    mean = InputNormalization(norm_type="sentence", std_norm=False)
    for i in range(3):
        wavs, _ = alone(i)
        lens = torch.ones(1)
        expected = encoder.network(mean(bands(wavs), lens), lens)
        assert (frames[i] - expected[0]).abs().max() <= 1e-5
    assert not ours.train().network.training
    assert not any(p.requires_grad for p in ours.parameters())


def test_sizes_of_the_published_one():
    """Of spkrec-ecapa-voxceleb: 20.8 million weights."""
    with torch.device("meta"):
        network = SpeakerEncoder().network
    assert sum(p.numel() for p in network.parameters()) == 20_767_552


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="has neither"):
        load_speaker_encoder(tmp_path)
    torch.save({"weight": torch.ones(2)}, tmp_path / "embedding_model.ckpt")
    with pytest.raises(ValueError, match="no ECAPA-TDNN of SpeechBrain"):
        load_speaker_encoder(tmp_path)

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    with open(tmp_path / "embedding_model.ckpt", "wb") as file:
        pickle.dump({"a": Evil()}, file)
    with pytest.raises(ValueError):
        load_speaker_encoder(tmp_path)
    assert not (tmp_path / "made").exists()


def test_what_is_too_short_or_has_no_time_is_refused():
    encoder = tiny_speaker_encoder()
    with pytest.raises(ValueError, match="300 samples is too short"):
        encoder.extract(torch.rand(2, 900), torch.tensor([1.0, 1 / 3]))
    assert encoder.extract(torch.rand(1, 800)).frames.isfinite().all()
    with pytest.raises(ValueError, match="SpeakerEncoder has no frames in"):
        EncoderPair(LogMel(), encoder)
