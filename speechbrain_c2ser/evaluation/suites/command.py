"""What `c2ser evaluate` takes and does for the suites."""

import argparse
from pathlib import Path

SUITES_HELP = (
    "all, or some of labels, soft, calibration, fairness with commas between"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the suites, for the command `evaluate`."""
    group = parser.add_argument_group("suites of evidence")
    group.add_argument("--suites", metavar="NAMES", help=SUITES_HELP)
    group.add_argument(
        "--against",
        nargs="+",
        default=(),
        metavar="FILE",
        help="other systems' predictions of the same utterances, to rank",
    )
    group.add_argument(
        "--validation",
        metavar="FILE",
        help="the system's predictions of a validation set, with their true "
        "`emotion`: fits a temperature and sets of labels",
    )
    group.add_argument("--name", help="of the system, in report and card")


def run_options(
    options: argparse.Namespace, predictions: list, references: dict, space
) -> dict:
    """The suites that the options name, over predictions already read.

    Arguments
    ---------
    options : argparse.Namespace
        Of :func:`add_options`, with samples and seed.
    predictions : list of dict
        The system's.
    references : dict
        Id -> what is true.
    space : LabelSpace
        The closed set.

    Returns
    -------
    dict
        As :func:`.running.run_suites`.
    """
    from speechbrain_c2ser.evaluation.predictions import read_predictions
    from speechbrain_c2ser.evaluation.references import own_references
    from speechbrain_c2ser.evaluation.suites.cases import build_cases
    from speechbrain_c2ser.evaluation.suites.running import (
        Evidence,
        find_suites,
        run_suites,
    )

    names = find_suites(options.suites)
    validation = None
    if options.validation:
        rows = read_predictions(options.validation)
        validation = build_cases(
            rows, own_references(rows, options.validation), space
        )
    others = {
        Path(path).stem: build_cases(read_predictions(path), references, space)
        for path in options.against
    }
    evidence = Evidence(
        build_cases(predictions, references, space), validation, others
    )
    return run_suites(names, evidence, options.samples, options.seed)
