"""An optimiser for each part of a model, and its rate."""

import pytest
import torch
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_c2ser.training.brain import TrainingBrain
from speechbrain_c2ser.training.optimizers import make_optimizers
from speechbrain_c2ser.training.schedules import WarmupCosine


@pytest.fixture
def model():
    return torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Linear(2, 1))


class ToyBrain(TrainingBrain):
    """Notes the rate of each optimiser in each update."""

    rates = ()

    def compute_forward(self, batch, stage):
        return self.modules.model(batch)

    def compute_objectives(self, predictions, batch, stage):
        return predictions.square().mean()

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        self.rates += (
            {
                name: optimizer.param_groups[0]["lr"]
                for name, optimizer in self.optimizers_dict.items()
            },
        )


def test_each_part_has_its_own_rate(model):
    brain = ToyBrain(
        {"model": model},
        opt_class=lambda p: torch.optim.SGD(p, lr=9.0),
        hparams={
            "seed": 1,
            "optimizer_parts": {"encoder": model[0], "rest": model},
            "lr_factors": {"encoder": 0.5},
            "lr_schedule": WarmupCosine(peak=1.0, warmup=0.5),
        },
        run_opts={"noprogressbar": True, "device": "cpu"},
    )
    brain.fit(EpochCounter(1), torch.randn(4, 1, 1))
    rates = [(rate["encoder"], rate["rest"]) for rate in brain.rates]
    expected = [(0.25, 0.5), (0.5, 1.0), (0.25, 0.5), (0.0, 0.0)]
    assert rates == [pytest.approx(pair) for pair in expected]


def test_frozen_and_absent_parts_have_no_optimiser(model):
    model[0].requires_grad_(False)
    parts = {"encoder": model[0], "deaf": None, "rest": model}
    optimizers = make_optimizers(torch.optim.AdamW, parts, model)
    assert list(optimizers) == ["rest"]


def test_what_is_in_no_part_is_named(model):
    with pytest.raises(ValueError, match=r"2 trained tensors .*1\.weight"):
        make_optimizers(torch.optim.AdamW, {"encoder": model[0]}, model)


def test_a_factor_of_no_part_is_named(model):
    with pytest.raises(ValueError, match="lr_factors names encodr"):
        make_optimizers(
            torch.optim.AdamW, {"rest": model}, model, {"encodr": 0.1}
        )
