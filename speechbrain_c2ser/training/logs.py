"""Running means of a stage and the log of epochs."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import (
    main_process_only,
)

from speechbrain_c2ser.data.atomic import write_atomic


@register_checkpoint_hooks
class RunningMeans:
    """Means of named numbers over an epoch, which survive a restart in it.

    A tensor is added up where it is: Python does not wait for its value.

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

    def add(self, numbers) -> None:
        """Count one value per name; names may come and go."""
        for name, value in numbers.items():
            total, count = self._sums.get(name, (0.0, 0))
            if not isinstance(value, torch.Tensor):
                value = float(value)
            elif value.device.type == "mps":  # has no float64
                value = float(value.detach())
            else:
                value = value.detach().double()
            self._sums[name] = (total + value, count + 1)

    def take(self):
        """The means so far; starts anew."""
        sums, self._sums = self._known(), {}
        return {name: total / count for name, (total, count) in sums.items()}

    def _known(self):
        return {n: (float(total), c) for n, (total, c) in self._sums.items()}

    @mark_as_saver
    def _save(self, path):
        Path(path).write_text(json.dumps(self._known()), encoding="utf-8")

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        sums = json.loads(Path(path).read_text(encoding="utf-8"))
        self._sums = {} if end_of_epoch else sums


def means_of(numbers: Iterable[dict]) -> dict[str, float]:
    """The means of named numbers, each over those who have it.

    Arguments
    ---------
    numbers : iterable of dict
        Name → number, such as of each batch.

    Returns
    -------
    dict
        Name → mean.

    Example
    -------
    >>> means_of([{"loss": 1.0}, {"loss": 3.0, "accuracy": 0.5}])
    {'loss': 2.0, 'accuracy': 0.5}
    """
    means = RunningMeans()
    for each in numbers:
        means.add(each)
    return means.take()


class EpochLog:
    """One JSON line per epoch: the learning curve for reports.

    Arguments
    ---------
    path : str | Path
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

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def read(self):
        """All lines so far, as a list of dict."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    @main_process_only
    def write(self, epoch, **numbers) -> None:
        """Add an epoch; lines of this or a later epoch are replaced."""
        lines = [line for line in self.read() if line["epoch"] < epoch]
        lines.append({"epoch": epoch, **numbers})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_atomic(text, self.path)
