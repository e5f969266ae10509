"""Commands that listen: ``c2ser classify``, ``describe``, ``features``."""

import argparse
import sys
from pathlib import Path

from speechbrain_c2ser.cli.inputs import find_recordings
from speechbrain_c2ser.cli.terminal import one_line
from speechbrain_c2ser.cli.writing import FORMATS, write_results


def add_recordings(commands: argparse._SubParsersAction) -> None:
    """Add the commands that listen to recordings.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    """
    classify = commands.add_parser(
        "classify", help="the emotion of each file, with its probability"
    )
    classify.set_defaults(run=_classify)
    describe = commands.add_parser(
        "describe", help="style, content and emotion of each file, in words"
    )
    describe.set_defaults(run=_describe)
    for command in (classify, describe):
        command.add_argument(
            "files",
            nargs="+",
            metavar="FILE",
            help="file, folder or list (wav.scp, paths in a .txt, table, "
            "manifest); - reads paths from standard input",
        )
        _add_model(command, "model folder or hub id")
        command.add_argument(
            "--language", help="language of the answers (en, zh)"
        )
        command.add_argument(
            "--window",
            type=float,
            default=30.0,
            metavar="S",
            help="cut longer recordings into windows of so many seconds",
        )
        command.add_argument(
            "--hop", type=float, metavar="S", help="seconds between windows"
        )
        command.add_argument(
            "--format", choices=FORMATS, default="text", help="of the results"
        )
        command.add_argument(
            "--json",
            dest="format",
            action="store_const",
            const="jsonl",
            help="one JSON object per file",
        )
        command.add_argument(
            "-o", "--output", metavar="FILE", help="default: standard output"
        )
        command.add_argument("--batch-size", type=int, default=8)
    describe.add_argument("--beams", type=int, default=1)

    features = commands.add_parser(
        "features", help="Emotion2Vec-S features of a corpus, as .npy files"
    )
    features.set_defaults(run=_features)
    features.add_argument("list", help="wav.scp, table or manifest")
    features.add_argument("output", help="folder of the .npy files")
    _add_model(features, "Emotion2Vec-S folder or hub id")
    features.add_argument(
        "--granularity",
        choices=("frame", "utterance", "mean"),
        default="frame",
    )
    features.add_argument("--batch-size", type=int, default=8)


def _add_model(command, what):
    command.add_argument("--model", required=True, help=what)
    command.add_argument("--device", help="cpu, cuda, cuda:1 ...")


def _load(interface, options):
    """A model, without the libraries' own progress bars."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    run_opts = {"device": options.device} if options.device else None
    load = getattr(interface, "from_hparams", interface)
    return load(options.model, run_opts=run_opts)


def _check(options):
    """Refuse options that cannot be before anything is loaded."""
    from speechbrain_c2ser.inference.options import check_language, check_number
    from speechbrain_c2ser.inference.pretrained import find_device
    from speechbrain_c2ser.inference.recordings import check_windows

    check_number("--batch-size", options.batch_size, 1, whole=True)
    find_device(options.device)
    if hasattr(options, "window"):
        check_windows(options.window, options.hop)
        check_language(options.language)
    if hasattr(options, "beams"):
        check_number("--beams", options.beams, 1, 64, whole=True)


def _classify(options):
    from speechbrain_c2ser.inference.opening import open_classifier

    _check(options)
    recordings = find_recordings(options.files)
    model = _load(open_classifier, options)
    more = {"language": options.language} if options.language else {}
    if more and not hasattr(model, "describe_file"):
        raise ValueError(
            f"{options.model} is a classifier, which answers in no language: "
            "leave out --language."
        )
    rows = model.iter_files(
        recordings,
        options.batch_size,
        options.window,
        options.hop,
        progress=_long(recordings, options),
        **more,
    )
    calibrated = getattr(model.hparams, "temperature", 1.0) != 1.0
    labels = model.labels

    def record(row):
        return {
            "label": row.label,
            "score": row.score,
            "calibrated": calibrated,
            "probabilities": _named(labels, row.result.probabilities),
            "windows": [
                {
                    "start": window.start,
                    "end": window.stop,
                    "label": window.label,
                    "probabilities": _named(labels, window.probabilities),
                }
                for window in row.result.windows
            ],
        }

    return write_results(
        rows, recordings, options.model, options, _label_lines, record
    )


def _describe(options):
    from speechbrain_c2ser.inference import C2SER

    _check(options)
    recordings = find_recordings(options.files)
    c2ser = _load(C2SER, options)
    rows = c2ser.describe_files(
        recordings,
        options.batch_size,
        options.window,
        options.hop,
        progress=_long(recordings, options),
        language=options.language,
        num_beams=options.beams,
    )
    calibrated = getattr(c2ser.hparams, "temperature", 1.0) != 1.0
    return write_results(
        rows,
        recordings,
        options.model,
        options,
        lambda row: f"{_label(row)}\n{row.result.text}",
        lambda row: {
            **_description(row.result),
            "calibrated": calibrated,
            "windows": [
                {
                    "start": window.start,
                    "end": window.stop,
                    **_description(window.description),
                }
                for window in row.result.windows
            ],
        },
    )


def _features(options):
    from speechbrain_c2ser.inference import Emotion2VecSEncoder

    if not Path(options.list).is_file():
        raise FileNotFoundError(f"There is no list {options.list}.")
    _check(options)
    encoder = _load(Emotion2VecSEncoder, options)
    failures = encoder.write_features(
        options.list,
        options.output,
        granularity=options.granularity,
        batch_size=options.batch_size,
    )
    for key, message in failures.items():
        print(f"c2ser: {one_line(f'{key}: {message}')}", file=sys.stderr)
    return int(bool(failures))


def _long(recordings, options):
    """Whether a bar is worth it: many files, and it spoils no results."""
    return len(recordings) > options.batch_size and (
        options.output is not None or not sys.stdout.isatty()
    )


def _label(row):
    return f"{one_line(row.path)}\t{row.label}\t{row.score:.3f}"


def _label_lines(row):
    lines = [_label(row)]
    windows = row.result.windows
    for window in windows if len(windows) > 1 else ():
        label = window.label or "(silent)"
        lines.append(f"  {window.start:.1f}-{window.stop:.1f} s\t{label}")
    return "\n".join(lines)


def _named(labels, probabilities):
    if probabilities is None:
        return None
    return dict(zip(labels, probabilities.tolist(), strict=True))


def _description(said):
    return {
        "emotion": said.emotion,
        "text": said.text,
        "style": said.style,
        "content": said.content,
        "probabilities": said.probabilities,
    }
