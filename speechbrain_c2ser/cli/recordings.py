"""Commands that listen to recordings, and how they print what they hear."""

import argparse
import sys
from pathlib import Path

from speechbrain_c2ser.cli.channels import (
    as_channels,
    name_of_record,
    with_errors,
)
from speechbrain_c2ser.cli.computation import (
    MOST,
    add_computation,
    check_computation,
    run_opts_of,
)
from speechbrain_c2ser.cli.inputs import find_recordings
from speechbrain_c2ser.cli.overwriting import (
    check_not_input,
    check_not_model,
)
from speechbrain_c2ser.cli.resuming import opened_journal
from speechbrain_c2ser.cli.terminal import (
    one_line,
    quiet_libraries,
    tell,
)
from speechbrain_c2ser.cli.writing import (
    check_output,
    in_words,
    write_results,
)
from speechbrain_c2ser.timelines.documents import FORMATS

EXITS = (
    "exit codes: 0 all done; 1 some recordings failed, each named on standard "
    "error; 2 nothing was done (an option, list or model that cannot be); "
    "130 interrupted; 141 the reader of a pipe has gone"
)
FINE = 4.0  # seconds of a timeline's window: faster changes are not told
WHOLE = 30.0  # seconds of any other


def add_recordings(commands: argparse._SubParsersAction) -> None:
    """Add the commands that listen to recordings.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    """
    classify = commands.add_parser(
        "classify",
        help="the emotion of each file, with its probability",
        epilog=EXITS,
    )
    classify.set_defaults(run=_classify)
    describe = commands.add_parser(
        "describe",
        help="style, content and emotion of each file, in words",
        epilog=EXITS,
    )
    describe.set_defaults(run=_describe)
    diarize = commands.add_parser(
        "diarize", help="which emotion when: a timeline of each", epilog=EXITS
    )
    diarize.set_defaults(run=_diarize)
    for command in (classify, describe, diarize):
        _add_input(command, fine=command is diarize)
        _add_output(command)
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


def _add_input(command, fine):
    command.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="file, folder or list (wav.scp, paths in a .txt, table, "
        "manifest); - reads paths from standard input",
    )
    _add_model(command, "model folder or hub id; told by what it holds")
    command.add_argument("--language", help="language of the answers (en, zh)")
    command.add_argument(
        "--window",
        type=float,
        default=None if fine else WHOLE,
        metavar="S",
        help="cut longer recordings into windows of so many seconds (default: "
        + (f"{FINE:g}, of a model that labels frames " if fine else "")
        + f"{WHOLE:g})",
    )
    command.add_argument(
        "--hop",
        type=float,
        metavar="S",
        help="seconds between windows (default: "
        + ("half the window, of a model that labels frames " if fine else "")
        + "the window)",
    )
    command.add_argument(
        "--segments",
        action="store_true",
        help="listen to stretches of speech alone, up to a window long, as "
        "voice activity detection tells them (extra vad)",
    )
    command.add_argument(
        "--channel",
        choices=("left", "right", "each"),
        help="of stereo files, such as calls: one side, or a result for each "
        "(default: all mixed)",
    )
    command.add_argument("--batch-size", type=int, default=8)


def _add_output(command):
    command.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="of the results; vtt, srt, textgrid, eaf and audacity are one "
        "document for each recording",
    )
    command.add_argument(
        "--json",
        dest="format",
        action="store_const",
        const="jsonl",
        help="one JSON object per file",
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="file, or folder of documents (default: standard output)",
    )
    command.add_argument(
        "--resume",
        action="store_true",
        help="go on where the same command was stopped: what it had heard is "
        "in PATH.resume",
    )


def _add_model(command, what):
    command.add_argument("--model", required=True, help=what)
    add_computation(command)


def _load(interface, options):
    """A model, without the libraries' own progress bars."""
    quiet_libraries()
    load = getattr(interface, "from_hparams", interface)
    return load(options.model, run_opts=run_opts_of(options))


def _check(options):
    """Refuse options that cannot be before anything is loaded."""
    from speechbrain_c2ser.inference.options import check_language, check_number
    from speechbrain_c2ser.inference.recordings import check_windows

    check_number("--batch-size", options.batch_size, 1, MOST, whole=True)
    check_computation(options)
    if hasattr(options, "window"):
        window = WHOLE if options.window is None else options.window
        check_windows(window, options.hop)
        check_language(options.language)
    if getattr(options, "segments", False):
        _check_segments(options)
    if hasattr(options, "beams"):
        check_number("--beams", options.beams, 1, 64, whole=True)


def _check_segments(options):
    from speechbrain_c2ser.audio.speech import check_voice_activity

    check_voice_activity()
    if options.hop is not None:
        raise ValueError(
            "--hop is of windows everywhere, --segments of speech alone: leave "
            "out one of them."
        )


def _find(options):
    """(recordings, place -> error of some), after a look at every option."""
    _check(options)
    recordings, errors = find_recordings(options.files), {}
    if options.channel is not None:
        recordings, errors = as_channels(recordings, options.channel)
    check_output(options.format, options.output, recordings, options.resume)
    check_not_input(options.output, options.files, recordings)
    check_not_model(options.output, options.model)
    if options.resume and options.output is None:
        raise ValueError("--resume goes on from a file: give -o PATH.")
    return recordings, errors


def _classify(options):
    from speechbrain_c2ser.inference.opening import open_classifier

    return _listen(options, open_classifier, _classified)


def _diarize(options):
    from speechbrain_c2ser.inference.opening import open_diarizer

    return _listen(options, open_diarizer, _timeline, by_segment=True)


def _listen(options, opened, as_text, by_segment=False):
    inputs = _find(options)
    model = _load(opened, options)
    if by_segment:
        # what labels frames needs no short windows to tell when
        by_frames = hasattr(model, "diarize_file")
        if options.window is None:
            options.window = WHOLE if by_frames else FINE
        if options.hop is None and not options.segments and not by_frames:
            options.hop = options.window / 2
    more = {"language": options.language} if options.language else {}
    if more and not hasattr(model, "describe_file"):
        raise ValueError(
            f"{options.model} is a classifier, which answers in no language: "
            "leave out --language."
        )
    return _write(
        model.iter_files, inputs, model, options, as_text, by_segment, more
    )


def _describe(options):
    from speechbrain_c2ser.inference import C2SER

    inputs = _find(options)
    c2ser = _load(C2SER, options)
    more = {"language": options.language, "num_beams": options.beams}
    return _write(
        c2ser.describe_files, inputs, c2ser, options, _described, more=more
    )


def _write(
    function, inputs, model, options, as_text, by_segment=False, more=None
):
    from speechbrain_c2ser.inference.records import is_calibrated, record_of

    recordings, errors = inputs
    labels, calibrated = list(model.labels), is_calibrated(model)

    def as_record(row, recording):
        return record_of(row, options.model, labels, calibrated, recording)

    folder = getattr(model.hparams, "folder", None)
    with opened_journal(options, folder) as journal:
        rows = function(
            [row for n, row in enumerate(recordings) if n not in errors],
            options.batch_size,
            options.window,
            options.hop,
            progress=_bar(options),
            speech=_speech(options),
            journal=journal,
            **(more or {}),
        )
        code = write_results(
            with_errors(rows, recordings, errors),
            recordings,
            options,
            as_record,
            as_text,
            by_segment,
        )
        if journal is not None and code == 0:
            journal.remove()
        return code


def _speech(options):
    if not options.segments:
        return None
    from speechbrain_c2ser.audio.speech import SpeechFinder

    return SpeechFinder()


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
        tell(f"{key}: {message}")
    return int(bool(failures))


def _bar(options):
    """Whether a bar spoils no results: they go elsewhere than it does."""
    return options.output is not None or not sys.stdout.isatty()


def _head(record):
    path = one_line(name_of_record(record))
    return f"{path}\t{one_line(record['label'])}\t{record['score']:.3f}"


def _classified(record):
    decided = record["label"] is not None
    lines = [_head(record) if decided else one_line(name_of_record(record))]
    for name, answer in record.get("heads", {}).items():
        lines.append(one_line(f"  {name}: {in_words(answer)}"))
    windows = record["windows"] if decided else ()
    for window in windows if len(windows) > 1 else ():
        label = one_line(window["label"] or "(silent)")
        lines.append(f"  {window['start']:.1f}-{window['end']:.1f} s\t{label}")
    return "\n".join(lines)


def _described(record):
    lines = "\n".join(map(one_line, record["text"].splitlines()))
    return f"{_head(record)}\n{lines}"


def _timeline(record):
    lines = [one_line(name_of_record(record))]
    for segment in record["segments"]:
        label = segment["label"]
        lines.append(
            f"  {segment['start']:.2f}-{segment['end']:.2f} s\t"
            f"{one_line(label)}\t{segment['probabilities'][label]:.3f}"
        )
    return "\n".join(lines)
