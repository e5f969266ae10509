"""Closed-form classifiers: against other implementations, left-out groups."""

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge

from speechbrain_c2ser.training.closed_form import (
    choose_discriminant,
    discriminant,
    held_out,
    ridge,
)


@pytest.fixture
def blobs():
    """Three classes of twenty points in more dimensions than points."""
    torch.manual_seed(0)
    labels = torch.arange(60) % 3
    centres = torch.randn(3, 80)
    return centres[labels] + torch.randn(60, 80), labels


@pytest.mark.parametrize("shrinkage", [0.1, 0.9])
def test_discriminant_is_scikit_learns(blobs, shrinkage):
    x, labels = blobs
    weight, bias = next(discriminant(x.double(), labels, [shrinkage]))
    # scikit-learn shrinks in units of the features' deviations
    within = (
        x.double()
        - (torch.stack([x.double()[labels == k].mean(0) for k in range(3)]))[
            labels
        ]
    )
    covariance = within.t() @ within / len(x)
    floor = covariance.trace() / x.shape[1]
    shrunk = (1 - shrinkage) * covariance + shrinkage * floor * torch.eye(80)
    means = torch.stack([x.double()[labels == k].mean(0) for k in range(3)])
    expected = torch.linalg.solve(shrunk, means.t()).t()
    torch.testing.assert_close(weight, expected)
    torch.testing.assert_close(bias, -0.5 * (expected * means).sum(1))
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    agreed = (x.double() @ weight.t() + bias).argmax(1).numpy() == theirs.fit(
        x.numpy(), labels.numpy()
    ).predict(x.numpy())
    assert agreed.mean() > 0.95


def test_ridge_is_scikit_learns(blobs):
    x, values = blobs[0].double(), blobs[0][:, 0].double() * 2 + 1
    weight, bias = next(ridge(x, values, [0.3]))
    penalty = 0.3 * float(x.square().sum(1).mean())
    theirs = Ridge(penalty).fit(x.numpy(), values.numpy())
    torch.testing.assert_close(weight[0], torch.tensor(theirs.coef_))
    assert float(bias) == pytest.approx(theirs.intercept_)


def test_an_item_never_judges_itself(blobs):
    """The outputs for a group are those of a fit without it."""
    x, labels = blobs
    groups = ["ab"[n // 30] for n in range(60)]
    outputs = held_out(discriminant, x, labels, groups, [0.5])[0]
    weight, bias = next(discriminant(x[30:], labels[30:], [0.5]))
    torch.testing.assert_close(outputs[:30], x[:30] @ weight.t() + bias)


def test_sharpness_calibrates(blobs):
    x, labels = blobs
    groups = [str(n // 3 % 4) for n in range(60)]
    weight, bias, figures = choose_discriminant(x, labels, groups)
    own = next(discriminant(x, labels, [figures["shrinkage"]]))
    torch.testing.assert_close(weight, own[0] * figures["sharpness"])
    torch.testing.assert_close(bias, own[1] * figures["sharpness"])
    assert figures["ua"] > 0.8


@pytest.mark.parametrize(
    "groups, message",
    [
        (["a"] * 60, "of one speaker"),
        (["ab"[n % 3 == 2] for n in range(60)], "recordings of '[ab]' only"),
    ],
)
def test_too_few_speakers_are_named(blobs, groups, message):
    with pytest.raises(ValueError, match=message):
        held_out(discriminant, *blobs, groups, [0.5])
