"""Validation divided among two ranks: the result of one process."""

import os

import pytest
import speechbrain as sb
import torch
from torch.utils.data import DataLoader, TensorDataset

from speechbrain_c2ser.losses.contrast import gather_rows
from speechbrain_c2ser.training.brain import TrainingBrain
from speechbrain_c2ser.training.shared_validation import Turns

torch.manual_seed(0)
TRAIN, VALID = torch.randn(8, 4), torch.randn(11, 4)


class Centred(torch.nn.Module):
    """A linear layer on rows less a mean that training moves."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 2)
        # a column: where it lies, others lie between
        self.register_buffer("mean", torch.zeros(4, 2)[:, 0])

    def forward(self, rows):
        """Rows [B, 4] → [B, 2]."""
        if self.training:
            self.mean += rows.mean(0)
        return self.linear(rows - self.mean)


class Noted(TrainingBrain):
    """A loss, draws and notes of each batch; a buffer that training moves."""

    validated = ("notes",)

    def compute_forward(self, batch, stage):
        """A wrapped module's output, and noise."""
        (rows,) = batch
        return self.modules.model(rows), torch.rand(())

    def compute_objectives(self, predictions, batch, stage):
        """A mean over the items of all ranks, where gradients are taken."""
        output, noise = predictions
        rows, _ = gather_rows(output, torch.zeros(len(output)).long())
        loss = rows.square().mean()
        if stage == sb.Stage.VALID:
            training = self.modules.training
            self.notes.append(
                (len(output), float(loss), float(noise), training)
            )
            self.batches += 1
        return loss

    def on_stage_start(self, stage, epoch=None):
        """Nothing noted yet."""
        self.notes, self.batches = [], 0

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Keep what was validated."""
        if stage == sb.Stage.VALID:
            self.result = {"loss": stage_loss, "notes": self.notes}


def fitted(valid_items, backend=None, sharding=None, **valid):
    """A Brain after an epoch of two updates."""
    torch.manual_seed(1)
    model = Centred()
    run_opts = {"noprogressbar": True, "device": "cpu"}
    if backend is not None:
        run_opts |= {"distributed_launch": True, "distributed_backend": backend}
    hparams = {"seed": 1}
    if sharding is not None:
        hparams["sharding"] = sharding
    brain = Noted(
        {"model": model},
        opt_class=lambda p: torch.optim.SGD(p, lr=0.0),
        hparams=hparams,
        run_opts=run_opts,
    )
    train = {"batch_sampler": [[0, 1], [2, 3], [4, 5], [6, 7]]}
    brain.fit(
        sb.utils.epoch_loop.EpochCounter(1),
        TensorDataset(TRAIN),
        TensorDataset(VALID[:valid_items]),
        train_loader_kwargs=train,
        valid_loader_kwargs=valid or {"batch_sampler": [[0], [3, 2, 1]]},
    )
    return brain


class Repeated:
    """As a sharding, for which ranks have to validate all batches."""

    def shard(self, modules, device):
        """Nothing is divided."""

    def run(self, function, *arguments):
        """Called as it is."""
        return function(*arguments)


CASES = {
    "uneven": {"valid_items": 11, "batch_size": 2},  # 3 batches each
    "less_than_ranks": {"valid_items": 2, "batch_size": 2},
    "sampler": {"valid_items": 4},
}


def work(rank, folder):
    """Every case on a rank; what it has at the end."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    results = {}
    for name, case in CASES.items():
        brain = fitted(**case, backend="gloo")
        buffers = dict(brain.modules["model"].module.named_buffers())
        results[name] = (brain.result, brain.batches, buffers)
    brain = fitted(**CASES["uneven"], backend="gloo", sharding=Repeated())
    results["sharded"] = (brain.result, brain.batches, {})
    torch.save(results, f"{folder}/{rank}")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two ranks has of all cases."""
    folder = tmp_path_factory.mktemp("ranks")
    context = torch.multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(r, folder)) for r in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return [torch.load(folder / str(r), weights_only=True) for r in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_validate_as_one_process(ranks, case):
    (first, ours, buffers), (second, theirs, _) = (r[case] for r in ranks)
    assert first == second, "each rank has all of it"
    batches = len(first["notes"])
    assert ours + theirs == batches and ours - theirs in (0, 1)
    # one process with the first rank's buffers, as DDP's own validation has it
    alone = fitted(**CASES[case])
    alone.modules.load_state_dict(
        {f"model.{name}": buffer for name, buffer in buffers.items()},
        strict=False,
    )
    loader = alone.make_dataloader(
        TensorDataset(VALID[: CASES[case]["valid_items"]]),
        sb.Stage.VALID,
        **{k: v for k, v in CASES[case].items() if k == "batch_size"}
        or {"batch_sampler": [[0], [3, 2, 1]]},
    )
    alone._fit_valid(loader, 1, False)
    assert first == alone.result


def test_where_layers_are_divided_all_ranks_validate_everything(ranks):
    for rank in ranks:
        result, batches, _ = rank["sharded"]
        assert batches == len(result["notes"]) == 6


def test_a_loader_from_outside_is_not_shared():
    brain = fitted(**CASES["uneven"])
    loader = DataLoader(TensorDataset(VALID), batch_size=2)
    brain._fit_valid(loader, 1, False)
    assert len(brain.result["notes"]) == 6
    assert not isinstance(loader.batch_sampler, Turns)
