"""benchmarks/useful_work.py: what counts as useful, and what as worse."""

import importlib
import json
import sys

import pytest
import torch


@pytest.fixture(scope="module")
def script(benchmark):
    return benchmark("useful_work")


@pytest.fixture(scope="module")
def inference(script, tmp_path_factory):
    """inference(name, seconds) -> share of useful operations."""
    folder = tmp_path_factory.mktemp("clips")
    c2ser = script.c2ser_speed.build("tiny", "cpu", "float32")

    def share(name, seconds):
        rows = script.c2ser_training.write_corpus(folder, seconds)
        workload = script.Inference(name, c2ser)
        paths = [row["wav"] for row in rows.values()]
        return script.measure(workload, paths, repeats=0)["useful_share"]

    return share


@pytest.mark.parametrize("name", ["features", "classify"])
def test_equal_clips_leave_nothing_useless(inference, name):
    assert inference(name, [0.8] * 3) == pytest.approx(1, abs=1e-6)


def test_what_is_read_again_is_not_useful(script, inference, monkeypatch):
    monkeypatch.setattr("workloads.inference.NEW_TOKENS", 4)
    assert 0.9 < inference("describe", [0.8] * 2) < 0.999


@pytest.mark.parametrize("name", ["stage_0", "stage_1", "classifier"])
def test_padding_in_training_is_not_useful(script, tmp_path, name, monkeypatch):
    folder = tmp_path / name
    workload = script.Training(name, "tiny", folder).open([0.4, 1.6])

    def share():
        return script.measure(workload, repeats=0)["useful_share"]

    # each clip is a batch, or the two stand one behind the other; masks are
    # drawn anew: stage 0 does not do the very same again
    assert share() == pytest.approx(1, abs=0.12)
    if name == "classifier":
        networks = "speechbrain_c2ser.lobes.classifier.networks"
        monkeypatch.setattr(f"{networks}.row_of", lambda *args: None)
    workload.loader = {**workload.loader, "batch_sampler": [[0, 0]]}
    assert share() == pytest.approx(1, abs=0.02)  # of what is drawn
    workload.loader = {**workload.loader, "batch_sampler": [[0, 1]]}
    assert share() < 0.9


def test_a_lower_ratio_is_told(script, tmp_path):
    old = {"tiny/classify/short/32": {"useful_share": 0.9}}
    old["tiny/classify/short/32"]["machine_share"] = 0.5
    now = json.loads(json.dumps(old))
    assert script.regressions(now, old) == []
    now["tiny/classify/short/32"] = {"useful_share": 0.8, "machine_share": 0.3}
    useful, machine = script.regressions(now, old)
    assert useful == "tiny/classify/short/32: useful_share 0.800, was 0.900"
    assert "machine_share 0.300" in machine
    with pytest.raises(ValueError, match="No workload"):
        script.regressions(now, {})
    path = tmp_path / "stored.json"
    script.store(old, path)
    script.store({"other": {}}, path)
    assert set(json.loads(path.read_text())["workloads"]) == {*old, "other"}


def test_a_wait_for_values_is_counted(script):
    """A batch lies on the device; what was made or fetched, on the host."""
    counting = importlib.import_module("workloads.counting")
    batch = torch.tensor([1.0, 2.0])

    def step():
        mask = batch > 1.0
        batch[mask]  # 1: how many?
        lengths = batch.sum().cpu()  # 2
        if lengths > 1 and float(lengths * 2) > 1:  # on the host by now
            torch.arange(3).tolist()
        torch.tensor([1]).to(batch.device).item()  # 3: sent there
        torch.zeros(1, device=batch.device).item()  # 4: made there
        batch.to(torch.float64).tolist()  # 5
        batch[torch.tensor([0, 1])] + batch[0:1]

    def around():
        batch.tolist()  # not within the step
        step()

    within = counting.host_reads(around, within="step")
    (place, reads), *others = counting.host_reads(step).items()
    assert not others and place[1] == "step" and reads == 5
    assert within == {place: 5}


@pytest.mark.parametrize(
    "name", ["stage_0", "stage_1", "stage_2", "classifier"]
)
def test_python_waits_in_a_step_for_the_loss_alone(script, tmp_path, name):
    workload = script.Training(name, "tiny", tmp_path / "run")
    workload.open([0.8, 0.8, 1.6, 1.6, 1.7, 1.7])
    workload()  # the optimiser's state is made in the first step
    assert workload.host_reads() == 1


def test_more_waiting_is_told(script):
    old = {"tiny/stage_1": {"host_reads": 9.0}}
    now = {"tiny/stage_1": {"host_reads": 10.0}}
    assert script.regressions(old, now) == []
    (worse,) = script.regressions(now, old)
    assert worse == "tiny/stage_1: host_reads 10.0, was 9.0"


def test_shared_rows_are_measured(script, monkeypatch, capsys):
    module = importlib.import_module("packed_rows")
    monkeypatch.setattr(sys, "argv", ["packed_rows.py", "--repeats=1"])
    monkeypatch.setattr(module, "RATE", 1.0)
    threads = torch.get_num_threads()
    module.main()
    torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()
    assert sum("not padding; time ratio" in line for line in lines) == 4
