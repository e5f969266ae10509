"""An optimiser for each part of a model, and its rate."""

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_c2ser.lobes import Emotion2VecPretraining, Emotion2VecS
from speechbrain_c2ser.training.brain import TrainingBrain
from speechbrain_c2ser.training.optimizers import (
    make_optimizers,
    split_by_decay,
)
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


@pytest.mark.parametrize("size", ["base", "tiny"])
def test_stage_0_draws_weights_alone_to_zero(root, size):
    """As data2vec 2.0: decoupled, and neither gains, biases nor the scale."""
    text = (root / f"hparams/emotion2vec_s/{size}.yaml").read_text()
    optimizer = text[text.index("undecayed:") : text.index("lr_schedule:")]
    hparams = load_hyperpyyaml("peak_rate: 0.001\n" + optimizer)
    torch.manual_seed(0)
    encoder = Emotion2VecS(
        embed_dim=16, num_heads=2, prenet_depth=1, depth=1, conv_pos_groups=2,
        conv_layers=[[8, 10, 5], [8, 8, 8], [8, 8, 8]],
        alibi_learned_scale=True,
    )  # fmt: skip
    model = Emotion2VecPretraining(
        encoder, average_top_k_layers=1, decoder_size=16, decoder_groups=2
    )
    names = {id(p): n for n, p in model.named_parameters()}
    found = split_by_decay(hparams["opt_class"], model, hparams["undecayed"])
    undecayed = {
        names[id(p)] for p in found["undecayed"].param_groups[0]["params"]
    }
    assert "encoder.alibi_scale" in undecayed
    for name, tensor in model.named_parameters():
        is_free = tensor.dim() == 1 or name == "encoder.alibi_scale"
        assert (name in undecayed) == (is_free and tensor.requires_grad), name
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for optimizer in found.values():
        optimizer.step()
    for name, tensor in model.named_parameters():
        kept = name in undecayed or not tensor.requires_grad
        # decoupled: by rate times decay, whatever the gradient
        wanted = before[name] * (1.0 if kept else 1 - 0.001 * 0.01)
        torch.testing.assert_close(tensor.detach(), wanted, rtol=1e-6, atol=0)


def test_what_is_not_trained_is_told():
    with pytest.raises(ValueError, match="undecayed names scale, which is not"):
        split_by_decay(torch.optim.AdamW, torch.nn.Linear(2, 2), ["scale"])
