#!/usr/bin/env python3
"""How many times as fast this checkout is as another one of this repository.

    git worktree add OLD e38fbe9
    python benchmarks/before_after.py OLD --json FILE

`classify_files` (32 clips of 2 to 8 s, and a long-tailed set of 0.5 to 30 s;
with the recipes' LoRA, and without, as if it had been folded before) and an
epoch of stage 1 (utterance vectors cached), base size, the same random weights.
Each checkout runs in a process of its own that loads once; then they take
turns, one at a time, and the seconds of the processor's time count: what else
the machine does falls on both alike. With several threads (`--threads 2`, on a
machine that does nothing else) the clock counts. What both answer
(probabilities, or the losses of the steps) is compared, too, of the round that
warms up: there both train on the same batches, without dropout; later each on
its own sampler's, with it.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from inspect import signature
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
PRECISIONS = {"fp32": "float32", "bf16": "bfloat16"}
# --work: what is done, and with which clips.
WORK = {
    "classify, 2 to 8 s": ("classify", "short"),
    "classify, 0.5 to 30 s": ("classify", "long_tail"),
    "without LoRA, 2 to 8 s": ("classify_base", "short"),
    "without LoRA, 0.5 to 30 s": ("classify_base", "long_tail"),
    "stage 1, 2 to 8 s": ("stage_1", "short"),
    "stage 1, 0.5 to 30 s": ("stage_1", "long_tail"),
}
BATCH_SIZE, BATCH_SECONDS = 8, 39.0
SAME = 4  # clips of a batch of stage 1, where both have the same


class Checkout:
    """A process that works with one state of the code.

    Arguments
    ---------
    folder : Path
        A checkout of this repository.
    arguments : list of str
        Of :func:`work`.
    """

    def __init__(self, folder, arguments):
        threads = arguments[-1]
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", folder, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": threads},
        )
        self._answer()  # it has loaded

    def go(self):
        """Work once; {"seconds": float, "answers": list}."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("A checkout's process ended; see above.")
        return json.loads(line)

    def end(self):
        """Let the process end."""
        self._process.stdin.close()
        self._process.wait()


def compare(before, kind, clips, options):
    """Ratio of the seconds of both states, and their answers.

    Arguments
    ---------
    before : Path
        The other checkout.
    kind, clips : str
        As in :data:`WORK`.
    options : argparse.Namespace
        ``precision``, ``size``, ``count``, ``rounds`` and ``threads``.

    Returns
    -------
    dict
    """
    with tempfile.TemporaryDirectory() as folder:
        lengths = json.dumps(lengths_of(clips, options.count))
        arguments = [
            kind, lengths, options.precision, options.size, folder,
            str(options.threads),
        ]  # fmt: skip
        # one after the other: the second takes over the first one's weights
        states = {
            "before": Checkout(before, arguments),
            "after": Checkout(HERE, arguments),
        }
        rounds = []
        for _ in range(options.rounds + 1):  # the first warms up
            rounds.append({name: each.go() for name, each in states.items()})
        for each in states.values():
            each.end()
    seconds = {
        name: [each[name]["seconds"] for each in rounds[1:]] for name in states
    }
    ratios = [
        old / new
        for old, new in zip(seconds["before"], seconds["after"], strict=True)
    ]
    answers = [rounds[0][name]["answers"] for name in states]
    return {
        "seconds": seconds,
        "ratio": statistics.median(ratios),
        "ratios": [round(each, 3) for each in ratios],
        "answers_apart": max(
            abs(old - new)
            for olds, news in zip(*answers, strict=True)
            for old, new in zip(olds, news, strict=True)
        ),
    }


def lengths_of(clips, count):
    """As the other benchmarks draw them."""
    sys.path.insert(0, str(HERE / "benchmarks"))
    from workloads.counting import lengths_of

    return lengths_of(clips, count)


def worker(checkout, kind, lengths, precision, size, folder, threads):
    """Load with the code of a checkout; then work at each line that comes."""
    sys.path[0] = str(Path(checkout) / "benchmarks")
    if threads == "1":
        # What the benchmarks time by the clock is to be processor's time.
        time.perf_counter = time.process_time
    import torch

    torch.set_num_threads(int(threads))
    try:
        from speechbrain_c2ser.training.memory import keep_freed_memory
    except ImportError:  # where it once stood
        from speechbrain_c2ser.memory import keep_freed_memory
    keep_freed_memory()
    make = {
        "classify": classification,
        "classify_base": partial(classification, lora=False),
        "stage_1": stage_1,
    }[kind]
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        work = make(json.loads(lengths), precision, size, Path(folder))
        print("{}", file=output, flush=True)
        for _ in sys.stdin:
            seconds, answers = work()
            result = {"seconds": seconds, "answers": answers}
            print(json.dumps(result), file=output, flush=True)


def classification(lengths, precision, size, folder, lora=True):
    """What classifies all clips: () -> (seconds, probabilities)."""
    import c2ser_speed
    import c2ser_training

    interface = c2ser_speed.C2SER

    def with_shared_weights(model, *settings):
        module = model["model"] if isinstance(model, dict) else model
        if lora:
            put_lora(module.language_model.model)
        share_weights(module, folder / "weights.pt")
        return interface(model, *settings)

    c2ser_speed.C2SER = with_shared_weights
    c2ser = c2ser_speed.build(size, "cpu", PRECISIONS[precision])
    c2ser_speed.C2SER = interface
    model = c2ser.mods.model
    if "per_token" in signature(model.score_labels).parameters:
        # as all scores once were, so that what is compared is the same
        model.score_labels = partial(model.score_labels, per_token=True)
    place = Path(tempfile.mkdtemp(dir=folder))
    rows = c2ser_training.write_corpus(place, lengths)
    paths = [row["wav"] for row in rows.values()]

    def work():
        started = time.perf_counter()
        results = c2ser.classify_files(paths, BATCH_SIZE, progress=False)
        seconds = time.perf_counter() - started
        # once, a result held it under another name
        name = "result" if hasattr(results[0], "result") else "classification"
        answers = [getattr(each, name).probabilities for each in results]
        return seconds, [each.tolist() for each in answers]

    return work


def stage_1(lengths, precision, size, folder):
    """What trains an epoch: () -> (seconds of its steps, losses)."""
    import c2ser_training
    import train_explicit

    place = Path(tempfile.mkdtemp(dir=folder))
    (place / "clips").mkdir()
    rows = c2ser_training.write_corpus(place / "clips", lengths)
    hparams = c2ser_training.load(size, place)
    share_weights(hparams["model"], folder / "weights.pt")
    if hasattr(train_explicit, "hold_frozen_base"):
        train_explicit.hold_frozen_base(hparams["language_model"], precision)
    start = {k: v.clone() for k, v in hparams["trained"].tensors().items()}
    options = argparse.Namespace(
        device="cpu", precision=precision, folder=place
    )

    own = c2ser_training.loader_options
    warm_up = iter([partial(with_same_batches, own)])

    def work():
        hparams["model"].load_state_dict(start, strict=False)
        loader = next(warm_up, own)
        c2ser_training.loader_options = loader
        with contextlib.ExitStack() as stack:
            if loader is not own:
                stack.enter_context(without_dropout(hparams["model"]))
            brain, _ = c2ser_training.train_epoch(
                hparams, rows, options, True, BATCH_SECONDS
            )
        losses = getattr(brain, "batch_losses", None) or brain.losses
        return sum(brain.seconds), [losses]

    return work


def with_same_batches(loader_options, dataset, *settings, **options):
    """Batches that are the same whatever a state's sampler makes."""
    items = list(range(len(dataset)))
    batches = [items[n : n + SAME] for n in range(0, len(items), SAME)]
    loader = loader_options(dataset, *settings, **options)
    return loader | {"batch_sampler": batches}


@contextlib.contextmanager
def without_dropout(model):
    """Steps whose losses do not hang on how random numbers are drawn."""
    from torch.nn import Dropout, functional

    layers = [each for each in model.modules() if isinstance(each, Dropout)]
    shares = [each.p for each in layers]
    dropout = functional.dropout
    functional.dropout = lambda x, *settings, **options: x
    for each in layers:
        each.p = 0.0
    yield
    functional.dropout = dropout
    for each, share in zip(layers, shares, strict=True):
        each.p = share


def put_lora(model):
    """The recipes' LoRA, as if it were trained: of an update that counts."""
    import torch

    try:
        from speechbrain_c2ser.lobes.lora import add_lora
    except ImportError:  # where it once stood
        from speechbrain_c2ser.lobes.language_model import _add_lora as add_lora
    add_lora(model)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)


def share_weights(model, path):
    """Write a model's weights, or take those of the process before."""
    import torch

    if path.exists():
        weights = torch.load(path, mmap=True, weights_only=True)
        model.load_state_dict(weights)
    else:
        torch.save(model.state_dict(), path)


def main():
    """Measure, print, store."""
    if sys.argv[1:2] == ["--worker"]:
        return worker(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("before", type=Path, help="folder of the other state")
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS)
    )
    parser.add_argument("--size", choices=("tiny", "base"), default="base")
    parser.add_argument("--count", type=int, default=32, help="clips")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if not (options.before / "benchmarks" / "c2ser_speed.py").is_file():
        parser.error(f"{options.before} is no checkout of this repository.")
    report = {}
    for name in options.work:
        for precision in options.precisions:
            options.precision = precision
            figures = compare(options.before.resolve(), *WORK[name], options)
            report[f"{name}, {precision}"] = figures
            old, new = (
                statistics.median(each) for each in figures["seconds"].values()
            )
            print(
                f"{name}, {precision}: {old:.1f} s, now {new:.1f} s, ratio "
                f"{figures['ratio']:.2f}; answers by "
                f"{figures['answers_apart']:.1e} apart at most",
                flush=True,
            )
            if options.json:
                text = json.dumps(report, indent=1) + "\n"
                Path(options.json).write_text(text, encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
