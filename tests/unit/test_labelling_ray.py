"""Labelling on a Ray cluster: the same result, whatever of it dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytest.importorskip("ray", reason="Ray (extra scale) is not installed")

from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.importers.arrow_tables import read_rows
from speechbrain_c2ser.labelling.ray_engine import on_ray
from speechbrain_c2ser.labelling.run import label_shards
from speechbrain_c2ser.labelling.sources import plan_shards
from speechbrain_c2ser.labelling.stages import Agreement, Stage

LABELS = ["angry", "sad"]


class Hears(Stage):
    """Answers by the id; does once what marker files of a folder ask for."""

    def __init__(self, folder):
        self.folder = folder
        self.constructor_arguments = {}

    def __call__(self, items):
        for item in items:
            if item.id == "u17" and self._is_asked("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            if item.id == "u37" and self._is_asked("lose"):
                self._wait()
            share = (int(item.id[1:]) % 7) / 7
            item.row["duration"] = 1.0
            item.answers["m"] = {"labels": {"sad": share, "angry": 1 - share}}
            if item.id == "u5":
                raise RuntimeError("no u5")

    def _is_asked(self, act):
        try:
            os.unlink(os.path.join(self.folder, act))
        except FileNotFoundError:
            return False
        return True

    def _wait(self):
        """Tell where this is, until it is no more."""
        from ray import get_runtime_context

        write_atomic(
            get_runtime_context().get_node_id(),
            os.path.join(self.folder, "node"),
        )
        time.sleep(300)

    def describe(self):
        return {"stage": "Hears"}


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """A table of 40 rows in shards of 10."""
    folder = tmp_path_factory.mktemp("pool")
    rows = [{"id": f"u{n}", "wav": f"{n}.wav"} for n in range(40)]
    table = folder / "pool.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return table


@pytest.fixture(scope="module")
def cluster():
    """A head without workers and two nodes, for all tests of this file."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # Ray puts its workers 15 below: on a busy machine they never start.
        patch.setenv("RAY_worker_niceness", "0")
        # Workers find the stage of this file.
        paths = [os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        memory = {"object_store_memory": 80 << 20}
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0, "include_dashboard": False, **memory,
                # A dead node is told after 3 s; as it comes, 30.
                "_system_config": {
                    "health_check_period_ms": 1000,
                    "health_check_failure_threshold": 3,
                    "health_check_initial_delay_ms": 20000,
                },
            },
        )  # fmt: skip
        nodes = [cluster.add_node(num_cpus=2, **memory) for _ in range(2)]
        cluster.wait_for_nodes()
        ray.init(
            address=cluster.address, log_to_driver=False, logging_level="ERROR"
        )
        cluster.workers = {node.node_id: node for node in nodes}
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def label(pool, out, engine, markers="nowhere"):
    stages = [Hears(str(markers)), Agreement(LABELS)]
    counts = label_shards(plan_shards(pool, 10), stages, out, engine)
    rows = [
        row
        for path in sorted((out / "shards").iterdir())
        for row in read_rows(path)
    ]
    manifest = dict(ArrowManifest(out / "labelled.arrow").items())
    return counts, rows, manifest


def test_what_ends_a_run_is_told_without_rays_frames(pool, tmp_path, cluster):
    with pytest.raises(ValueError, match="needs 2 GPU, the Ray cluster has 0"):
        label(pool, tmp_path / "g", on_ray(2, gpus=2))
    from speechbrain_c2ser.labelling import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "versions_of", lambda names: {"torch": "0.1"})
        with pytest.raises(RuntimeError, match=r"^\S+ has torch .* 0\.1\)"):
            label(pool, tmp_path / "v", on_ray(1))
    assert not (tmp_path / "v" / "shards").exists()


DRIVER = """
import os, signal, sys
from pathlib import Path
from test_labelling_ray import label, on_ray
pool, out, markers, address = sys.argv[1:]
def dying(shards, labeller):
    yield from on_ray(1, address=address)(shards[:2], labeller)
    os.kill(os.getpid(), signal.SIGKILL)
label(Path(pool), Path(out), dying, markers)
"""


@pytest.mark.slow
def test_a_worker_the_driver_and_a_node_that_die_change_nothing(
    pool, tmp_path, cluster
):
    plain = label(pool, tmp_path / "plain", None)
    assert plain[0]["failed"] == 1 and plain[0]["labelled"] == 39
    out, markers = tmp_path / "out", tmp_path / "markers"
    markers.mkdir()
    (markers / "kill").touch()
    words = [sys.executable, "-c", DRIVER, str(pool), str(out), str(markers)]
    done = subprocess.run([*words, cluster.address], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (markers / "kill").exists()  # the worker has died before
    names = sorted(path.name for path in (out / "shards").iterdir())
    assert names == ["pool-00000.parquet", "pool-00001.parquet"]
    (markers / "lose").touch()

    def lose():
        while not (markers / "node").exists():
            time.sleep(0.02)
        node = cluster.workers[(markers / "node").read_text()]
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=lose, daemon=True)
    thread.start()
    assert label(pool, out, on_ray(2), markers) == plain
    assert (markers / "node").exists() and not thread.is_alive()
    assert len(cluster.list_all_nodes()) == 2  # the head, and the other one
