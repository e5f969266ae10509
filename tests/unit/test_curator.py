"""The stage for NeMo Curator: by a stand-in of its protocol, or by itself."""

import importlib
import pickle
import sys
import types
from dataclasses import dataclass, field

import pytest
import torch

from speechbrain_c2ser.labelling import curator
from speechbrain_c2ser.labelling.stages import Agreement, Decode, Limits, Stage

LABELS = ["angry", "sad"]


@dataclass
class Task:
    """As Curator's AudioTask: one manifest row."""

    data: dict = field(default_factory=dict)


class ProcessingStage:
    """What stands in for Curator's."""

    batch_size = 1


@dataclass
class Resources:
    """As Curator's."""

    cpus: float = 1.0
    gpus: float = 0.0


class Hears(Stage):
    """Sad is what is long; counts how often it was opened and called."""

    asks_model, name = True, "m"

    def __init__(self):
        self.constructor_arguments, self.model = {}, None
        self.calls = []

    def open(self):
        self.model = "loaded"

    def __call__(self, items):
        assert self.model == "loaded"
        self.calls.append(len(items))
        for item in items:
            share = min(item.row["duration"], 1.0)
            item.answers["m"] = {"labels": {"sad": share, "angry": 1 - share}}


@pytest.fixture
def stage_class(monkeypatch):
    """The stage over Curator, or over what stands in for its two classes."""
    try:
        import nemo_curator  # noqa: F401
    except ImportError:
        base = types.ModuleType("nemo_curator.stages.base")
        base.ProcessingStage = ProcessingStage
        resources = types.ModuleType("nemo_curator.stages.resources")
        resources.Resources = Resources
        for name in ("nemo_curator", "nemo_curator.stages"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, "nemo_curator.stages.base", base)
        monkeypatch.setitem(
            sys.modules, "nemo_curator.stages.resources", resources
        )
    yield importlib.reload(curator).EmotionStage
    monkeypatch.undo()
    importlib.reload(curator)


def test_tasks_get_an_outcome_and_keep_their_place(
    stage_class, tmp_path, write_wav
):
    long = str(write_wav(tmp_path / "long.wav", 1.0))
    short = str(write_wav(tmp_path / "short.wav", 0.3))
    hears = Hears()
    stages = [Decode(), Limits(shortest=0.2), hears, Agreement(LABELS)]
    stage = stage_class(stages, gpus=0.5)
    assert stage.resources.gpus == 0.5 and stage.batch_size == 64
    assert stage.inputs() == (["data"], ["audio_filepath"])
    # It travels to its worker without models, and is set up there.
    worker = pickle.loads(pickle.dumps(stage))
    worker.setup()
    hears = worker.stages[2]
    wave = torch.sin(torch.arange(16000) / 9)[None]
    tasks = [
        Task({"audio_filepath": long, "text": "oh no", "speaker": 3}),
        Task({"audio_filepath": short}),
        Task({"audio_filepath": str(tmp_path / "none.wav")}),
        Task({"waveform": wave, "sample_rate": 16000}),
        Task({"audio_filepath": long, "offset": 0.5, "duration": 0.1}),
        Task({}),
        Task({"audio_filepath": long, "start": 0.5, "end": 0.6}),
    ]
    results = worker.process_batch(tasks)
    assert [task is result for task, result in zip(tasks, results, strict=True)]
    assert hears.calls == [3]
    told = [task.data["emotion"] for task in results]
    assert told == ["sad", "angry", None, "sad", None, None, None]
    outcomes = [task.data["emotion_outcome"] for task in results]
    assert outcomes == [
        "labelled", "labelled", "failed", "labelled", "left out", "failed",
        "left out",
    ]  # fmt: skip
    assert results[0].data["weak"]["labels"] == {"sad": 1.0}
    assert results[0].data["duration"] == 1.0
    assert results[0].data["speaker"] == 3  # what was there stays
    assert "none.wav" in results[2].data["emotion_reason"]
    for segment in (results[4], results[6]):
        assert segment.data["emotion_reason"] == "shorter than 0.2 s"
    assert worker.process(Task({"audio_filepath": long})).data["emotion"]
    # Every name that it says to write is there.
    assert set(stage.outputs()[1]) <= set(results[0].data)


@pytest.mark.skipif(
    importlib.util.find_spec("nemo_curator") is not None,
    reason="NeMo Curator is installed",
)
def test_without_curator_the_stage_says_so():
    assert "nemo_curator" not in sys.modules
    with pytest.raises(ValueError, match="pip install nemo-curator"):
        curator.EmotionStage([Decode()])
