"""Validation divided among the ranks of torchrun, with one process's result.

Each rank evaluates batches in turn; what was computed of each is put together
in the order of the batches, so that every sum is added up as one process would.
"""

from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from operator import attrgetter

import torch
from speechbrain.core import Stage
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import BatchSampler, Sampler, SequentialSampler
from tqdm import tqdm


class Turns(Sampler):
    """Every so many-th batch of a sampler; none is taken twice.

    Arguments
    ---------
    batches : Sampler | Sequence
        Gives the batches of all ranks, the same on each.
    rank : int
        This process, from 0.
    ranks : int
        How many there are.

    Example
    -------
    >>> batches = [[0, 1], [2, 3], [4]]
    >>> list(Turns(batches, 0, 2)), list(Turns(batches, 1, 2))
    ([[0, 1], [4]], [[2, 3]])
    >>> len(Turns(batches, 0, 2)), len(Turns(batches, 1, 2))
    (2, 1)
    """

    def __init__(self, batches: Sampler | Sequence, rank: int, ranks: int):
        self.batches, self.rank, self.ranks = batches, rank, ranks

    def __len__(self):
        return len(range(self.rank, len(self.batches), self.ranks))

    def __iter__(self):
        for number, batch in enumerate(self.batches):
            if number % self.ranks == self.rank:
                yield batch


def in_turn(dataset: Sized, options: dict, rank: int, ranks: int) -> dict:
    """A loader's options, for a rank's share of the batches.

    Arguments
    ---------
    dataset : Sized
        What is validated, in its order or a ``batch_sampler``'s.
    options : dict
        Of the loader of one process.
    rank, ranks : int
        As of :class:`Turns`.

    Returns
    -------
    dict

    Example
    -------
    >>> options = in_turn(range(5), {"batch_size": 2, "num_workers": 0}, 1, 2)
    >>> list(options.pop("batch_sampler")), options
    ([[2, 3]], {'num_workers': 0})
    """
    options = dict(options)
    size = options.pop("batch_size", 1)
    batches = options.pop("batch_sampler", None)
    if batches is None:
        batches = BatchSampler(SequentialSampler(dataset), size, False)
    return {**options, "batch_sampler": Turns(batches, rank, ranks)}


def evaluate_together(brain, loader, stage: Stage, enable: bool) -> float:
    """Evaluate a rank's batches; every rank gets what all have noted.

    Arguments
    ---------
    brain : speechbrain_c2ser.training.brain.TrainingBrain
        Its ``validated`` names the lists that an evaluation adds to.
    loader : iterable
        Of this rank's batches, in turn with the other ranks'.
    stage : speechbrain.Stage
        Of the evaluation.
    enable : bool
        Whether to show a progress bar.

    Returns
    -------
    float
        Mean of all batches' losses.
    """
    rank = torch.distributed.get_rank()
    ranks = torch.distributed.get_world_size()
    parts = []
    with torch.no_grad(), alone(brain):
        for number, batch in enumerate(tqdm(loader, disable=not enable)):
            # the number that the batch has in one process, for what is drawn
            brain.step = number * ranks + rank + 1
            before = {n: len(attrgetter(n)(brain)) for n in brain.validated}
            loss = float(brain.evaluate_batch(batch, stage))
            noted = {
                n: attrgetter(n)(brain)[start:] for n, start in before.items()
            }
            parts.append((loss, noted))
            if brain.debug and number + 1 == brain.debug_batches:
                break
    shares: list[list] = [[] for _ in range(ranks)]
    torch.distributed.all_gather_object(shares, parts)
    for name in brain.validated:
        attrgetter(name)(brain).clear()
    mean = 0.0
    ordered = (
        shares[number % ranks][number // ranks]
        for number in range(sum(map(len, shares)))
    )
    for brain.step, (loss, noted) in enumerate(ordered, 1):
        mean = brain.update_average(torch.tensor(loss), mean)
        for name, values in noted.items():
            attrgetter(name)(brain).extend(values)
    brain.step = 0
    return mean


@contextmanager
def alone(brain) -> Iterator[None]:
    """A Brain's modules without DDP, which would wait for other ranks.

    They have the main process's buffers, as a forward pass of DDP begins with.
    """
    wrapped = brain.modules
    plain = {}
    for name, module in wrapped.items():
        if isinstance(module, DistributedDataParallel):
            module = module.module
            for buffer in module.buffers():
                sent = buffer.contiguous()  # a view would arrive as another
                torch.distributed.broadcast(sent, 0)
                buffer.copy_(sent)
        plain[name] = module
    brain.modules = torch.nn.ModuleDict(plain)
    brain.modules.training = wrapped.training
    try:
        yield
    finally:
        brain.modules = wrapped
