"""What every training recipe shares: exact resume, loud failure, a log.

A run that is killed at any moment and started again gives the losses of an
uninterrupted run: checkpoints appear whole or not at all, they hold the
position in the epoch, and all randomness is drawn from the position in the
training rather than carried along.
"""

import math
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from types import MappingProxyType

import speechbrain as sb
import torch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.dataio.sampler import DistributedSamplerWrapper
from speechbrain.utils.distributed import (
    ddp_all_reduce,
)
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from speechbrain_c2ser.data.sampling import BatchesInTurn
from speechbrain_c2ser.host import to_device
from speechbrain_c2ser.training.optimizers import (
    make_optimizers,
    split_by_decay,
)
from speechbrain_c2ser.training.seeds import seed_from
from speechbrain_c2ser.training.shared_validation import (
    Turns,
    evaluate_together,
    in_turn,
)


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite."""


class TrainingBrain(sb.Brain):
    """A Brain that resumes exactly, counts every batch and stops on NaN.

    - Before each batch all random generators are seeded from (seed, update,
      batch of the epoch, rank), so there is no generator state to save, ranks
      differ, and every validation draws the same. Draw augmentation,
      masks and prompts in ``compute_forward``, not in loader workers.
    - The last batches of an epoch make a smaller accumulation window instead
      of being dropped; a checkpoint within an epoch waits for a window's end.
    - ``progress`` is the share of all updates that is done, for schedules.
      Where hparams hold ``lr_schedule``, ``lr_schedule(update, updates)`` is
      the learning rate of every optimiser before each update.
    - Where hparams hold ``optimizer_parts`` (name → module), each part of the
      model has an optimiser of its own, whose rate is multiplied by its
      factor where ``lr_factors`` (name → factor) holds one.
    - Where they hold ``undecayed`` (names) instead, vectors and what is named
      have an optimiser of their own, without weight decay.
    - Under DDP the training loss is the mean over all ranks, as one process
      with as many batches in an update would report it.
    - Under DDP each rank validates a share of the batches. ``validated`` names
      the lists that a validation adds to (``"scores"``, ``"results.rows"``):
      at the stage's end each rank has all of them, as one process would.
    - Where hparams hold ``sharding`` (:class:`.sharding.FullySharded`), ranks
      divide the model among them instead of holding a copy each, and all of
      them validate every batch: they compute each layer together.
    - A loss that is not finite ends the run and names the batch.

    - Python waits for a device once in a batch, for the loss; what is in
      ``watched`` (name → number) comes with it, as numbers of the host.

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

    validated: tuple[str, ...] = ()
    watched: Mapping[str, torch.Tensor] = MappingProxyType({})

    def fit(
        self,
        epoch_counter,
        train_set,
        valid_set=None,
        progressbar=None,
        train_loader_kwargs=None,
        valid_loader_kwargs=None,
    ) -> None:
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
        sampler = loader_kwargs.get("batch_sampler")
        if self.distributed_launch and isinstance(sampler, BatchesInTurn):
            # SpeechBrain's wrapper would list all batches in each rank
            sampler.take_turns(self.rank, torch.distributed.get_world_size())
            self.train_sampler = sampler
            return loader_kwargs
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

    def make_dataloader(
        self, dataset, stage, ckpt_prefix="dataloader-", **loader_kwargs
    ):
        """See ``speechbrain.Brain``; in validation, this rank's share.

        For a GPU batches are pinned, unless ``pin_memory`` says otherwise.
        """
        if loader_kwargs.get("pin_memory") is None:
            loader_kwargs["pin_memory"] = self.device_type == "cuda"
        apart = self.distributed_launch and self.sharding is None
        if stage == sb.Stage.VALID and apart:
            ranks = torch.distributed.get_world_size()
            loader_kwargs = in_turn(dataset, loader_kwargs, self.rank, ranks)
        return super().make_dataloader(
            dataset, stage, ckpt_prefix, **loader_kwargs
        )

    def _fit_valid(self, valid_set, epoch, enable):
        if not isinstance(getattr(valid_set, "batch_sampler", None), Turns):
            super()._fit_valid(valid_set, epoch, enable)
            return
        self.on_stage_start(sb.Stage.VALID, epoch)
        self.modules.eval()
        loss = evaluate_together(self, valid_set, sb.Stage.VALID, enable)
        self.on_stage_end(sb.Stage.VALID, loss, epoch)

    @property
    def progress(self):
        """Share of all updates that is done, in [0, 1]."""
        return min(1.0, self.optimizer_step / self.total_updates)

    @property
    def sharding(self):
        """What divides the model among ranks, or None."""
        sharding = getattr(self.hparams, "sharding", None)
        return sharding if self.distributed_launch else None

    def _wrap_distributed(self):
        if self.sharding is None:
            super()._wrap_distributed()
        else:
            self.sharding.shard(self.modules, self.device)

    def init_optimizers(self) -> None:
        """One optimiser, or one for each of the yaml's ``optimizer_parts``."""
        parts = getattr(self.hparams, "optimizer_parts", None)
        undecayed = getattr(self.hparams, "undecayed", None)
        if parts is not None:
            factors = getattr(self.hparams, "lr_factors", {})
            self.optimizers_dict = make_optimizers(
                self.opt_class, parts, self.modules, factors
            )
        elif undecayed is not None:
            self.optimizers_dict = split_by_decay(
                self.opt_class, self.modules, undecayed
            )
        else:
            super().init_optimizers()
            return
        if self.checkpointer is not None:
            for name, optimizer in self.optimizers_dict.items():
                if self.sharding is not None:
                    optimizer = self.sharding.recoverable(optimizer)
                self.checkpointer.add_recoverable(
                    f"optimizer_{name}", optimizer
                )

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
            losses = self._sent_to_host(loss.detach())
            self.scaler.scale(loss / size).backward()
        own, mean, *others = losses()
        self.watched = dict(zip(self.watched, others, strict=True))
        self._require_finite(own, batch)  # before anything is learned of it
        if should_step:
            self._set_learning_rate()
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return mean

    def _sent_to_host(self, loss):
        """A loss on its way to the host, while the device computes on.

        Returns what waits for it (for the forward pass, not the backward one
        behind it): this rank's loss, the mean over ranks, what is watched.
        """
        numbers = torch.stack(
            [loss, self._mean_over_ranks(loss), *self.watched.values()]
        ).detach()
        if not numbers.is_cuda:
            return numbers.cpu().unbind
        copy, arrived = numbers.to("cpu", non_blocking=True), torch.cuda.Event()
        arrived.record()

        def wait():
            arrived.synchronize()
            return copy.unbind()

        return wait

    def waveforms(self, batch):
        """A batch's waveforms on their way to the device, with lengths.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            With ``sig``, on the host.

        Returns
        -------
        wavs : torch.Tensor
            [B, T].
        wav_lens : torch.Tensor
            Relative lengths [B], known on the host as well.
        """
        wavs = batch.sig.data.to(self.device, non_blocking=True)
        return wavs, to_device(batch.sig.lengths, self.device)

    def _mean_over_ranks(self, loss):
        if not self.distributed_launch:
            return loss
        total = ddp_all_reduce(loss.clone(), torch.distributed.ReduceOp.SUM)
        return total / torch.distributed.get_world_size()

    def _attention(self):
        """Kernels of scaled-dot-product attention: torch's choice, mostly."""
        if self.device_type == "cuda" or self.precision == "fp32":
            return nullcontext()
        return plain_attention()

    def evaluate_batch(self, batch, stage):
        """One batch without gradient, the same draws at every evaluation."""
        self._seed(stage)
        evaluate = super().evaluate_batch
        if self.sharding is not None:
            return self.sharding.run(evaluate, batch, stage)
        return evaluate(batch, stage)

    def _seed(self, stage):
        training = stage == sb.Stage.TRAIN
        rank = self.rank if self.distributed_launch and training else 0
        update = self.optimizer_step if training else 0
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


@contextmanager
def plain_attention():
    """Scaled-dot-product attention as products of matrices in bf16.

    On a processor the fused kernel's backward pass takes two to three times
    as long behind a few hundred positions, and so do products in fp32, which
    torch makes of bf16 unless it is told not to. (In fp32 the fused kernel
    is the faster one.)
    """
    backends = torch.backends.cuda  # where torch keeps it for processors, too
    allowed = backends.fp16_bf16_reduction_math_sdp_allowed()
    backends.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        backends.allow_fp16_bf16_reduction_math_sdp(allowed)
