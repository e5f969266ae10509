"""Labelling on Ray: shards go to actors that load their models once.

Ray Data (arXiv 2501.12407) hands out the shards, starts an actor that died
anew and gives it the shard again; a shard's result is one file, so that it
stays the same however often it was begun.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from speechbrain_c2ser.labelling.run import Engine
from speechbrain_c2ser.labelling.shards import ShardLabeller
from speechbrain_c2ser.labelling.sources import Shard

STORE = 100 << 20  # bytes of Ray's object store on this machine: names only


def on_ray(
    workers: int = 2,
    cpus: float = 1,
    gpus: float = 0,
    address: str | None = None,
) -> Engine:
    """An engine of :func:`~speechbrain_c2ser.labelling.run.label_shards`.

    Arguments
    ---------
    workers : int
        Actors.
    cpus, gpus : float
        Of each; 0.5 GPU puts two on one.
    address : str | None
        Of a cluster, such as "auto"; None starts Ray on this machine, or
        takes the one that this process has started.

    Returns
    -------
    callable
        ``(shards, labeller) -> counts of each shard``, in any order.

    Raises
    ------
    ValueError
        When it is called: if Ray is not installed, or the cluster is too
        small for one worker.
    """

    def engine(shards: list[Shard], labeller: ShardLabeller) -> Iterable[dict]:
        if not shards:
            return
        ray = find_ray()
        is_own = not ray.is_initialized()
        if is_own:
            local = {} if address else _local(workers, cpus)
            ray.init(address=address, logging_level="ERROR", **local)
        try:
            _check_cluster(ray.cluster_resources(), cpus, gpus)
            yield from _run(ray, shards, labeller, workers, cpus, gpus)
        finally:
            if is_own:
                ray.shutdown()

    return engine


class ShardActor:
    """A worker: labels the shards that it is handed.

    Arguments
    ---------
    labeller : ShardLabeller
        Sent without its models.
    """

    def __init__(self, labeller: ShardLabeller):
        self.labeller = labeller

    def __call__(self, batch: dict) -> dict:
        """Label the shards of a batch.

        Arguments
        ---------
        batch : dict
            ``shard``: JSON of each.

        Returns
        -------
        dict
            ``counts``: JSON of each one's outcomes, or of its ``error``.
        """
        counts = []
        for text in batch["shard"]:
            fields = json.loads(str(text))
            shard = Shard(**{**fields, "files": tuple(fields["files"])})
            try:
                counts.append(json.dumps(self.labeller(shard)))
            except (OSError, ValueError, RuntimeError) as error:
                # Told as it is, without the frames of Ray, which would also
                # try again what cannot be.
                counts.append(json.dumps({"error": str(error)}))
        return {"counts": counts}


def _run(ray, shards, labeller, workers, cpus, gpus):
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    rows = [{"shard": json.dumps(asdict(shard))} for shard in shards]
    counted = ray.data.from_items(
        rows, override_num_blocks=len(rows)
    ).map_batches(
        ShardActor,
        fn_constructor_args=(labeller,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(
            size=min(workers, len(shards)), max_tasks_in_flight_per_actor=1
        ),
        num_cpus=cpus,
        num_gpus=gpus,
    )
    for row in counted.iter_rows():
        counts = json.loads(row["counts"])
        if "error" in counts:
            raise RuntimeError(counts["error"])
        yield counts


def _local(workers, cpus):
    """As many CPUs as the workers ask for: they may share real ones."""
    return {
        "num_cpus": max(1, round(workers * cpus)) + 1,
        "include_dashboard": False,
        "object_store_memory": STORE,
        "log_to_driver": False,
    }


def _check_cluster(resources, cpus, gpus):
    for name, wanted in (("CPU", cpus), ("GPU", gpus)):
        if wanted > resources.get(name, 0):
            raise ValueError(
                f"A worker needs {wanted:g} {name}, the Ray cluster has "
                f"{resources.get(name, 0):g}: ask for less, or start a node "
                "that has it."
            )


def find_ray() -> Any:
    """The module ray, or an error that says how to get it.

    Returns
    -------
    module

    Raises
    ------
    ValueError
        Where it is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError(
            "Workers need Ray: pip install 'speechbrain_c2ser[scale]'; "
            "without --workers the command needs none."
        ) from error
    return ray
