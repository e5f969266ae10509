"""``c2ser sample`` and ``c2ser verify``: a test set out of weak labels."""

import argparse
import json
from pathlib import Path

from speechbrain_c2ser.cli.terminal import say


def add_reviewing(commands: argparse._SubParsersAction) -> None:
    """Add both commands.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    """
    sample = commands.add_parser(
        "sample", help="weakly labelled recordings for experts to listen to"
    )
    sample.set_defaults(run=_sample)
    sample.add_argument("manifest", help="of `c2ser label`")
    sample.add_argument(
        "folder", help="gets recordings, and a sheet and a page each"
    )
    sample.add_argument(
        "--experts",
        nargs="+",
        required=True,
        metavar="NAME",
        help="two or more",
    )
    sample.add_argument(
        "--number",
        type=int,
        default=100,
        help="for each label and language (default: 100)",
    )
    sample.add_argument(
        "--labels",
        default="emo_emilia",
        help="name of a label set, or labels with commas between",
    )
    sample.add_argument("--languages", default="zh,en")
    sample.add_argument(
        "--apart",
        nargs="+",
        default=(),
        metavar="MANIFEST",
        help="training sets: nothing of their recordings, speakers or sources",
    )
    sample.add_argument("--seed", type=int, default=1)
    verify = commands.add_parser(
        "verify", help="what all experts agree on, as a test set"
    )
    verify.set_defaults(run=_verify)
    verify.add_argument("folder", help="of `c2ser sample`")
    verify.add_argument("output", help="folder, in Emo-Emilia's form")
    verify.add_argument(
        "--sheets",
        nargs="+",
        metavar="CSV",
        help="filled (default: those of all experts in FOLDER)",
    )


def _sample(options):
    from speechbrain_c2ser.data.manifest import read_manifest
    from speechbrain_c2ser.evaluation.references import find_space
    from speechbrain_c2ser.inference.options import check_number
    from speechbrain_c2ser.labelling.review import write_review
    from speechbrain_c2ser.labelling.sampling import Apart, draw_sample

    check_number("--number", options.number, 1, whole=True)
    space = find_space(options.labels, {})
    languages = [name.strip() for name in options.languages.split(",")]
    apart = Apart(read_manifest(path) for path in options.apart)
    items = read_manifest(options.manifest).items()
    sample, counts = draw_sample(
        items, options.number, space.names, languages, apart, options.seed
    )
    sheets = write_review(
        sample, space.names, options.experts, options.folder, options.seed
    )
    say(f"{len(sample)} recordings: {options.folder}")
    for (label, language), number in counts.items():
        if number < options.number:
            say(f"only {number} of {options.number}: {label}, {language}")
    say("Each expert fills one sheet, by what is in labels.txt, or downloads")
    say("it filled from the page of that name; and sees no other:")
    for sheet in sheets:
        say(f"  {sheet}, {sheet.with_suffix('.html').name}")


def _verify(options):
    from speechbrain_c2ser.data.atomic import write_atomic
    from speechbrain_c2ser.labelling.review import (
        agreement_of,
        read_answers,
        sheets_of,
        write_test_set,
    )

    sheets = options.sheets or sheets_of(options.folder)
    if len(set(sheets)) < 2:
        raise ValueError("--sheets needs two different ones.")
    items, answers, space = read_answers(options.folder, sheets)
    figures = agreement_of(items, answers, space)
    number = write_test_set(items, answers, options.output)
    text = json.dumps({"sheets": list(map(str, sheets)), **figures}, indent=1)
    write_atomic(text + "\n", Path(options.output) / "agreement.json")
    say(f"{number} of {len(items)} recordings are unanimous: "
          f"{options.output}")  # fmt: skip
    say(f"Krippendorff's alpha: {figures['alpha']}")
    if figures["unanswered"]:
        say(f"{figures['unanswered']} without an answer of every expert")
    say("Unanimous and as the models said, of all that they labelled so:")
    for label, (same, of) in figures["by_label"].items():
        say(f"  {label}: {same} of {of}")
