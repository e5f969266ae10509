"""The shared Brain, checkpoints, schedules, samplers."""

import pytest
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset

from speechbrain_c2ser.data.difficulty import EasyFirstSampler
from speechbrain_c2ser.data.sampling import PairedBatchSampler, hide_labels
from speechbrain_c2ser.training.brain import (
    NonFiniteLossError,
    TrainingBrain,
    plain_attention,
)
from speechbrain_c2ser.training.checkpointer import SafeCheckpointer
from speechbrain_c2ser.training.schedules import (
    EpochTriangles,
    WarmupCosine,
    WarmupInverseSquareRoot,
)


class ToyBrain(TrainingBrain):
    """Least squares on one number per item; notes what it saw."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.draws, self.rates, self.steps = [], [], []

    def compute_forward(self, batch, stage):
        self.draws.append((stage.name, torch.rand(()).item()))
        return self.modules.model(batch.value.float().unsqueeze(1))

    def compute_objectives(self, predictions, batch, stage):
        return (predictions - 1).square().mean()

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        self.steps.append(should_step)
        self.rates.append(self.optimizer.param_groups[0]["lr"])


def toy(values, run_opts=None, **hparams):
    torch.manual_seed(0)
    data = {str(i): {"value": v} for i, v in enumerate(values)}
    dataset = DynamicItemDataset(data, output_keys=["id", "value"])
    brain = ToyBrain(
        {"model": torch.nn.Linear(1, 1)},
        opt_class=lambda p: torch.optim.SGD(p, lr=0.1),
        hparams={"seed": 5, **hparams},
        run_opts={"noprogressbar": True, "device": "cpu", **(run_opts or {})},
    )
    loader = {"batch_size": 1, "collate_fn": PaddedBatch}
    return brain, dataset, loader


def fit(brain, dataset, loader, epochs=1, valid=None):
    brain.fit(
        sb.utils.epoch_loop.EpochCounter(epochs),
        dataset,
        valid,
        train_loader_kwargs=loader,
        valid_loader_kwargs=loader,
    )


def test_the_last_window_is_smaller_not_dropped():
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    brain, dataset, loader = toy(values, {"grad_accumulation_factor": 2})
    fit(brain, dataset, loader)
    assert brain.steps == [False, True, False, True, True]
    assert brain.optimizer_step == brain.total_updates == 3
    assert brain.progress == 1.0
    # the same three updates by hand: the means of each window
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for window in ([1.0, 2.0], [3.0, 4.0], [5.0]):
        optimizer.zero_grad()
        x = torch.tensor(window).unsqueeze(1)
        (model(x) - 1).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    weight = brain.modules.model.weight
    assert torch.allclose(weight, model.weight, atol=1e-6)


def test_draws_depend_on_the_position_alone():
    brain, dataset, loader = toy([1.0, 2.0, 3.0])
    fit(brain, dataset, loader, epochs=2, valid=dataset)
    train = [x for stage, x in brain.draws if stage == "TRAIN"]
    valid = [x for stage, x in brain.draws if stage == "VALID"]
    assert len(set(train)) == 6
    assert valid[:3] == valid[3:]  # every evaluation draws the same
    again, dataset, loader = toy([1.0, 2.0, 3.0])
    torch.rand(17)
    fit(again, dataset, loader, epochs=2, valid=dataset)
    assert again.draws == brain.draws


def test_the_schedule_sets_the_rate_of_each_update():
    brain, dataset, loader = toy(
        [1.0] * 4, lr_schedule=WarmupCosine(0.1, warmup=0.5)
    )
    fit(brain, dataset, loader)
    assert brain.rates == pytest.approx([0.05, 0.1, 0.05, 0.0])


def test_the_published_schedule_counts_updates():
    schedule = WarmupInverseSquareRoot(0.1, warmup_updates=2)
    brain, dataset, loader = toy([1.0] * 4, lr_schedule=schedule)
    fit(brain, dataset, loader, epochs=2)
    fall = [0.1 * (2 / update) ** 0.5 for update in range(2, 9)]
    assert brain.rates == pytest.approx([0.05, *fall])
    with pytest.raises(ValueError, match="warmup_updates"):
        WarmupInverseSquareRoot(0.1, warmup_updates=0)


def test_triangles_are_those_of_torch():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.RMSprop([weight], lr=0.0005, momentum=0.9)
    cyclic = torch.optim.lr_scheduler.CyclicLR(
        optimizer, base_lr=0.0005, max_lr=0.001, step_size_up=10
    )
    schedule = EpochTriangles(0.0005, 0.001, epochs_up=10, epochs=45)
    for epoch in range(45):
        rates = [schedule(3 * epoch + k, 3 * 45) for k in (1, 2, 3)]
        expected = optimizer.param_groups[0]["lr"]
        assert rates == pytest.approx([expected] * 3)
        optimizer.step()
        cyclic.step()


def test_a_nan_stops_and_names_the_batch():
    brain, dataset, loader = toy([1.0, float("nan"), 2.0])
    with pytest.raises(NonFiniteLossError, match=r"nan at update 1 .*'1'"):
        fit(brain, dataset, loader)


def test_a_nan_is_told_before_anything_is_learned_of_it():
    brain, dataset, loader = toy([float("nan"), 2.0])
    before = [p.clone() for p in brain.modules.parameters()]
    with pytest.raises(NonFiniteLossError, match="nan at update 0"):
        fit(brain, dataset, loader)
    for old, new in zip(before, brain.modules.parameters(), strict=True):
        assert torch.equal(old, new)


def test_what_is_watched_comes_to_the_host_with_the_loss():
    brain, dataset, loader = toy([1.0, 2.0])
    objective, seen = brain.compute_objectives, []

    def watching(*args):
        loss = objective(*args)
        brain.watched = {"twice": 2 * loss}
        return loss

    def note(batch, outputs, loss, should_step):
        seen.append((brain.watched["twice"], 2 * loss.detach()))

    brain.compute_objectives, brain.on_fit_batch_end = watching, note
    fit(brain, dataset, loader)
    for here, expected in seen:
        assert here == expected and here.grad_fn is None
    assert len(seen) == 2


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batches_are_pinned_for_a_gpu(device, monkeypatch):
    brain, dataset, _ = toy([1.0])
    brain.device_type = device
    options = {}
    monkeypatch.setattr(
        sb.dataio.dataloader,
        "make_dataloader",
        lambda dataset, **given: options.update(given),
    )
    for unsaid in ({}, {"pin_memory": None}):
        brain.make_dataloader(dataset, sb.Stage.VALID, **unsaid)
        assert options == {"pin_memory": device == "cuda"}
    brain.make_dataloader(dataset, sb.Stage.VALID, pin_memory=False)
    assert options == {"pin_memory": False}


def test_a_kill_while_saving_leaves_the_older_checkpoint(tmp_path):
    class Fragile(torch.nn.Linear):
        broken = False

        def state_dict(self, *args, **kwargs):
            if self.broken:
                raise KeyboardInterrupt
            return super().state_dict(*args, **kwargs)

    model, second = torch.nn.Linear(1, 1), Fragile(1, 1)
    checkpointer = SafeCheckpointer(tmp_path, {"a": model, "b": second})
    checkpointer.save_checkpoint(meta={"number": 1})
    second.broken = True
    with pytest.raises(KeyboardInterrupt):
        checkpointer.save_checkpoint(meta={"number": 2})
    assert len(list(tmp_path.glob("partial+*"))) == 1
    assert checkpointer.find_checkpoint().meta["number"] == 1
    second.broken = False
    checkpointer.save_and_keep_only(meta={"number": 3})
    assert checkpointer.recover_if_possible().meta["number"] == 3
    assert len(list(tmp_path.iterdir())) == 1


def test_ranks_share_easy_batches_as_they_share_all(monkeypatch):
    """One rule: no wrapper lists the batches of either sampler."""
    brain = TrainingBrain(hparams={"seed": 1}, run_opts={"device": "cpu"})
    brain.distributed_launch, brain.rank = True, 1
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    easy = EasyFirstSampler(
        [1.0] * 8, [[0, 1, 2, 3], [4, 5, 6, 7]], 1,
        max_batch_length=2.0, num_buckets=1,
    )  # fmt: skip
    for sampler in (easy, PairedBatchSampler([1.0] * 8, [0] * 8, 2.0, 1)):
        whole = list(sampler)
        options = {"batch_sampler": sampler}
        assert brain._train_loader_specifics(None, options) == options
        assert brain.train_sampler is sampler
        assert list(sampler) == whole[1::2]


def test_hidden_labels_do_not_depend_on_the_other_items():
    ids = [f"utterance{i}" for i in range(2000)]
    labels = [0] * len(ids)
    kept = hide_labels(ids, labels, 0.3, seed=1)
    few = hide_labels(ids[:10], labels[:10], 0.3, seed=1)
    assert (kept[:10] == few).all()
    assert (kept == 0).mean() == pytest.approx(0.3, abs=0.03)
    assert (kept != hide_labels(ids, labels, 0.3, seed=2)).any()
    with pytest.raises(ValueError, match="labelled_fraction"):
        hide_labels(ids, labels, 1.3)


def test_an_empty_manifest_is_named():
    with pytest.raises(ValueError, match="is the manifest empty"):
        PairedBatchSampler([], [], 20.0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_attention_in_bf16_is_products_in_bf16_on_a_processor(precision):
    """Where torch's fused kernel takes longer back."""
    backends, seen = torch.backends.cuda, []

    class Noting(ToyBrain):
        def compute_forward(self, batch, stage):
            fused = backends.flash_sdp_enabled()
            half = backends.fp16_bf16_reduction_math_sdp_allowed()
            seen.append((fused, half))
            return super().compute_forward(batch, stage)

    brain, dataset, loader = toy([1.0], {"precision": precision})
    brain.__class__ = Noting
    fit(brain, dataset, loader)
    plain = precision == "bf16"
    assert seen == [(not plain, plain)]
    assert backends.flash_sdp_enabled()
    assert not backends.fp16_bf16_reduction_math_sdp_allowed()


def test_plain_attention_ends_with_an_error():
    with pytest.raises(KeyError), plain_attention():
        raise KeyError
    assert not torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
