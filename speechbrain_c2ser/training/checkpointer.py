"""Checkpoints that survive a kill at any moment."""

import os
import shutil

import speechbrain as sb
from speechbrain.utils.checkpoints import (
    Checkpoint,
    Checkpointer,
)
from speechbrain.utils.distributed import (
    if_main_process,
)


class SafeCheckpointer(Checkpointer):
    """A Checkpointer whose checkpoints appear whole or not at all.

    SpeechBrain writes a checkpoint's description first, so that a run killed
    while saving would be resumed from half a checkpoint. Here the folder gets
    its name when everything is in it.

    Example
    -------
    >>> import torch
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
