"""``c2ser label``: weak labels by models, for rows that have none."""

import argparse
from pathlib import Path

from speechbrain_c2ser.cli.shards import (
    add_shard_options,
    label_in_shards,
    wants_shards,
)
from speechbrain_c2ser.cli.terminal import tell

SHOWN = 5  # failures that are told one by one


def add_label(commands: argparse._SubParsersAction) -> None:
    """Add the command.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    """
    label = commands.add_parser(
        "label", help="weak labels of speech that has none, by trained models"
    )
    label.set_defaults(run=_label)
    label.add_argument(
        "manifest",
        metavar="SOURCE",
        help="manifest; or a table, a tar, a Parquet file or a folder of tars, "
        "Parquet files or recordings. Rows need no emotion",
    )
    label.add_argument(
        "output",
        metavar="OUTPUT",
        help="NAME.json: the manifest with `weak` in its rows; or a folder: "
        "labelled in shards",
    )
    label.add_argument(
        "--model",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="classifier or C2SER folders; the mean of what they say is taken",
    )
    label.add_argument(
        "--llm",
        metavar="FOLDER",
        help="language model that reads the transcripts, as one model more",
    )
    label.add_argument(
        "--labels",
        help="name of a label set, or labels with commas between (default: "
        "the first model's)",
    )
    label.add_argument(
        "--agree",
        action="store_true",
        help="no label where the models' most probable ones differ",
    )
    label.add_argument(
        "--least",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="no label whose mean probability is lower",
    )
    label.add_argument("--device", help="cpu, cuda, cuda:1 ...")
    label.add_argument("--batch-size", type=int, default=8)
    add_shard_options(label)


def _check(options):
    """Refuse what cannot be before anything is loaded."""
    from speechbrain_c2ser.inference.options import check_number
    from speechbrain_c2ser.inference.pretrained import find_device
    from speechbrain_c2ser.labelling.weak_labels import source_names

    check_number("--batch-size", options.batch_size, 1, whole=True)
    check_number("--least", options.least, 0, 1)
    find_device(options.device)
    folders = [*options.model, *([options.llm] if options.llm else [])]
    if not folders:
        raise ValueError("There is nothing to label with: give --model FOLDER.")
    if options.llm and not options.model and not options.labels:
        raise ValueError("--llm alone knows no labels: give --labels.")
    sources = source_names(folders)
    if len(set(sources)) < len(sources):
        raise ValueError("--model names a folder twice: name each once.")
    return sources


def _label(options):
    from speechbrain_c2ser.data.manifest import check_manifest, read_manifest
    from speechbrain_c2ser.inference.journal import Journal
    from speechbrain_c2ser.labelling.weak_labels import settings_of

    if wants_shards(options):
        return label_in_shards(options, _check)
    sources = _check(options)
    items = read_manifest(options.manifest)
    check_manifest(items, (), check_audio=False)
    settings = settings_of(
        items, models=options.model, llm=options.llm, labels=options.labels
    )
    part = Path(f"{options.output}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    # Always gone on with: what was asked need not be asked again.
    with Journal(part, settings, resume=True) as journal:
        return _run(options, items, journal, sources)


def _run(options, items, journal, sources):
    from speechbrain_c2ser.data.manifest import write_manifest
    from speechbrain_c2ser.labelling.weak_labels import label_rows

    space = _ask(options, items, journal, sources)
    rows, reasons, errors = label_rows(
        items, journal, sources, space, options.agree, options.least
    )
    _compare_words(rows)
    write_manifest(rows, options.output)
    journal.remove()
    done = len(rows) - sum(reasons.values())
    print(f"{done} of {len(rows)} rows labelled: {options.output}")
    for reason, number in reasons.items():
        print(f"{number} without: {reason}")
    for error in errors[:SHOWN]:
        tell(error)
    if len(errors) > SHOWN:
        tell(f"and {len(errors) - SHOWN} more")
    return int(bool(errors))


def _ask(options, items, journal, sources):
    """Let each model speak of the rows that it has not yet; the label set."""
    from transformers.utils import logging

    from speechbrain_c2ser.evaluation.references import find_space
    from speechbrain_c2ser.inference.opening import open_classifier
    from speechbrain_c2ser.labelling.weak_labels import (
        answer_of,
        ask_words,
        note,
        told,
    )
    from speechbrain_c2ser.labels import LabelSpace

    logging.disable_progress_bar()
    run_opts = {"device": options.device} if options.device else None
    space = find_space(options.labels, {}) if options.labels else None
    for source, folder in zip(sources, options.model, strict=False):
        missing = [k for k in items if told(journal, source, k) is None]
        if not missing and space is not None:
            continue
        model = open_classifier(folder, run_opts=run_opts)
        if space is None:
            if not model.labels:
                raise ValueError(f"{folder} has no labels: give --labels.")
            space = LabelSpace(list(model.labels))
        rows = [{**items[key], "id": key} for key in missing]
        results = model.iter_files(
            rows, options.batch_size, progress=len(rows) > 100
        )
        for key, row in zip(missing, results, strict=True):
            note(journal, source, key, answer_of(row, model.labels))
        del model
    missing = [k for k in items if told(journal, sources[-1], k) is None]
    if options.llm and missing:
        from speechbrain_c2ser.inference.text_llm import TextLLM

        llm = TextLLM(options.llm, options.device, progress=False)
        rows = ({**items[key], "id": key} for key in missing)
        for key, answer in ask_words(rows, llm, space):
            note(journal, sources[-1], key, answer)
    return space


def _compare_words(rows):
    """Error rate of the recognised words, where the said ones are known."""
    from speechbrain_c2ser.evaluation.metrics import edit_rate

    for row in rows.values():
        if row.get("transcript") and row.get("transcript_asr"):
            row["wer"] = round(
                edit_rate(
                    [row["transcript"]],
                    [row["transcript_asr"]],
                    row.get("language"),
                ),
                4,
            )
