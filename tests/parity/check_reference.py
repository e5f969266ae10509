"""Compares our modules with the golden numbers of the official code.

    python tests/parity/check_reference.py [DIR]

For every bundle of DIR (NAME.json + NAME.safetensors, and the key lists
full_size_keys_*.json) one line per output. The exit status is 1 when an output
differs, or a bundle or one of its outputs is not understood.
"""

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from result import Result  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

# Each has understands(name, spec) and check(name, spec, tensors) -> Results.
MODULES = ("emotion2vec_bundles", "c2ser_bundles")


def default_folder():
    """The whole reference beside the checkout, or the copies in the tests.

    Returns
    -------
    Path
    """
    shared = HERE.parents[2] / "shared" / "reference"
    return shared if shared.is_dir() else HERE / "reference"


def check_bundle(path):
    """Runs one bundle.

    Arguments
    ---------
    path : Path
        Its json file.

    Returns
    -------
    list of Result
        One per output; what is not understood is a failed one.
    """
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
        weights = path.with_suffix(".safetensors")
        tensors = load_file(weights) if weights.is_file() else None
        if tensors is None and "keys" not in spec:
            raise ValueError(f"{weights.name} is missing")
        for name in MODULES:
            module = importlib.import_module(name)
            if module.understands(path.stem, spec):
                break
        else:
            raise ValueError("no parity module understands this bundle")
    except Exception as error:
        return [_failure("", error)]
    results = []
    try:
        results.extend(module.check(path.stem, spec, tensors))
    except Exception as error:
        results.append(_failure("", error))
    checked = {(result.case, result.output) for result in results}
    for case, description in spec.get("cases", {}).items():
        for output in description["outputs"]:
            if (case, output) not in checked:
                results.append(
                    Result(case, output, float("nan"), "not compared", False)
                )
    return results


def _failure(case, error):
    what = f"{type(error).__name__}: {error}"
    return Result(case, "(error)", float("nan"), what, False)


def main(arguments=None):
    """Checks a folder and prints the table.

    Arguments
    ---------
    arguments : list of str, optional
        Command line.

    Returns
    -------
    int
        0 when all passed.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=default_folder(),
        metavar="DIR",
        help="folder of bundles (default: the reference bundles)",
    )
    folder = parser.parse_args(arguments).folder
    bundles = sorted(folder.glob("*.json"))
    orphans = sorted(
        path
        for path in folder.glob("*.safetensors")
        if not path.with_suffix(".json").is_file()
    )
    if not bundles and not orphans:
        print(f"There is no bundle (*.json) in {folder}.", file=sys.stderr)
        return 1
    table = [(path.stem, check_bundle(path)) for path in bundles]
    table += [
        (path.stem, [_failure("", FileNotFoundError("its json is missing"))])
        for path in orphans
    ]
    lines = [("bundle", "case", "output", "max abs diff", "tolerance", "pass")]
    for name, results in table:
        lines += [
            (
                name,
                result.case,
                result.output,
                f"{result.difference:.2e}",
                result.tolerance,
                "yes" if result.passed else "NO",
            )
            for result in results
        ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[4] = min(widths[4], 60)
    for line in lines:
        cells = (c.ljust(w) for c, w in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
    everything = [result for _, results in table for result in results]
    failed = sum(not result.passed for result in everything)
    print(f"\n{len(table)} bundles, {len(everything)} lines, {failed} failed.")
    return 1 if failed or not everything else 0


if __name__ == "__main__":
    sys.exit(main())
