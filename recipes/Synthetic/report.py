#!/usr/bin/env python3
"""Write the report of a finished run.

> python recipes/Synthetic/report.py results/demo
"""

import argparse
from pathlib import Path

from controls import as_section, run_controls

from speechbrain_c2ser.evaluation.report.run_report import (
    print_report,
    write_report,
)
from speechbrain_c2ser.training.one_line import errors_in_one_line


def main(argv=None):
    """Read OUTPUT, write its report, print the table and the path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder of the run")
    parser.add_argument(
        "--report", type=Path, help="where to write (OUTPUT/report)"
    )
    arguments = parser.parse_args(argv)
    folder = arguments.report or arguments.output / "report"
    figures = write_report(arguments.output, folder)
    controls = run_controls(arguments.output)
    print_report(figures, folder)
    if controls is not None:
        section = as_section(controls)
        with open(folder / "report.md", "a", encoding="utf-8") as file:
            file.write(f"\n{section}")
        print(f"\n{section}")


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
