"""Labelling on Ray: the same result, also when workers die."""

import json
import os
import signal

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytest.importorskip("ray", reason="Ray (extra scale) is not installed")

from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.importers.arrow_tables import read_rows
from speechbrain_c2ser.labelling.ray_engine import on_ray
from speechbrain_c2ser.labelling.run import label_shards
from speechbrain_c2ser.labelling.sources import plan_shards
from speechbrain_c2ser.labelling.stages import Agreement, Stage

LABELS = ["angry", "sad"]


class Hears(Stage):
    """Answers by the id; does once what a marker file asks for."""

    def __init__(self, marker, act):
        self.marker, self.act = marker, act
        self.constructor_arguments = {}

    def __call__(self, items):
        for item in items:
            if item.id == "u17":
                self._act()
            share = (int(item.id[1:]) % 7) / 7
            item.row["duration"] = 1.0
            item.answers["m"] = {"labels": {"sad": share, "angry": 1 - share}}
            if item.id == "u5":
                raise RuntimeError("no u5")

    def _act(self):
        try:
            os.unlink(self.marker)
        except FileNotFoundError:
            return
        if self.act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError("No space left on device")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """A table of 40 rows in shards of 10."""
    folder = tmp_path_factory.mktemp("pool")
    rows = [{"id": f"u{n}", "wav": f"{n}.wav"} for n in range(40)]
    table = folder / "pool.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return table


@pytest.fixture(scope="module")
def started():
    """Ray on this machine, for all tests of this file."""
    import ray

    # Ray puts its workers 15 below: on a busy machine they never start.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Workers find the stage of this file.
    paths = [os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]
    variables = {"PYTHONPATH": os.pathsep.join(paths)}
    ray.init(
        runtime_env={"env_vars": variables},
        num_cpus=5, include_dashboard=False, object_store_memory=100 << 20,
        log_to_driver=False, logging_level="ERROR",
    )  # fmt: skip
    yield ray
    ray.shutdown()


def label(pool, out, marker, act, engine):
    stages = [Hears(str(marker), act), Agreement(LABELS)]
    counts = label_shards(plan_shards(pool, 10), stages, out, engine)
    rows = [
        row
        for path in sorted((out / "shards").iterdir())
        for row in read_rows(path)
    ]
    manifest = dict(ArrowManifest(out / "labelled.arrow").items())
    return counts, rows, manifest


def test_a_worker_that_dies_changes_nothing(pool, tmp_path, started):
    marker = tmp_path / "marker"
    plain = label(pool, tmp_path / "plain", marker, "die", None)
    assert plain[0]["failed"] == 1 and plain[0]["labelled"] == 39
    whole = label(pool, tmp_path / "whole", marker, "die", on_ray(2))
    assert whole == plain
    marker.touch()
    disturbed = label(pool, tmp_path / "killed", marker, "die", on_ray(2))
    assert not marker.exists()  # it has died
    assert disturbed == plain


def test_what_ends_a_run_is_told_without_rays_frames(pool, tmp_path, started):
    with pytest.raises(ValueError, match="needs 2 GPU, the Ray cluster has 0"):
        label(pool, tmp_path / "g", tmp_path / "no", "die", on_ray(2, gpus=2))
    from speechbrain_c2ser.labelling import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "versions_of", lambda names: {"torch": "0.1"})
        with pytest.raises(RuntimeError, match=r"^\S+ has torch .* 0\.1\)"):
            label(pool, tmp_path / "v", tmp_path / "no", "die", on_ray(2))
    assert not (tmp_path / "v" / "shards").exists()
