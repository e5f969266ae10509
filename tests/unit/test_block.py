"""Blocks of torch and SpeechBrain: alone as in a batch, saved, closed list."""

import sys

import pytest
import torch

from speechbrain_c2ser.checkpoints.classifier_folder import (
    load_classifier,
    save_classifier,
)
from speechbrain_c2ser.inference import EmotionClassifier as Interface
from speechbrain_c2ser.lobes import (
    Block,
    CategoryHead,
    EmotionClassifier,
    LogMel,
    MaskedMean,
    MultiHead,
)

MODELS = "speechbrain.lobes.models."
GRU = {"input_size": 16, "hidden_size": 6}
ECAPA = {
    "input_size": 16,
    "lin_neurons": 12,
    "channels": [8, 8, 8, 8, 24],
    "attention_channels": 8,
    "res2net_scale": 2,
    "se_channels": 8,
}
XVECTOR = {
    "in_channels": 16,
    "tdnn_blocks": 2,
    "tdnn_channels": [8, 8],
    "tdnn_kernel_sizes": [5, 1],
    "tdnn_dilations": [1, 1],
    "lin_neurons": 12,
}
TDNN = {"in_channels": 16, "out_channels": 12, "kernel_size": 5, "dilation": 2}
CONV = {"in_channels": 16, "out_channels": 12, "kernel_size": 3, "stride": 2}
BLOCKS = {
    "speechbrain_gru": (
        "speechbrain.nnet.RNN.GRU",
        GRU | {"bidirectional": True},
    ),
    "torch_gru": ("torch.nn.GRU", GRU | {"bidirectional": True}),
    "torch_lstm": ("torch.nn.LSTM", GRU | {"hidden_size": 12}),
    "ligru": ("speechbrain.nnet.RNN.LiGRU", GRU | {"bidirectional": True}),
    "ecapa": (MODELS + "ECAPA_TDNN.ECAPA_TDNN", ECAPA),
    "xvector": (MODELS + "Xvector.Xvector", XVECTOR),
    "tdnn": (MODELS + "ECAPA_TDNN.TDNNBlock", TDNN),
    "conv": ("torch.nn.Conv1d", CONV),
    "linear": ("torch.nn.Linear", {"in_features": 16, "out_features": 12}),
}


def block(name):
    of, arguments = BLOCKS[name]
    torch.manual_seed(6)
    if name == "ligru":
        arguments = arguments | {"input_shape": [2, 10, 16]}
        arguments.pop("input_size")
    return Block(of, arguments, 12, channels_first=name in ("tdnn", "conv"))


def model(name):
    """A classifier whose frame network is the block."""
    return EmotionClassifier(
        LogMel(n_mels=16),
        MultiHead({"emotion": CategoryHead(12, ["angry", "sad"])}),
        MaskedMean(12),
        frame_network=block(name),
    )


@pytest.mark.parametrize("name", BLOCKS)
def test_alone_as_in_a_batch(name, clips, alone):
    ours = model(name).train()
    ours(*clips)  # normalisations away from their first state
    ours.eval()
    with torch.no_grad():
        together = ours(*clips)["emotion"]
        for index in range(3):
            torch.rand(1)  # whatever was drawn before
            single = ours(*alone(index))["emotion"][0]
            assert (single - together[index]).abs().max() <= 1e-5
        # what stands behind an item's length does not matter either
        frames, lengths = ours.encoder.extract(*clips)[:2]
        before, counts = ours.frame_network(frames, lengths)
        frames[0, lengths[0] :] = 7.0
        after, same = ours.frame_network(frames, lengths)
        assert torch.equal(before, after) and torch.equal(counts, same)
        for item, count in zip(after, counts, strict=True):
            assert not item[count:].any()


@pytest.mark.parametrize("name", BLOCKS)
def test_it_is_trained_and_saved(name, clips, tmp_path):
    ours = model(name)
    outputs = ours(*clips)["emotion"]
    assert outputs.shape == (3, 2)
    outputs.square().sum().backward()
    for parameter in ours.frame_network.parameters():
        assert parameter.grad is not None
    save_classifier(ours.eval(), tmp_path / "model")
    again = load_classifier(tmp_path / "model")["model"]
    with torch.no_grad():
        assert torch.equal(again(*clips)["emotion"], ours(*clips)["emotion"])


@pytest.mark.parametrize(
    "of",
    [
        "os.system",
        "subprocess.Popen",
        "torch.load",
        "torch.nn.functional.relu",
        "torch.nn.init.ones_",
        "torch.nn.DataParallel",
        "torch.nn.parallel.DistributedDataParallel",
        "torch.nn.modules.module.os",
        "torch.hub.load",
        "speechbrain.lobes.models.fairseq_wav2vec.FairseqWav2Vec2",
        "speechbrain.nnet.RNN.pack_padded_sequence",
        "speechbrain.nnet.RNN.torch",
        "antigravity.fly",
        "GRU",
        "",
    ],
)
def test_a_strangers_folder_builds_nothing_else(of, tmp_path):
    folder = save_classifier(model("linear"), tmp_path / "model")
    path = folder / "hyperparams.yaml"
    text = path.read_text(encoding="utf-8")
    assert "of: torch.nn.Linear" in text
    path.write_text(text.replace("of: torch.nn.Linear", f"of: '{of}'"))
    with pytest.raises(ValueError, match="A Block is not built of"):
        Interface.from_hparams(folder)
    assert "antigravity" not in sys.modules


def test_what_cannot_be():
    with pytest.raises(ValueError, match="GRU cannot be built"):
        Block("torch.nn.GRU", {"hidden": 3}, 3)
    with pytest.raises(ValueError, match="numbers, texts and lists"):
        Block("torch.nn.GRU", {"input_size": torch.nn.ReLU()}, 3)
    narrow = Block("torch.nn.GRU", GRU, 3)
    with pytest.raises(ValueError, match="gives 6 channels: set"):
        narrow(torch.rand(1, 4, 16), torch.tensor([4]))
