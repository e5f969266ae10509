"""Pictures of what C2SER costs."""

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import cost_curves  # noqa: E402


def test_a_precision_is_measured_in_a_process_of_its_own():
    figures = cost_curves.elsewhere("fp32", "tiny", [0.5, 1.0], 2, 2)
    assert list(figures["seconds_per_second"]) == ["0.5", "1.0"]
    assert min(figures["seconds_per_second"].values()) > 0
    assert figures["peak_mib"] >= figures["weights_mib"] > 100


def test_seconds_are_those_of_a_second_of_audio(monkeypatch):
    """Loading and warming up are not timed; memory is in MiB."""
    clock, asked = [0.0], []

    class Interface:
        def classify_files(self, paths, batch_size, progress):
            asked.append((len(paths), batch_size))
            clock[0] += 100.0 if len(paths) == 1 else 6.0
            return [Namespace(error=None)] * len(paths)

    def build(*settings):
        clock[0] += 1000.0
        return Interface()

    monkeypatch.setattr(importlib.import_module("c2ser_speed"), "build", build)
    monkeypatch.setattr(cost_curves.time, "process_time", lambda: clock[0])
    memory = iter([2048, 5120])  # KiB
    monkeypatch.setattr(
        cost_curves.resource, "getrusage",
        lambda who: Namespace(ru_maxrss=next(memory)),
    )  # fmt: skip
    threads = torch.get_num_threads()
    figures = cost_curves.measure("fp32", "tiny", [0.5], 2, 3)
    torch.set_num_threads(threads)
    assert asked == [(1, 1), (3, 2)]
    assert figures == {
        "weights_mib": 2.0, "peak_mib": 5.0,
        "seconds_per_second": {"0.5": 4.0},
    }  # fmt: skip


def test_a_recording_that_fails_is_no_figure(monkeypatch):
    failed = Namespace(error="too short")
    interface = Namespace(classify_files=lambda paths, *_, **__: [failed])
    monkeypatch.setattr(
        importlib.import_module("c2ser_speed"), "build", lambda *_: interface
    )
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="too short"):
        cost_curves.measure("fp32", "tiny", [0.5], 1, 1)
    torch.set_num_threads(threads)


def test_each_batch_size_has_its_process_and_all_is_drawn(
    tmp_path, monkeypatch
):
    asked = []

    def told(precision, size, lengths, batch_size, count):
        asked.append((precision, lengths, batch_size, count))
        return {
            "weights_mib": 100.0,
            "peak_mib": 100.0 + batch_size,
            "seconds_per_second": {str(each): 0.1 for each in lengths},
        }

    monkeypatch.setattr(cost_curves, "elsewhere", told)
    report = cost_curves.curves(
        Namespace(
            precisions=["fp32", "bf16"],
            size="tiny",
            lengths=[1.0, 30.0],
            batches=[1, 10],
        )
    )
    assert asked[:3] == [
        ("fp32", [1.0, 30.0], 4, 4),
        ("fp32", [5.0], 1, 1),
        ("fp32", [5.0], 10, 10),
    ]
    assert len(asked) == 6
    assert report["bf16"]["batches"]["10"]["peak_mib"] == 110
    json.dumps(report)
    pytest.importorskip("matplotlib")
    cost_curves.draw(report, tmp_path / "pictures")
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [picture.stem for picture in pictures] == [
        "memory_by_batch", "time_by_batch", "time_by_length",
    ]  # fmt: skip
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 100_000


def test_an_error_of_the_measure_is_one_here(capfd):
    with pytest.raises(subprocess.CalledProcessError):
        cost_curves.elsewhere("fp64", "tiny", [1.0], 1, 1)
    assert "fp64" in capfd.readouterr().err
