#!/usr/bin/env python3
"""What a manifest of a million rows costs to open, as JSON and as Arrow.

    python benchmarks/arrow_manifest.py --rows 1000000

And what stage 0 (recipes/Emotion2VecS/pretrain.py) and stage 1 of C2SER
(recipes/C2SER/train_explicit.py, with the weak labels as labels and no limit
to an answer's tokens) make of it before they train: dataset, labels, batches;
and a loading process that is spawned.

Each in a fresh process: seconds by the clock and of processor time until a row
in the middle is there, and the memory that is the process's own then (private
pages; those of the mapped file are shared), less what it had before. With
--rows 1000 it is what such a process costs in any case.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.arrow_writing import arrow, write_arrow_manifest
from speechbrain_c2ser.data.manifest import read_manifest, write_manifest

RECIPES = Path(__file__).parents[1] / "recipes"


def stage_0(path):
    """The training set of stage 0 and its batches."""
    from pretrain import prepare_data

    names = ("train_manifest", "valid_manifest")
    valid = path.parent / "valid.json"
    write_manifest(dict(rows_of(3)), valid)
    data, loaders = prepare_data(
        {
            **dict(zip(names, (path, valid), strict=True)),
            "emotions": ["sad"],
            "labelled_fraction": 1.0,
            "max_batch_seconds": 60.0,
            "num_buckets": 128,
            "dataloader_opts": {},
            "seed": 1,
        }
    )
    assert len(loaders["train"]["batch_sampler"]) > 0
    return data["train"]


def stage_1(path):
    """The training set of C2SER's stage 1 and its batches."""
    from train_explicit import prepare_data

    from speechbrain_c2ser.chain_of_thought.answers import AnswerBuilder
    from speechbrain_c2ser.data.dataset import loader_options
    from speechbrain_c2ser.labels import LabelSpace

    valid = path.parent / "valid.arrow"
    others = ((f"v{key}", {**row, "wav": key}) for key, row in rows_of(9))
    write_arrow_manifest(others, valid)
    space = LabelSpace(["neutral", "sad"])
    train_set, _ = prepare_data(
        {
            "train_manifest": {"manifest": path, "label": "weak"},
            "valid_manifest": {"manifest": valid, "label": "weak"},
            "label_space": space,
            "answers": AnswerBuilder(space),
            "content": True,
            "limits": {"mel_frames": 2900, "answer_tokens": None},
            "model": None,
        }
    )
    options = loader_options(train_set, 60.0, 20)
    assert len(options["batch_sampler"]) > 0
    return train_set


def worker(dataset, before, queue):
    """MiB that a spawned process has of its own with the dataset."""
    with dataset.output_keys_as(["id", "row"]):
        dataset[len(dataset) // 2]
    queue.put(round(own_memory() - before))


def bare(script, queue):
    """MiB of a spawned process without the dataset."""
    import_module(script)
    arrow()
    queue.put(own_memory())


def in_worker(dataset, script):
    """MiB that one more process costs."""
    spawn = get_context("spawn")
    queue = spawn.Queue()
    given = (script,)
    for target in (bare, worker):
        process = spawn.Process(target=target, args=(*given, queue))
        process.start()
        number = queue.get()
        process.join()
        given = dataset, number
    return number


READERS = {
    "json": read_manifest,
    "arrow": ArrowManifest,
    "stage 0 json": stage_0,
    "stage 0 arrow": stage_0,
    "stage 1 arrow": stage_1,
}


def rows_of(number):
    """(id, row), as ``c2ser label`` writes them."""
    for index in range(number):
        yield (
            f"EN_B{index // 1000:05}_S{index:07}_W000000",
            {
                "wav": f"/data/EN-B{index // 1000:06}.tar:{index}+20480:a.mp3",
                "duration": 1.0 + index % 900 / 100,
                "language": "en",
                "style": dict.fromkeys(("speed", "pitch", "volume"), "high"),
                "speaker": f"EN_B{index // 1000:05}_S{index // 10:06}",
                "transcript": "It was not what anybody here had hoped for.",
                "weak": {
                    "labels": {"sad": 0.7, "neutral": 0.3},
                    "score": 0.7,
                    "source": ["probe", "c2ser"],
                },
            },
        )


def own_memory():
    """MiB of private pages."""
    text = Path("/proc/self/smaps_rollup").read_text()
    fields = dict(line.split(":") for line in text.splitlines()[1:])
    return int(fields["Private_Dirty"].split()[0]) / 1024


def measure(form, path, number):
    """Open a manifest in this process."""
    # imports are not the manifest's cost
    sys.path[:0] = [str(RECIPES / name) for name in ("Emotion2VecS", "C2SER")]
    import pretrain  # noqa: F401
    import train_explicit  # noqa: F401

    arrow()
    before = own_memory()
    start, used = time.perf_counter(), time.process_time()
    manifest = READERS[form](path)
    key = f"EN_B{number // 2 // 1000:05}_S{number // 2:07}_W000000"
    more = {}
    is_stage = READERS[form] in (stage_0, stage_1)
    if not is_stage:
        assert manifest[key]["language"] == "en"
    spent = time.perf_counter(), time.process_time()
    assert len(manifest) == number
    own = round(own_memory() - before)
    if is_stage:
        # what such a process imports: stage 0 has a function in its script
        is_0 = READERS[form] is stage_0
        script = "pretrain" if is_0 else "speechbrain_c2ser.data.dataset"
        more["worker_mib"] = in_worker(manifest, script)
    print(
        json.dumps(
            {
                "form": form,
                "rows": number,
                "seconds": round(spent[0] - start, 1),
                "processor_seconds": round(spent[1] - used, 1),
                "own_mib": own,
                **more,
                "file_mib": round(path.stat().st_size / 2**20),
            }
        )
    )


def main():
    """Write both and measure each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--form", choices=READERS)
    parser.add_argument("--forms", nargs="+", default=list(READERS))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.form:
        path = given.folder / f"pool.{given.form.split()[-1]}"
        return measure(given.form, path, given.rows)
    with tempfile.TemporaryDirectory() as folder:
        write_arrow_manifest(rows_of(given.rows), Path(folder) / "pool.arrow")
        if any("json" in form for form in given.forms):
            pool = Path(folder) / "pool.json"
            write_manifest(dict(rows_of(given.rows)), pool)
        os.sync()  # unwritten pages would count as the first reader's own
        for form in (*given.forms, *given.forms):
            words = [sys.executable, __file__, "--form", form]
            words += ["--folder", folder, "--rows", str(given.rows)]
            done = subprocess.run(
                words, check=True, capture_output=True, text=True
            )
            print(done.stdout.strip().splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
