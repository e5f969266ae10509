"""``c2ser export``: a model for runtimes without torch."""

import argparse
from pathlib import Path

from speechbrain_c2ser.cli.terminal import quiet_libraries, say


def add_export(commands: argparse._SubParsersAction) -> None:
    """Add the command.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    """
    export = commands.add_parser(
        "export",
        help="a classifier or Emotion2Vec-S as an ONNX file",
        description="Needs pip install 'speechbrain_c2ser[onnx]'.",
    )
    export.set_defaults(run=_export)
    export.add_argument("model", metavar="FOLDER", help="or hub id")
    export.add_argument("output", metavar="OUT.onnx")


def _export(options):
    from speechbrain_c2ser.inference.exporting import TRIALS, export_onnx

    quiet_libraries()
    differences = export_onnx(options.model, options.output)
    lengths = ", ".join(f"{seconds:g}" for seconds, _ in TRIALS)
    say(f"greatest difference from torch at {lengths} s:")
    for name, apart in differences.items():
        say(f"  {name}: {apart:.1e}")
    size = Path(options.output).stat().st_size / 1e6
    say(f"written: {options.output} ({size:.1f} MB)")
