"""What every training recipe shares: exact resume, loud failure, a log.

A run that is killed at any moment and started again gives the losses of an
uninterrupted run: checkpoints appear whole or not at all, they hold the
position in the epoch, and all randomness is drawn from the position in the
training rather than carried along.
"""

import hashlib
import json
import math
import os
import random
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import speechbrain as sb
import torch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.dataio.sampler import DistributedSamplerWrapper
from speechbrain.utils.checkpoints import (
    Checkpoint,
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import (
    ddp_all_reduce,
    if_main_process,
    main_process_only,
)
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite."""


class TrainingBrain(sb.Brain):
    """A Brain that resumes exactly, counts every batch and stops on NaN.

    - Before each batch all random generators are seeded from (seed, update,
      batch of the epoch, rank), so there is no generator state to save, ranks
      differ, and validation draws the same every epoch. Draw augmentation,
      masks and prompts in ``compute_forward``, not in loader workers.
    - The last batches of an epoch make a smaller accumulation window instead
      of being dropped; a checkpoint within an epoch waits for a window's end.
    - ``progress`` is the share of all updates that is done, for schedules.
      Where hparams hold ``lr_schedule``, ``lr_schedule(update, updates)`` is
      the learning rate of every optimiser before each update, times the
      optimiser's own factor where ``lr_factors`` holds one.
    - Under DDP the training loss is the mean over all ranks, as one process
      with as many batches in an update would report it.
    - A loss that is not finite ends the run and names the batch.

    hparams must hold ``seed``. Hand ``fit`` the dataset with
    ``train_loader_kwargs`` (a ``batch_sampler`` is split over DDP ranks).

    Example
    -------
    >>> class Toy(TrainingBrain):
    ...     def compute_forward(self, batch, stage):
    ...         return self.modules.model(batch)
    ...     def compute_objectives(self, predictions, batch, stage):
    ...         return predictions.square().mean()
    >>> toy = Toy(
    ...     {"model": torch.nn.Linear(2, 1)},
    ...     opt_class=lambda p: torch.optim.SGD(p, lr=0.1),
    ...     hparams={"seed": 1},
    ...     run_opts={"noprogressbar": True, "grad_accumulation_factor": 2},
    ... )
    >>> toy.fit(sb.utils.epoch_loop.EpochCounter(2), torch.randn(3, 1, 2))
    >>> toy.optimizer_step, toy.progress
    (4, 1.0)
    """

    def fit(
        self,
        epoch_counter,
        train_set,
        valid_set=None,
        progressbar=None,
        train_loader_kwargs=None,
        valid_loader_kwargs=None,
    ):
        """See ``speechbrain.Brain.fit``; also counts the updates to come."""
        if not isinstance(train_set, DataLoader):
            train_set = self.make_dataloader(
                train_set, sb.Stage.TRAIN, **(train_loader_kwargs or {})
            )
        else:
            self._adopt_loader(train_set)
        self.batches_per_epoch = len(train_set)
        if self.debug:
            self.batches_per_epoch = min(len(train_set), self.debug_batches)
        windows = math.ceil(
            self.batches_per_epoch / self.grad_accumulation_factor
        )
        self.total_updates = windows * epoch_counter.limit
        if self.optimizer_step_limit is not None:
            self.total_updates = min(
                self.total_updates, self.optimizer_step_limit
            )
        super().fit(
            epoch_counter,
            train_set,
            valid_set,
            progressbar,
            valid_loader_kwargs=valid_loader_kwargs or {},
        )

    def _adopt_loader(self, loader):
        """Give a loader made outside what ``make_dataloader`` would give."""
        if self.distributed_launch:
            raise ValueError(
                "Under torchrun, hand fit() the dataset and "
                "train_loader_kwargs: a finished DataLoader would give every "
                "rank the same batches."
            )
        self.train_sampler = loader.batch_sampler
        if self.checkpointer is not None and isinstance(
            loader, SaveableDataLoader
        ):
            self.checkpointer.add_recoverable("dataloader-TRAIN", loader)

    def _train_loader_specifics(self, dataset, loader_kwargs):
        loader_kwargs = super()._train_loader_specifics(dataset, loader_kwargs)
        if self.train_sampler is None:
            # its set_epoch is then called, and each epoch has its own order
            self.train_sampler = loader_kwargs.get(
                "batch_sampler", loader_kwargs.get("sampler")
            )
        if isinstance(self.train_sampler, DistributedSamplerWrapper):
            # ranks take the batches in turn: an update holds what it would
            # hold in one process that accumulates as many of them
            self.train_sampler.shuffle = False
        return loader_kwargs

    @property
    def progress(self):
        """Share of all updates that is done, in [0, 1]."""
        return min(1.0, self.optimizer_step / self.total_updates)

    def fit_batch(self, batch):
        """One batch; a step of the optimiser where its window ends."""
        window = self.grad_accumulation_factor
        first = (self.step - 1) // window * window
        size = min(window, self.batches_per_epoch - first)
        should_step = self.step == first + size
        self._seed(sb.Stage.TRAIN)
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step), self._attention():
            with self.training_ctx:
                outputs = self.compute_forward(batch, sb.Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, sb.Stage.TRAIN)
            self._require_finite(loss, batch)
            self.scaler.scale(loss / size).backward()
        if should_step:
            self._set_learning_rate()
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return self._mean_over_ranks(loss.detach()).cpu()

    def _mean_over_ranks(self, loss):
        if not self.distributed_launch:
            return loss
        total = ddp_all_reduce(loss.clone(), torch.distributed.ReduceOp.SUM)
        return total / torch.distributed.get_world_size()

    def _attention(self):
        """Kernels of scaled-dot-product attention: torch's choice, mostly.

        On a processor in bf16 the fused kernel's backward pass is the slower
        one: a training step of the tiny C2SER took 1.35 times as long with
        it (in fp32, on another processor, 0.92 times).
        """
        if self.device_type == "cuda" or self.precision == "fp32":
            return nullcontext()
        return sdpa_kernel(SDPBackend.MATH)

    def evaluate_batch(self, batch, stage):
        """One batch without gradient, the same draws at every evaluation."""
        self._seed(stage)
        return super().evaluate_batch(batch, stage)

    def _seed(self, stage):
        rank = self.rank if self.distributed_launch else 0
        update = self.optimizer_step if stage == sb.Stage.TRAIN else 0
        seed_from(self.hparams.seed, stage.name, update, self.step, rank)

    def _require_finite(self, loss, batch):
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"The loss is {loss.item()} at update {self.optimizer_step} "
                f"for the batch of {getattr(batch, 'id', 'unnamed items')}: "
                "look at these recordings or lower the learning rate."
            )

    def _set_learning_rate(self):
        schedule = getattr(self.hparams, "lr_schedule", None)
        if schedule is not None:
            # of the update that is about to happen, so never exactly 0
            rate = schedule(self.optimizer_step + 1, self.total_updates)
            factors = getattr(self.hparams, "lr_factors", {})
            for name, optimizer in self.optimizers_dict.items():
                for group in optimizer.param_groups:
                    group["lr"] = rate * factors.get(name, 1.0)

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time, steps_since_ckpt):
        wanted = super()._should_save_intra_epoch_ckpt(
            last_ckpt_time, steps_since_ckpt
        )
        # gradients of a half-filled window are not part of a checkpoint
        return wanted and self.step % self.grad_accumulation_factor == 0


class SafeCheckpointer(Checkpointer):
    """A Checkpointer whose checkpoints appear whole or not at all.

    SpeechBrain writes a checkpoint's description first, so that a run killed
    while saving would be resumed from half a checkpoint. Here the folder gets
    its name when everything is in it.

    Example
    -------
    >>> folder = getfixture("tmpdir")
    >>> checkpointer = SafeCheckpointer(folder, {"m": torch.nn.Linear(1, 1)})
    >>> checkpoint = checkpointer.save_checkpoint()
    >>> checkpoint.path == checkpointer.find_checkpoint().path
    True
    """

    def save_checkpoint(self, *args, **kwargs):
        """See ``speechbrain.utils.checkpoints.Checkpointer``."""
        if if_main_process():
            for leftover in self.checkpoints_dir.glob("partial+*"):
                shutil.rmtree(leftover)
        saved = super().save_checkpoint(*args, **kwargs)
        # every rank has written its part
        sb.utils.distributed.ddp_barrier()
        if saved is not None:
            final = saved.path.with_name(saved.path.name.split("+", 1)[1])
            os.replace(saved.path, final)
            files = {n: final / p.name for n, p in saved.paramfiles.items()}
            saved = Checkpoint(final, saved.meta, files)
        sb.utils.distributed.ddp_barrier()
        return saved

    def _new_checkpoint_dirpath(self):
        return self._partial(super()._new_checkpoint_dirpath())

    def _custom_checkpoint_dirpath(self, name):
        return self._partial(super()._custom_checkpoint_dirpath(name))

    @staticmethod
    def _partial(path):
        return path.with_name(f"partial+{path.name}")


class WarmupCosine:
    """Learning rate: a linear rise, then half a cosine down.

    Arguments
    ---------
    peak : float
        Rate at the end of the warm-up.
    warmup : float
        Share of the training that the rise takes, in [0, 1).
    final : float
        Rate at the end.

    Example
    -------
    >>> schedule = WarmupCosine(peak=1.0, warmup=0.1)
    >>> [round(schedule(update, 100), 3) for update in (5, 10, 55, 100)]
    [0.5, 1.0, 0.5, 0.0]
    """

    def __init__(self, peak, warmup=0.05, final=0.0):
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup must lie in [0, 1), got {warmup}.")
        self.peak = peak
        self.warmup = warmup
        self.final = final

    def __call__(self, update, updates):
        """Rate of an update (counted from 1) out of so many."""
        progress = update / updates
        if progress < self.warmup:
            return self.peak * progress / self.warmup
        fall = (progress - self.warmup) / (1 - self.warmup)
        weight = 0.5 * (1 + math.cos(math.pi * fall))
        return self.final + (self.peak - self.final) * weight


class WarmupInverseSquareRoot:
    """Learning rate: a linear rise, then a fall as 1 / sqrt(update).

    What C2SER was trained with (section 3). SpeechBrain's ``NoamScheduler``
    has this shape; this one depends on the update alone, so that several
    optimisers share it and a restart needs no state.

    Arguments
    ---------
    peak : float
        Rate at the end of the warm-up.
    warmup_updates : int
        Updates that the rise takes.

    Example
    -------
    >>> schedule = WarmupInverseSquareRoot(peak=1.0, warmup_updates=100)
    >>> [schedule(update, 1000) for update in (50, 100, 400)]
    [0.5, 1.0, 0.5]
    """

    def __init__(self, peak, warmup_updates):
        if warmup_updates < 1:
            raise ValueError(
                f"warmup_updates must be 1 or more, got {warmup_updates}."
            )
        self.peak = peak
        self.warmup_updates = warmup_updates

    def __call__(self, update, updates):
        """Rate of an update (counted from 1); their number does not matter."""
        share = update / self.warmup_updates
        return self.peak * min(share, share**-0.5)


@register_checkpoint_hooks
class RunningMeans:
    """Means of named numbers over an epoch, which survive a restart in it.

    Example
    -------
    >>> means = RunningMeans()
    >>> means.add({"loss": 1.0})
    >>> means.add({"loss": 3.0, "accuracy": 0.5})
    >>> means.take()
    {'loss': 2.0, 'accuracy': 0.5}
    >>> means.take()
    {}
    """

    def __init__(self):
        self._sums = {}

    def add(self, numbers):
        """Count one value per name; names may come and go."""
        for name, value in numbers.items():
            total, count = self._sums.get(name, (0.0, 0))
            if isinstance(value, torch.Tensor):
                value = value.detach()
            self._sums[name] = (total + float(value), count + 1)

    def take(self):
        """The means so far; starts anew."""
        means = {n: total / count for n, (total, count) in self._sums.items()}
        self._sums = {}
        return means

    @mark_as_saver
    def _save(self, path):
        Path(path).write_text(json.dumps(self._sums), encoding="utf-8")

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        sums = json.loads(Path(path).read_text(encoding="utf-8"))
        self._sums = {} if end_of_epoch else sums


class EpochLog:
    """One JSON line per epoch: the learning curve for reports.

    Arguments
    ---------
    path : str or Path
        The file, usually ``train_log.jsonl``.

    Example
    -------
    >>> log = EpochLog(getfixture("tmpdir") / "train_log.jsonl")
    >>> log.write(1, train_loss=2.0)
    >>> log.write(2, train_loss=1.5)
    >>> log.write(2, train_loss=1.0)  # epoch 2 was repeated after a restart
    >>> log.read()
    [{'epoch': 1, 'train_loss': 2.0}, {'epoch': 2, 'train_loss': 1.0}]
    """

    def __init__(self, path):
        self.path = Path(path)

    def read(self):
        """All lines so far, as a list of dict."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    @main_process_only
    def write(self, epoch, **numbers):
        """Add an epoch; lines of this or a later epoch are replaced."""
        lines = [line for line in self.read() if line["epoch"] < epoch]
        lines.append({"epoch": epoch, **numbers})
        temporary = self.path.with_name(self.path.name + ".partial")
        temporary.write_text(
            "".join(json.dumps(line) + "\n" for line in lines),
            encoding="utf-8",
        )
        os.replace(temporary, self.path)


def seed_from(*position):
    """Seed Python's, numpy's and torch's generators from a position.

    Arguments
    ---------
    *position : int or str
        Anything that names a place in the training; the same place always
        draws the same.

    Returns
    -------
    int
        The seed, in [0, 2**32).

    Example
    -------
    >>> _ = seed_from(1, "TRAIN", 7)
    >>> first = torch.rand(3)
    >>> _ = seed_from(1, "TRAIN", 7)
    >>> bool((torch.rand(3) == first).all())
    True
    """
    digest = hashlib.sha256("/".join(map(str, position)).encode()).digest()
    seed = int.from_bytes(digest[:4], "little")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return seed
