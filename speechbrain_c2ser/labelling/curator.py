"""Emotion as a stage of NeMo Curator, for pipelines that run there already.

Curator's form (its ``ProcessingStage`` of 1.2 to 1.4): tasks with a manifest
row each in ``data``, which stages fill. Nothing else here imports this file;
without Curator it can be imported, too, but no stage made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from speechbrain_c2ser.data.weak import top_label
from speechbrain_c2ser.labelling.items import LABELLED, Item
from speechbrain_c2ser.labelling.shards import run_stages
from speechbrain_c2ser.labelling.stages import Stage
from speechbrain_c2ser.labelling.tars import row_of

try:
    from nemo_curator.stages.base import ProcessingStage
    from nemo_curator.stages.resources import Resources
except ImportError:
    ProcessingStage, Resources = object, None

PATH = "audio_filepath"  # Curator's name of a recording
SEGMENT = ("start", "stop", "duration")
OUTCOME, REASON = "emotion_outcome", "emotion_reason"


class EmotionStage(ProcessingStage):
    """Labels tasks of audio; each keeps its place and gets an outcome.

    Arguments
    ---------
    stages : sequence of Stage
        Of labelling, such as
        :func:`~speechbrain_c2ser.labelling.standard.standard_stages`; their
        models are loaded once in each worker.
    batch_size : int
        Tasks that a worker is given at once.
    cpus, gpus : float
        Of each worker.

    Raises
    ------
    ValueError
        If NeMo Curator is not installed.

    Example
    -------
    >>> from speechbrain_c2ser.labelling.stages import Agreement, Decode
    >>> EmotionStage([Decode(), Agreement(["sad"])])
    Traceback (most recent call last):
    ...
    ValueError: This stage is for NeMo Curator: pip install nemo-curator.
    """

    name = "speech_emotion"

    def __init__(
        self,
        stages: Sequence[Stage],
        batch_size: int = 64,
        cpus: float = 1.0,
        gpus: float = 0.0,
    ):
        if Resources is None:
            raise ValueError(
                "This stage is for NeMo Curator: pip install nemo-curator."
            )
        self.stages = list(stages)
        self.batch_size = batch_size
        self.resources = Resources(cpus=cpus, gpus=gpus)

    def inputs(self) -> tuple[list[str], list[str]]:
        """What a task must have: ``data`` with the path of a recording."""
        return ["data"], [PATH]

    def outputs(self) -> tuple[list[str], list[str]]:
        """What it has then: an outcome, its reason, and the label if any."""
        return ["data"], [OUTCOME, REASON, "emotion", "weak"]

    def setup(self, worker_metadata: Any = None) -> None:
        """Load the models, once in each worker."""
        for stage in self.stages:
            stage.open()

    def process(self, task: Any) -> Any:
        """Label one task.

        Arguments
        ---------
        task : nemo_curator.tasks.AudioTask
            Its ``data``: ``audio_filepath`` (with ``offset`` and ``duration``
            of a stretch), or ``waveform`` and ``sample_rate``; perhaps
            ``text``, ``language``, ``gender``.

        Returns
        -------
        AudioTask
            The same; ``emotion_outcome`` is "labelled", "left out" or
            "failed".
        """
        return self.process_batch([task])[0]

    def process_batch(self, tasks: list) -> list:
        """Label many tasks.

        Arguments
        ---------
        tasks : list of AudioTask
            As of :meth:`process`.

        Returns
        -------
        list of AudioTask
            All of them: what is not wanted is left to the next stage.

        Raises
        ------
        RuntimeError
            If a model fails on all of many tasks.
        """
        items = [_item_of(task.data, n) for n, task in enumerate(tasks)]
        run_stages(items, self.stages)
        for task, item in zip(tasks, items, strict=True):
            for name in ("duration", "prosody", "style"):
                if name in item.row:
                    task.data[name] = item.row[name]
            task.data[OUTCOME], task.data[REASON] = item.outcome, item.reason
            is_labelled = item.outcome == LABELLED
            task.data["weak"] = item.row["weak"] if is_labelled else None
            task.data["emotion"] = top_label(task.data["weak"] or {})
        return tasks


def _item_of(data: Mapping, number: int) -> Item:
    """A row of Curator's as an item; its id is its place in the batch."""
    wave = data.get("waveform")
    fields = {k: v for k, v in data.items() if k not in ("waveform", PATH)}
    item = Item(str(number), row_of(fields))
    if wave is not None:
        item.audio = {"array": wave, "sampling_rate": data.get("sample_rate")}
        return item
    path = data.get(PATH)
    if not path:
        item.fail(f"its data holds no {PATH}")
        return item
    item.audio = str(path)
    told = {n: item.row[n] for n in SEGMENT if n in item.row}
    if "start" in told:
        item.audio = {"wav": str(path), **told}
    return item
