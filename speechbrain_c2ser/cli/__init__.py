"""The ``c2ser`` command.

Heavy imports are made by the command that needs them, so that help and
mistakes answer at once.
"""

import argparse
import errno
import sys

import speechbrain_c2ser
from speechbrain_c2ser.cli.completion import add_completion
from speechbrain_c2ser.cli.doctor import add_doctor
from speechbrain_c2ser.cli.evaluating import add_evaluate
from speechbrain_c2ser.cli.exporting import add_export
from speechbrain_c2ser.cli.labelling import add_label
from speechbrain_c2ser.cli.publish import add_publish
from speechbrain_c2ser.cli.recordings import add_recordings
from speechbrain_c2ser.cli.reviewing import add_reviewing
from speechbrain_c2ser.cli.serve import add_serve
from speechbrain_c2ser.cli.terminal import (
    leave_closed_pipe,
    prepare_streams,
    tell,
)
from speechbrain_c2ser.cli.training import add_train
from speechbrain_c2ser.cli.writing import FULL
from speechbrain_c2ser.training.memory import keep_freed_memory


def main(argv=None):
    """Run a command; an expected error is one line on stderr.

    Arguments
    ---------
    argv : list[str] | None
        Arguments; None = the process's.

    Returns
    -------
    int
        0; 1 when some files failed; 2 for an error; 130 when interrupted;
        141 when the reader of a pipe has gone.

    Example
    -------
    >>> main(["classify", "nowhere.wav", "--model", "nowhere"])
    2
    """
    prepare_streams()
    parser = _parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        return 2
    options = parser.parse_args(argv)
    keep_freed_memory()
    try:
        if getattr(options, "user_modules", None):
            _load_user_modules(options.user_modules)
        code = options.run(options) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        leave_closed_pipe()
        return 141
    except (OSError, ValueError, RuntimeError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        if getattr(error, "errno", None) == errno.ENOSPC:
            message += FULL
        tell(message)
        return 2
    except KeyboardInterrupt:
        tell("interrupted")
        return 130


def _parser():
    parser = argparse.ArgumentParser(
        prog="c2ser", description="Speech emotion recognition in words."
    )
    parser.add_argument(
        "--version", action="version", version=speechbrain_c2ser.__version__
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add_recordings(commands)
    add_serve(commands)
    add_label(commands)
    add_reviewing(commands)
    convert = commands.add_parser(
        "convert", help="published checkpoints to folders"
    )
    kinds = convert.add_subparsers(required=True, metavar="KIND")
    c2ser = kinds.add_parser("c2ser", help="the whole published system")
    c2ser.set_defaults(run=_convert_c2ser)
    c2ser.add_argument("--c2ser-checkpoint", required=True, metavar="FILE")
    c2ser.add_argument("--llm", required=True, metavar="FOLDER")
    c2ser.add_argument("--emotion2vec-s", required=True, metavar="FILE")
    c2ser.add_argument("--output", required=True, metavar="FOLDER")
    c2ser.add_argument(
        "--utterance-source",
        choices=("tokens", "first_frames"),
        default="first_frames",
        help="what the checkpoint was trained on (published: first_frames)",
    )
    emotion2vec = kinds.add_parser(
        "emotion2vec", help="an emotion2vec, emotion2vec+ or Emotion2Vec-S"
    )
    emotion2vec.set_defaults(run=_convert_emotion2vec)
    emotion2vec.add_argument("--checkpoint", required=True, metavar="FILE")
    emotion2vec.add_argument("--output", required=True, metavar="FOLDER")
    for kind in (c2ser, emotion2vec):
        kind.add_argument(
            "--licence", help="of the weights, as the hub calls it"
        )
    add_evaluate(commands)
    add_export(commands)
    add_publish(commands)
    add_doctor(commands)
    _add_user_modules(commands)
    add_train(commands)
    add_completion(commands, _parser)
    return parser


def _add_user_modules(commands):
    """The option of every command that may open a model."""
    for name, command in commands.choices.items():
        if name not in ("convert", "compare", "doctor"):
            command.add_argument(
                "--user_modules",
                "--user-modules",
                action="append",
                metavar="FILE.py",
                help="blocks of your own that the model is built of "
                "(docs/your_own_block.md)",
            )


def _load_user_modules(paths):
    from speechbrain_c2ser.checkpoints.user_modules import load_user_module

    for path in paths:
        load_user_module(path)


def _convert_c2ser(options):
    from speechbrain_c2ser.checkpoints.converters.c2ser import convert_c2ser
    from speechbrain_c2ser.checkpoints.replacing import check_replaceable

    # Before hours of work; a folder with the checkpoint in it is refused.
    check_replaceable(options.output)
    folder = convert_c2ser(
        options.c2ser_checkpoint,
        options.llm,
        options.emotion2vec_s,
        options.output,
        utterance_source=options.utterance_source,
        licence=options.licence,
    )
    print(f"written: {folder}")


def _convert_emotion2vec(options):
    from speechbrain_c2ser.checkpoints.converters.emotion2vec import convert
    from speechbrain_c2ser.checkpoints.replacing import check_replaceable

    check_replaceable(options.output)
    folder = convert(
        options.checkpoint, options.output, licence=options.licence
    )
    print(f"written: {options.output} ({len(folder.unused)} keys unused)")
