"""What a run that goes on must have in common with the one it goes on from."""

import json
from pathlib import Path

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)


@register_checkpoint_hooks
class Fixed:
    """Recoverable of settings without which weights mean something else.

    Outputs are told apart by their places: resumed with other labels, what
    was learned for one of them would become another.

    Arguments
    ---------
    name : str
        What they are, for the message.
    value : object
        As JSON.

    Example
    -------
    >>> path = getfixture("tmpdir") / "labels"
    >>> Fixed("labels", ["angry", "sad"])._save(path)
    >>> Fixed("labels", ["happy", "sad"])._load(path, False)
    Traceback (most recent call last):
    ...
    ValueError: The checkpoint has the labels ["angry", "sad"], this run has
    ["happy", "sad"]: choose another output_folder.
    """

    def __init__(self, name: str, value: object):
        self.name = name
        self.value = value

    @mark_as_saver
    def _save(self, path):
        Path(path).write_text(json.dumps(self.value), encoding="utf-8")

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        saved = Path(path).read_text(encoding="utf-8")
        mine = json.dumps(self.value)
        if saved != mine:
            raise ValueError(
                f"The checkpoint has the {self.name} {saved}, this run has "
                f"{mine}: choose another output_folder."
            )
