"""Linear discriminant: against scikit-learn, calibration, what is refused."""

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn

from speechbrain_c2ser.lobes.encoders.layer_concat import LayerConcat
from speechbrain_c2ser.training.discriminant import LinearDiscriminant


@pytest.fixture
def data():
    """Three classes of six speakers; a speaker's voice shifts all of his."""
    draw = torch.Generator().manual_seed(1)
    targets = torch.arange(180) % 3
    groups = [i // 30 for i in range(180)]
    voices = torch.randn(6, 12, generator=draw)
    vectors = torch.randn(180, 12, generator=draw) + voices[groups]
    vectors += 1.2 * torch.randn(3, 12, generator=draw)[targets]
    return 100 * vectors + 7, targets, groups


def test_as_scikit_learn(data):
    vectors, targets, groups = data
    layer = nn.Linear(12, 3)
    found = LinearDiscriminant([0.4]).fit(layer, vectors, targets, groups)
    # classes are of one size, so its priors are equal too
    expected = LinearDiscriminantAnalysis(
        solver="eigen", shrinkage=0.4, priors=[1 / 3] * 3
    )
    standard = (vectors - vectors.mean(0)) / vectors.std(0, correction=0)
    expected.fit(standard.numpy(), targets.numpy())
    wanted = torch.tensor(
        expected.decision_function(standard.numpy()), dtype=torch.float
    )
    logits = layer(vectors).detach() * found["temperature"]
    logits -= logits.mean(1, keepdim=True)
    wanted -= wanted.mean(1, keepdim=True)
    torch.testing.assert_close(logits, wanted, rtol=1e-2, atol=1e-2)


def test_temperature_is_of_speakers_held_out(data):
    vectors, targets, groups = data
    layers = [nn.Linear(12, 3) for _ in range(2)]
    machine = LinearDiscriminant([0.1])
    known = machine.fit(layers[0], vectors, targets, list(range(180)))
    apart = machine.fit(layers[1], vectors, targets, groups)
    assert apart["temperature"] > known["temperature"]
    assert apart["held_out_ua"] < known["held_out_ua"]


def test_share_is_chosen_among_those_given(data):
    vectors, targets, groups = data
    noise = torch.randn(180, 150, generator=torch.Generator().manual_seed(2))
    found = LinearDiscriminant([0.001, 0.5]).fit(
        nn.Linear(162, 3), torch.cat([vectors, noise], 1), targets, groups
    )
    assert found["shrinkage"] == 0.5


def test_a_class_of_one_speaker_is_still_learned(data):
    vectors, targets, groups = data
    kept = torch.tensor(
        [c != 2 or g == 0 for c, g in zip(targets, groups, strict=True)]
    )
    groups = [g for g, keep in zip(groups, kept, strict=True) if keep]
    layer = nn.Linear(12, 3)
    found = LinearDiscriminant().fit(
        layer, vectors[kept], targets[kept], groups
    )
    # of its own speaker nothing is known of it
    assert found["temperature"] > 0.5
    assert 2 in layer(vectors).argmax(1)


def test_channels_that_never_change_do_no_harm(data):
    vectors, targets, groups = data
    vectors[:, 3] = 5.0
    layer = nn.Linear(12, 3)
    LinearDiscriminant([1e-6]).fit(layer, vectors, targets, groups)
    assert layer(vectors).isfinite().all()


def test_bad_input_is_named(data):
    vectors, targets, groups = data
    with pytest.raises(ValueError, match=r"shrinkages are \[0\]"):
        LinearDiscriminant([0])
    with pytest.raises(ValueError, match="num_parts is 1"):
        LinearDiscriminant(num_parts=1)
    machine, layer = LinearDiscriminant(), nn.Linear(12, 3)
    with pytest.raises(ValueError, match="only one group"):
        machine.fit(layer, vectors, targets, [0] * 180)
    with pytest.raises(ValueError, match="a class of its own"):
        machine.fit(layer, vectors, targets, targets.tolist())
    with pytest.raises(ValueError, match="counted from 0"):
        LayerConcat(4, [-1])
    with pytest.raises(ValueError, match="no layer 2"):
        LayerConcat(4, [0, 2])([torch.zeros(1, 1, 4)] * 2)
