"""benchmarks/gpu_report.py: dry on the processor; what goes wrong is told."""

import importlib
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from device import DEVICE

from speechbrain_c2ser.lobes import PUBLIC


@pytest.fixture(scope="module")
def script(benchmark):
    return benchmark("gpu_report")


@pytest.fixture
def run_of(script, tmp_path):
    """run_of(part, seconds) -> the rows of a part, run here, dry."""

    parts = dict(script.PARTS)

    def rows(part, seconds=600.0):
        path = tmp_path / "rows.jsonl"
        run = script.Run(DEVICE, True, seconds, tmp_path, path)
        parts[part][0](run)
        return [json.loads(line) for line in path.read_text().splitlines()]

    return rows


def test_every_lobe_is_checked(script, run_of):
    tiny = importlib.import_module("gpu.lobes")
    assert set(tiny.LOBES) | tiny.NOT_BUILT == set(PUBLIC)
    rows = run_of("lobes")
    assert [row["case"] for row in rows] == list(tiny.LOBES)
    for row in rows:
        assert row.get("ok"), row
    assert sum(row["bf16"] > 0 for row in rows) > 30


@pytest.mark.parametrize("part", ["model", "group", "resume", "compile"])
def test_a_check_is_right_on_the_processor(run_of, part):
    rows = run_of(part)
    assert rows and not any("error" in row for row in rows), rows
    assert all(row.get("ok", True) for row in rows), rows
    assert any("ok" in row for row in rows)


def test_a_lobe_that_computes_otherwise_is_told(script, run_of, monkeypatch):
    tiny = importlib.import_module("gpu.lobes")
    calls = []

    def drifting(head, x):
        calls.append(1)
        return head(x["vector"]) + 1e-3 * len(calls)

    build = tiny.LOBES["CategoryHead"][0]
    monkeypatch.setattr(tiny, "LOBES", {"CategoryHead": (build, drifting)})
    (row,) = run_of("lobes")
    assert row["ok"] is False and row["fp32"] > 1e-4


@pytest.mark.parametrize("part", ["machine", "classify", "stage_0"])
def test_a_workload_has_its_figures(script, run_of, part, monkeypatch):
    monkeypatch.setitem(script.table.SIDE, "cpu", 64)
    rows = run_of(part)
    assert not any("error" in row for row in rows), rows
    if part == "machine":
        assert rows[0]["peak"] > 1e6
        return
    assert len(rows) >= (1 if part == "stage_0" else 2)
    for row in rows:
        speed = row["utterances_per_second"], row["audio_hours_per_hour"]
        assert min(speed) > 0 and row["mfu"] > 0


def test_the_peak_is_the_cards_data_sheet(script, monkeypatch):
    monkeypatch.setitem(script.table.SIDE, "cpu", 64)
    script.table.peak.cache_clear()
    sheet, measured = script.table.peak("cpu")
    assert sheet == measured > 0


def broken(run):
    run.case("first", lambda: {"ok": True})
    run.case("second", lambda: torch.zeros(2) @ torch.zeros(3))
    run.case("third", lambda: {"ok": False, "fp32": 0.5})
    if run.left() < 100:
        run.case("killed", time.sleep, 600)
    raise ValueError("no third part")


def test_a_part_that_fails_costs_no_other(script, tmp_path, monkeypatch):
    parts = {
        "lobes": (broken, 0.5),
        "nf4": (script.checks.nf4, 0.25),
        "features": (lambda run: sys.exit(3), 0.25),
    }
    monkeypatch.setattr(script, "PARTS", parts)
    words = ["--dry", "--out", tmp_path / "out", "--parts", *parts]
    monkeypatch.setattr(sys, "argv", ["gpu_report.py", *map(str, words)])
    assert script.main() == 1
    report = json.loads((tmp_path / "out" / "gpu_report.json").read_text())
    assert list(report["parts"]) == list(parts)
    failed = script.failures(report)
    assert [line.split(":")[0] for line in failed] == [
        "lobes, second",
        "lobes, third",
        "lobes, its beginning",
        "features",
    ]
    assert "fp32 0.5" in failed[1] and "no third part" in failed[2]
    assert "its process ended with 3" in failed[3]
    assert script.skipped(report) == ["nf4, nf4: four-bit weights need CUDA"]
    page = (tmp_path / "out" / "gpu_report.md").read_text()
    assert "| lobes | 1 of 4 | 0 |" in page and failed[3] in page


def test_a_part_ends_with_its_time(script, tmp_path, monkeypatch, run_of):
    monkeypatch.setattr(script, "PARTS", {"lobes": (broken, 1.0)})
    monkeypatch.setattr(script, "GRACE", 0.5)
    options = SimpleNamespace(device="cpu", dry=True, threads=1)
    part = script.run_part("lobes", options, 1.0, tmp_path)
    assert "longer than its 1 s" in part["stopped"]
    assert [row["case"] for row in part["rows"]] == ["first", "second", "third"]
    (row,) = run_of("nf4", seconds=0.0)
    assert row["skipped"] == "no time was left"


def test_without_a_card_the_remedy_is_named(script, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_report.py", "--out", "nowhere"])
    with pytest.raises(SystemExit) as stop:
        script.main()
    assert stop.value.code == 2 and "give --dry" in capsys.readouterr().err
    assert not Path("nowhere").exists()
