"""What `c2ser evaluate` and `c2ser disturb` take and do for the suites.

Light to import: what is heavy is imported when it is used.
"""

import argparse
from pathlib import Path

SUITES_HELP = (
    "all, or some of labels, soft, calibration, fairness, robustness, words, "
    "reasoning with commas between"
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
    group.add_argument(
        "--answers",
        metavar="FOLDER",
        help="predictions of the manifests of `c2ser disturb`, each named "
        "after its condition: noise_10.jsonl, silence.jsonl ...",
    )
    group.add_argument(
        "--conflict",
        metavar="FILE",
        help="manifest of a corpus of conflicts (recipes/Synthetic/"
        "prepare_conflict.py), answered in conflict.jsonl of --answers",
    )
    group.add_argument(
        "--mode",
        choices=("explicit", "implicit"),
        default="explicit",
        help="how a model folder that answers in words is asked",
    )
    group.add_argument(
        "--ask-at-most",
        type=int,
        default=200,
        metavar="N",
        help="utterances of which a system in Python is asked again",
    )
    add_noise(group)
    group.add_argument(
        "--from",
        dest="native",
        metavar="KIND",
        help="the predictions are another system's own output: funasr, "
        "sensevoice, qwen, nkululeko or speechbrain (needs --reference)",
    )
    group.add_argument(
        "--oruk-bench",
        metavar="FOLDER",
        help="also write preds.npz and labels.npz for `oruk-bench score`",
    )
    group.add_argument("--name", help="of the system, in report and card")


def add_disturb(commands) -> None:
    """The command `disturb`: manifests of disturbed audio, to be answered."""
    disturb = commands.add_parser(
        "disturb",
        help="disturbed copies of a corpus, for systems outside Python",
    )
    disturb.set_defaults(run=run_disturb)
    disturb.add_argument("manifest", help="manifest or list of the test set")
    disturb.add_argument("output", help="folder of manifests and audio")
    disturb.add_argument(
        "--conditions",
        metavar="NAMES",
        help="with commas between (default: all, and the controls)",
    )
    disturb.add_argument("--seed", type=int, default=0)
    add_noise(disturb)


def add_noise(parser) -> None:
    """The option of one's own noise."""
    parser.add_argument(
        "--noise",
        metavar="FOLDER",
        help="recordings of noise (default: synthesized, speech-shaped)",
    )


def run_disturb(options: argparse.Namespace) -> int:
    """Write the disturbed corpus; 1 if some items failed."""
    from speechbrain_c2ser.evaluation.references import read_references
    from speechbrain_c2ser.evaluation.suites.disturbed_corpus import (
        conditions_of,
        read_noises,
        write_disturbed,
    )

    written = write_disturbed(
        read_references(options.manifest),
        options.output,
        conditions_of(options.conditions),
        options.seed,
        read_noises(options.noise),
    )
    for key, error in written.errors.items():
        print(f"c2ser: {key}: {error}")
    print(
        f"{written.written} utterances in {len(written.manifests)} conditions: "
        f"answer each {options.output}/CONDITION.json into CONDITION.jsonl."
    )
    return int(bool(written.errors))


def read_native_predictions(options: argparse.Namespace) -> list[dict]:
    """Predictions of another system's own output, ids as the reference's."""
    from speechbrain_c2ser.evaluation.errors import PredictionError
    from speechbrain_c2ser.evaluation.native import match_ids, read_native
    from speechbrain_c2ser.evaluation.references import read_references

    if not options.reference:
        raise PredictionError(
            "Other systems' outputs name recordings: give --reference FILE."
        )
    rows = read_native(options.predictions, options.native)
    return match_ids(rows, read_references(options.reference))


def write_oruk(result: dict, references: dict, folder: str) -> str:
    """Write oruk-bench's form; returns a line that says so."""
    from speechbrain_c2ser.evaluation.native import write_oruk_bench

    labels = [row[result["main"]] for row in result["utterances"]]
    unparsed = write_oruk_bench(references, labels, folder)
    return (
        f"oruk-bench: {folder}/preds.npz and labels.npz; {unparsed} answers "
        "without one of its labels count as neutral there."
    )


def names_system(name: str) -> bool:
    """Whether the command is given a system to ask, not its predictions."""
    return Path(name).is_dir() or (":" in name and not Path(name).exists())


def run_options(
    options: argparse.Namespace,
    predictions: list,
    references: dict,
    space,
    system=None,
    notes: list = (),
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
    system : System | None
        To be asked again; what it answers is kept in the output folder.
    notes : list of str
        What was set aside before.

    Returns
    -------
    dict
        As :func:`.running.run_suites`.
    """
    from speechbrain_c2ser.evaluation.predictions import read_predictions
    from speechbrain_c2ser.evaluation.references import (
        own_references,
        read_references,
    )
    from speechbrain_c2ser.evaluation.scoring import match_recordings
    from speechbrain_c2ser.evaluation.setting_aside import apart
    from speechbrain_c2ser.evaluation.suites.cases import build_cases
    from speechbrain_c2ser.evaluation.suites.collecting import (
        CONFLICT,
        Answers,
        ask_for_suites,
        read_answers,
    )
    from speechbrain_c2ser.evaluation.suites.disturbed_corpus import (
        read_noises,
    )
    from speechbrain_c2ser.evaluation.suites.running import (
        Evidence,
        find_suites,
        run_suites,
    )

    names, notes = find_suites(options.suites), list(notes)

    def read(path):
        return read_predictions(path, notes)

    validation = None
    if options.validation:
        rows = read(options.validation)
        own = own_references(rows, options.validation, notes)
        validation = build_cases(rows, own, space)
    names_of_others = apart(list(options.against), lambda path: Path(path).stem)
    others = {
        name: build_cases(
            match_recordings(read(path), references), references, space
        )
        for name, path in zip(names_of_others, options.against, strict=True)
    }
    conflicts = {}
    if options.conflict:
        conflicts = read_references(options.conflict)
    answers = Answers()
    if options.answers:
        answers.conditions = read_answers(options.answers, read)
    if system is not None:
        answers = ask_for_suites(
            system,
            references,
            predictions,
            space,
            names,
            conflicts,
            options.ask_at_most,
            options.seed,
            read_noises(options.noise),
            answers,
        )
    given = dict(answers.conditions)
    conflict = given.pop(CONFLICT, None)
    if conflict is not None and not conflicts:
        notes.append(
            "conflict.jsonl was not read: --conflict names no manifest."
        )
        conflict = None
    evidence = Evidence(
        build_cases(predictions, references, space),
        validation,
        others,
        {n: build_cases(rows, references, space) for n, rows in given.items()},
        conflict and build_cases(conflict, conflicts, space),
        answers.edited,
        {
            question: build_cases(rows, references, space)
            for question, rows in answers.phrasings.items()
        },
        notes + answers.notes,
    )
    return run_suites(names, evidence, options.samples, options.seed)


def ask_system(
    options: argparse.Namespace, folder: Path, notes: list[str]
) -> tuple[list[dict], object]:
    """Load the system that the command names, and ask it of the test set.

    Arguments
    ---------
    options : argparse.Namespace
        Of :func:`add_options`.
    folder : Path
        Gets predictions.jsonl.
    notes : list of str
        Gets what failed, and what was set aside.

    Returns
    -------
    predictions : list of dict
        Kept as predictions.jsonl in the output folder too.
    system : System
    """
    from speechbrain_c2ser.evaluation.predictions import (
        PredictionError,
        write_predictions,
    )
    from speechbrain_c2ser.evaluation.references import read_references
    from speechbrain_c2ser.evaluation.setting_aside import repair_predictions
    from speechbrain_c2ser.evaluation.suites.asking import import_system
    from speechbrain_c2ser.evaluation.suites.collecting import ask_plain

    if not options.reference:
        raise PredictionError(
            "A system is asked of a manifest: give --reference FILE."
        )
    items = read_references(options.reference)
    if Path(options.predictions).is_dir():
        from speechbrain_c2ser.evaluation.suites.own_systems import load_own

        system = load_own(options.predictions, options.mode, options.device)
    else:
        system = import_system(options.predictions)
    rows, errors = ask_plain(system, items)
    if len(errors) == len(rows):
        key = next(iter(errors))
        raise PredictionError(
            f"The system failed on every utterance, first {key!r}: "
            f"{errors[key]}."
        )
    for key, error in errors.items():
        print(f"c2ser: {key}: {error}")
    if errors:
        key = next(iter(errors))
        notes.append(
            f"The system failed on {len(errors)} of {len(rows)} utterances, "
            f"which count as unparsed; first {key}: {errors[key]}."
        )
    rows = repair_predictions(rows, "the system", notes)
    write_predictions(rows, folder / "predictions.jsonl")
    return rows, system
