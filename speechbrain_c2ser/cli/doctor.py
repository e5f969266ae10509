"""``c2ser doctor``: what is here, what is missing, what mends it."""

import argparse
import json
import sys

from speechbrain_c2ser.cli.terminal import one_line


def add_doctor(commands: argparse._SubParsersAction) -> None:
    """Add the command.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    """
    doctor = commands.add_parser(
        "doctor",
        help="versions, devices, what is missing and the command that mends it",
        epilog="exit codes: 0 classify can run; 1 it cannot",
    )
    doctor.set_defaults(run=_doctor)
    doctor.add_argument("--json", action="store_true", help="for programs")


def _doctor(options):
    # Here: what it needs would cost every other command a third of its start.
    import platform
    import warnings
    from dataclasses import asdict

    from speechbrain_c2ser.cli.examination import (
        OURS,
        can_classify,
        examine,
    )
    from speechbrain_c2ser.versions import version_of

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checks = examine()
    ready = can_classify(checks)
    if options.json:
        told = {
            "version": version_of(OURS),
            "python": platform.python_version(),
            "executable": sys.executable,
            "platform": platform.platform(),
            "can_classify": ready,
            "checks": [asdict(check) for check in checks],
        }
        print(json.dumps(told, indent=1))
    else:
        print(f"Python {platform.python_version()}, {platform.platform()}")
        for line in _lines(checks):
            print(line)
        wrong = sum(check.state == "wrong" for check in checks)
        print(
            f"\nclassify {'can' if ready else 'cannot'} run"
            + (f"; {wrong} wrong, mended as said" if wrong else "")
        )
    return 0 if ready else 1


def _lines(checks):
    about = None
    for check in checks:
        if check.about != about:
            about = check.about
            yield f"\n{about}"
        yield f"  {check.state:<7} {check.name}: {one_line(check.told)}"
        if check.mend:
            yield f"          {check.mend}"
