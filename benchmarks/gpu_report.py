#!/usr/bin/env python3
"""C2SER on one card, in one command: is it right, and how fast is it?

    python benchmarks/gpu_report.py --out results/gpu

First the checks (the device against the processor), then the table: audio-hours
per hour of the device, utterances per second, peak memory and MFU of each
workload with and without each option. Random weights of the published sizes
are built from numbers: nothing is fetched. Each part is a process of its own
with a share of ``--minutes``; what fails or takes longer ends by itself and
costs no other part, and what there was no time for is told. Writes
``gpu_report.json`` and ``gpu_report.md`` after every part. Ends with 1 where a
check failed.

    python benchmarks/gpu_report.py --dry --out FOLDER

does the same at tiny size on the processor. MFU: the operations that are done
(torch.utils.flop_counter; padding counts, what is computed a second time does
not) per second, over the card's bf16 peak of its data sheet; on a processor,
and for a card that is not known, over a plain product's.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

# Before torch: so the question whether there is a card does not begin to use
# it, which would forbid the processes below.
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch  # noqa: E402

sys.path += [str(Path(__file__).resolve().parent)]

from gpu import checks, table  # noqa: E402
from gpu.running import Run  # noqa: E402

# Part -> what it runs, and its share of the time.
CHECKS = {
    "lobes": (checks.lobes, 0.07),
    "model": (checks.model, 0.05),
    "group": (checks.group, 0.04),
    "resume": (checks.resume, 0.05),
    "compile": (checks.compiled, 0.08),
    "nf4": (checks.nf4, 0.03),
}
TABLE = {
    "features": (table.features, 0.12),
    "whisper": (table.whisper, 0.10),
    "classify": (table.classify, 0.14),
    "describe": (table.describe, 0.10),
    "stage_1": (table.stage_1, 0.15),
    "stage_0": (table.stage_0, 0.06),
}
PARTS = {"machine": (table.machine, 0.01), **CHECKS, **TABLE}
COLUMNS = {
    "audio_hours_per_hour": ("audio-hours per hour", ".0f"),
    "utterances_per_second": ("utterances/s", ".1f"),
    "peak_gib": ("peak GiB", ".1f"),
    "mfu": ("MFU", ".3f"),
}
GRACE = 5.0  # seconds beyond its share after which a part is stopped


def run_part(name: str, options, seconds: float, folder: Path) -> dict:
    """A part in a process of its own.

    Arguments
    ---------
    name : str
        Of :data:`PARTS`.
    options : argparse.Namespace
        Of the command line.
    seconds : float
        The part's time.
    folder : Path
        Where it may write; is there.

    Returns
    -------
    dict
        ``rows`` as far as they came, ``seconds``, and ``stopped`` where the
        process did not end by itself, or not well.
    """
    rows = folder / f"{name}.jsonl"
    place = folder / name
    place.mkdir()
    started = time.monotonic()
    process = multiprocessing.get_context("fork").Process(
        target=_work, args=(name, options, seconds, place, rows)
    )
    process.start()
    process.join(seconds + GRACE)
    part: dict = {}
    if process.is_alive():
        process.kill()
        process.join()
        part["stopped"] = f"it took longer than its {seconds:.0f} s"
    elif process.exitcode:
        part["stopped"] = f"its process ended with {process.exitcode}"
    lines = rows.read_text().splitlines() if rows.exists() else []
    shutil.rmtree(place, ignore_errors=True)
    return {
        "rows": [json.loads(line) for line in lines],
        "seconds": round(time.monotonic() - started, 1),
        **part,
    }


def _work(name, options, seconds, folder, rows):
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = name not in CHECKS
    if options.device.startswith("cuda"):
        torch.cuda.set_device(options.device)
    run = Run(options.device, options.dry, seconds, folder, rows)
    try:
        PARTS[name][0](run)
    except Exception as error:  # before its first case
        run.case("its beginning", _raise, error)


def _raise(error):
    raise error


def failures(report: dict) -> list[str]:
    """A sentence for each check or part that is not as it should be.

    Arguments
    ---------
    report : dict
        As it is written.

    Returns
    -------
    list of str
    """
    sentences = []
    for name, part in report["parts"].items():
        if "stopped" in part:
            sentences.append(f"{name}: {part['stopped']}")
        for row in part["rows"]:
            if row.get("ok") is False:
                reason = row.get("error") or _figures(row)
                sentences.append(f"{name}, {row['case']}: {reason}")
    return sentences


def skipped(report: dict) -> list[str]:
    """A sentence for each case that was not run."""
    return [
        f"{name}, {row['case']}: {row['skipped']}"
        for name, part in report["parts"].items()
        for row in part["rows"]
        if "skipped" in row
    ]


def _figures(row):
    numbers = {k: v for k, v in row.items() if isinstance(v, int | float)}
    numbers.pop("ok", None)
    return ", ".join(f"{key} {value:.3g}" for key, value in numbers.items())


def markdown(report: dict) -> str:
    """The report as a page.

    Arguments
    ---------
    report : dict
        As it is written.

    Returns
    -------
    str
    """
    parts = report["parts"]
    lines = [f"# C2SER on {report['device']}", ""]
    for row in parts.get("machine", {"rows": []})["rows"]:
        told = {k: v for k, v in row.items() if k not in ("case", "seconds")}
        lines += [", ".join(f"{k}: {v}" for k, v in told.items()), ""]
    lines += ["## Checks", "", "| check | cases right | skipped |"]
    lines += ["| --- | --- | --- |"]
    for name in CHECKS:
        if name in parts:
            rows = parts[name]["rows"]
            asked = [row for row in rows if "ok" in row]
            right = sum(row["ok"] for row in asked)
            left = sum("skipped" in row for row in rows)
            lines.append(f"| {name} | {right} of {len(asked)} | {left} |")
    heads = [head for head, _ in COLUMNS.values()]
    lines += ["", "## Speed", "", f"| | {' | '.join(heads)} |"]
    lines += [f"| --- |{' --- |' * len(heads)}"]
    for name in TABLE:
        for row in parts.get(name, {"rows": []})["rows"]:
            cells = [
                format(row[key], form) if key in row else ""
                for key, (_, form) in COLUMNS.items()
            ]
            lines.append(f"| {row['case']} | {' | '.join(cells)} |")
    for title, sentences in (
        ("Not as it should be", failures(report)),
        ("Not run", skipped(report)),
    ):
        if sentences:
            lines += ["", f"## {title}", ""]
            lines += [f"- {sentence}" for sentence in sentences]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the parts, write after each, say what failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--device", help="default: cuda, in a dry run cpu")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--dry", action="store_true", help="tiny, on the CPU")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS)
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    if options.device is None:
        options.device = "cpu" if options.dry else "cuda"
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(
            "There is no CUDA device here: give --dry for tiny sizes on the "
            "processor, or --device cpu for the real ones."
        )
    options.out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * options.minutes
    report = {"device": options.device, "dry": options.dry, "parts": {}}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(options.parts):
            # Its share of what is left: what others did not use, too.
            shares = [PARTS[each][1] for each in options.parts[number:]]
            left = max(0.0, ends - time.monotonic())
            seconds = left * shares[0] / sum(shares)
            part = run_part(name, options, seconds, Path(folder))
            report["parts"][name] = part
            print(f"{name}: {part['seconds']} s", flush=True)
            for form, text in (
                ("json", json.dumps(report, indent=2) + "\n"),
                ("md", markdown(report)),
            ):
                (options.out / f"gpu_report.{form}").write_text(text)
    print(markdown(report))
    return 1 if failures(report) else 0


if __name__ == "__main__":
    sys.exit(main())
