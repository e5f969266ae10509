"""A model whose weights are divided among two processes."""

import os

import pytest
import torch
from torch.distributed.tensor import DTensor

from speechbrain_c2ser.training import sharding as sharding_module
from speechbrain_c2ser.training.sharding import (
    SHARDS_ON_CPU,
    FullySharded,
    ShardedOptimizer,
    ShardedTensors,
)
from speechbrain_c2ser.training.trained_tensors import TrainedTensors


class Toy(torch.nn.Module):
    """Two layers, an output tied to the input, a frozen matrix, a buffer."""

    _no_split_modules = ["Linear"]

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(5, 3)
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(3, 3) for _ in range(2)
        )
        self.frozen = torch.nn.Embedding(3, 3).requires_grad_(False)
        self.tied = torch.nn.Embedding(5, 3)
        self.register_buffer("scale", torch.tensor(2.0))
        generator = torch.Generator().manual_seed(1)
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter, generator=generator)
        self.tied.weight = self.words.weight

    def hidden(self, ids):
        hidden = self.words(ids)
        for layer in self.layers:
            hidden = layer(hidden).tanh()
        return hidden @ self.frozen.weight

    def forward(self, ids):
        return (self.hidden(ids) @ self.tied.weight.T * self.scale).square()


BATCHES = torch.arange(24).reshape(4, 2, 3) % 5  # of a step, for each rank


def adamw(model):
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=0.05)


def steps(model, optimizer, batches, rank=None):
    """Train on one rank's part of each batch, or on the mean of both."""
    for batch in batches:
        parts = batch if rank is None else [batch[rank]]
        loss = torch.stack([model(part).mean() for part in parts]).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def sharded_toy():
    model = Toy()
    sharding = FullySharded(model, layers_of=model)
    sharding.shard({"model": model}, "cpu")
    return sharding, ShardedTensors(sharding), adamw(model)


def work(rank, folder):
    """What each rank does; rank 0 keeps what the test looks at."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    sharding, tensors, optimizer = sharded_toy()
    model = sharding.module
    divided = {
        name: isinstance(p, DTensor) and p.to_local().numel() < p.numel()
        for name, p in model.named_parameters()
    }
    steps(model, optimizer, BATCHES[:2], rank)
    tensors._save(f"{folder}/trained")
    ShardedOptimizer(optimizer)._save(f"{folder}/optimizer")
    steps(model, optimizer, BATCHES[2:], rank)
    with torch.no_grad():
        hidden = sharding.run(model.hidden, BATCHES[0, 0])
    whole = sharding.whole()

    again, tensors, optimizer = sharded_toy()
    tensors._load(f"{folder}/trained", True)
    ShardedOptimizer(optimizer)._load(f"{folder}/optimizer", True)
    steps(again.module, optimizer, BATCHES[2:], rank)
    resumed = again.whole()
    if rank == 0:
        result = {
            "divided": divided,
            "hidden": hidden,
            "whole": whole.state_dict(),
            "resumed": resumed.state_dict(),
            "tied": whole.tied.weight is whole.words.weight,
            "class": type(whole).__name__,
        }
        torch.save(result, f"{folder}/result")
    assert rank == 0 or whole is None
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not SHARDS_ON_CPU:
        pytest.skip("this torch shards on GPUs alone")
    folder = tmp_path_factory.mktemp("ranks")
    context = torch.multiprocessing.get_context("fork")
    ranks = [
        context.Process(target=work, args=(rank, folder)) for rank in (0, 1)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    return folder


@pytest.fixture
def result(folder):
    return torch.load(folder / "result", weights_only=True)


def test_each_rank_holds_a_share(result):
    assert all(result["divided"].values())
    # what is saved is the model itself, tied as it was
    assert result["class"] == "Toy" and result["tied"]


def test_two_ranks_train_as_one_process(result):
    model = Toy()
    steps(model, adamw(model), BATCHES)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(result["whole"][name], tensor)
    torch.testing.assert_close(result["hidden"], model.hidden(BATCHES[0, 0]))


def test_resumed_run_is_the_uninterrupted_one(result):
    for name, tensor in result["whole"].items():
        assert torch.equal(result["resumed"][name], tensor), name


def test_checkpoint_goes_on_in_one_process(folder, result):
    model = Toy()
    optimizer = adamw(model)
    TrainedTensors(model)._load(folder / "trained", True)
    optimizer.load_state_dict(
        torch.load(folder / "optimizer", weights_only=True)
    )
    steps(model, optimizer, BATCHES[2:])
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(result["whole"][name], tensor)


def test_weights_outside_of_the_model_are_refused():
    model = Toy()
    sharding = FullySharded(model, layers_of=model)
    term = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="'term' has weights of its own"):
        sharding.shard({"model": model, "term": term}, "cpu")


def test_torch_that_shards_on_gpus_alone_is_told(monkeypatch):
    monkeypatch.setattr(sharding_module, "SHARDS_ON_CPU", False)
    model = Toy()
    with pytest.raises(RuntimeError, match="shards on GPUs alone: take"):
        FullySharded(model, layers_of=model).shard({"model": model}, "cpu")


def test_model_without_layers_is_refused():
    model = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="Linear has no layers"):
        FullySharded(model, layers_of=model)
