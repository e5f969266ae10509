"""The ``c2ser`` command.

Heavy imports are made by the command that needs them, so that help and
mistakes answer at once.
"""

import argparse
import json
import sys
from pathlib import Path

from speechbrain_c2ser.cli.completion import add_completion
from speechbrain_c2ser.cli.doctor import add_doctor
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
from speechbrain_c2ser.evaluation.suites.command import (
    add_disturb,
    add_options,
)
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
    options = _parser().parse_args(argv)
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
        tell(message)
        return 2
    except KeyboardInterrupt:
        tell("interrupted")
        return 130


def _parser():
    parser = argparse.ArgumentParser(
        prog="c2ser", description="Speech emotion recognition in words."
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
    _add_evaluate(commands)
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


def _add_evaluate(commands):
    evaluate = commands.add_parser(
        "evaluate", help="score predictions, ours or another system's"
    )
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument(
        "predictions",
        help="table (JSONL, JSON, CSV, TSV) of id and text and / or label, "
        "perhaps probabilities; or a system to be asked: a model folder, or "
        "module:callable",
    )
    evaluate.add_argument(
        "--reference",
        nargs="+",
        metavar="FILE",
        help="manifest or list with the true emotions (default: the "
        "predictions' own `emotion`)",
    )
    evaluate.add_argument(
        "--labels",
        help="name of a label set, or labels with commas between (default: "
        "those of the reference)",
    )
    evaluate.add_argument(
        "--llm",
        nargs="+",
        default=(),
        metavar="FOLDER",
        help="language models that read free text: what most of them say",
    )
    evaluate.add_argument("--device", help="of the language model")
    evaluate.add_argument(
        "--missing-as-unparsed",
        action="store_true",
        help="an utterance without prediction counts as wrong",
    )
    evaluate.add_argument(
        "--outside-as-unparsed",
        action="store_true",
        help="a label outside the set counts as wrong",
    )
    evaluate.add_argument(
        "--group-by",
        nargs="+",
        default=(),
        metavar="FIELD",
        help="figures for each value of these fields of the reference too",
    )
    evaluate.add_argument("--samples", type=int, default=1000)
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument(
        "--output",
        metavar="FOLDER",
        help="of the figures (default: the predictions' name)",
    )
    add_options(evaluate)
    add_disturb(commands)
    compare = commands.add_parser(
        "compare", help="two results of `evaluate`, by a paired bootstrap"
    )
    compare.set_defaults(run=_compare)
    compare.add_argument("first", help="result.json")
    compare.add_argument("second", help="result.json")
    compare.add_argument("--reading", help="strict, synonyms, llm, ...")
    compare.add_argument("--samples", type=int, default=1000)
    compare.add_argument("--seed", type=int, default=0)
    compare.add_argument("--output", metavar="FILE", help="JSON to write")


def _convert_c2ser(options):
    from speechbrain_c2ser.checkpoints.converters.c2ser import convert_c2ser

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

    folder = convert(
        options.checkpoint, options.output, licence=options.licence
    )
    print(f"written: {options.output} ({len(folder.unused)} keys unused)")


def _evaluate(options):
    from speechbrain_c2ser.evaluation.free_texts import score_free_texts
    from speechbrain_c2ser.evaluation.head_scores import (
        heads_section,
        score_heads,
        without_truth,
        write_sections,
    )
    from speechbrain_c2ser.evaluation.predictions import read_predictions
    from speechbrain_c2ser.evaluation.references import (
        find_space,
        own_references,
        read_references,
    )
    from speechbrain_c2ser.evaluation.report.evaluation import (
        free_texts_section,
        judges_sentence,
        readings_table,
        write_evaluation,
    )
    from speechbrain_c2ser.evaluation.scoring import (
        evaluate,
        match_recordings,
        summary,
        unparsed_answers,
    )
    from speechbrain_c2ser.evaluation.setting_aside import plain_predictions
    from speechbrain_c2ser.evaluation.suites.command import (
        ask_system,
        names_system,
        read_native_predictions,
        run_options,
        write_oruk,
    )
    from speechbrain_c2ser.evaluation.suites.running import (
        as_sections,
        write_result,
    )

    path = Path(options.predictions)
    folder = Path(options.output or path.with_suffix(""))
    # The suites name and count what a plain evaluation refuses.
    lenient = bool(options.suites) or names_system(options.predictions)
    system, faults = None, [] if lenient else None
    if names_system(options.predictions):
        folder = Path(options.output or "evaluation")
        predictions, system = ask_system(options, folder, faults)
    elif options.native:
        predictions = read_native_predictions(options)
    else:
        predictions = read_predictions(path, faults)
    heads, unknown = score_heads(predictions), []
    if options.reference:
        references = read_references(options.reference)
    else:
        free = score_free_texts(predictions, {r["id"]: r for r in predictions})
        if free and not any(row.get("emotion") for row in predictions):
            title = options.name or f"Evaluation of {path.name}"
            section = free_texts_section(free)
            write_sections({"free_texts": free}, folder, title, [section])
            print(f"{section}\n\nReport: {folder / 'report.md'}")
            return
        unknown = without_truth(predictions)
        predictions = [r for r in predictions if r["id"] not in set(unknown)]
        if not predictions:
            title = options.name or f"Evaluation of {path.name}"
            write_sections(
                heads, folder, title, [heads_section(heads)], "heads.json"
            )
            print(f"{heads_section(heads)}\n\nReport: {folder / 'report.md'}")
            return
        references = own_references(predictions, path, faults)
    if lenient:
        predictions = match_recordings(predictions, references)
    space = find_space(options.labels, references)
    plain, scored = predictions, references
    if lenient:
        plain, scored = plain_predictions(
            predictions, references, space, faults
        )
    result = evaluate(
        plain,
        scored,
        space,
        [_judge(folder, options.device, space) for folder in options.llm],
        options.missing_as_unparsed or lenient,
        options.outside_as_unparsed or lenient,
        options.samples,
        options.seed,
        options.group_by,
    )
    sections = [heads_section(heads)] if heads else []
    result["heads"] = heads
    if options.suites:
        evaluated = run_options(
            options, predictions, references, space, system, faults or ()
        )
        faults = None
        write_result(evaluated, folder)
        sections += as_sections(evaluated)
    pictures = write_evaluation(
        result,
        folder,
        options.name or f"Evaluation of {path.name}",
        sections,
        list(references.values()),
    )
    for fault in faults or ():
        print(f"c2ser: {fault}")
    print(readings_table(result))
    for section in sections:
        print(f"\n{section}")
    print(f"\n{summary(result)}")
    if result["free_texts"]:
        print(free_texts_section(result["free_texts"]))
    if result["judges"]:
        print(judges_sentence(result["judges"]))
    if result["missing"]:
        print(f"{result['missing']} utterances have no prediction.")
    if unknown:
        print(
            f"{len(unknown)} utterances have no true emotion: only their other "
            "heads are scored."
        )
    if result["mapped"]:
        print(f"True labels mapped into the set: {result['mapped']}")
    if result["calibration"] and result["calibration"]["left_out"]:
        print(
            "Probabilities of labels outside the set are left out: "
            f"{result['calibration']['left_out']:.1%} on average."
        )
    for key, words in unparsed_answers(result, predictions)[:3]:
        print(f"unparsed, for example: {key}: {words!r}")
    if options.oruk_bench:
        print(write_oruk(result, references, options.oruk_bench))
    if not pictures:
        print("No pictures: matplotlib is not installed.")
    print(f"Report: {folder / 'report.md'}")


def _judge(folder, device, space):
    """A reader of texts that is in memory only while it reads."""

    def judge(texts):
        from speechbrain_c2ser.inference.text_llm import TextLLM, label_judge

        return label_judge(TextLLM(folder, device), space)(texts)

    return judge


def _compare(options):
    from speechbrain_c2ser.data.atomic import write_atomic
    from speechbrain_c2ser.evaluation.comparing import compare, read_result
    from speechbrain_c2ser.evaluation.report.evaluation import comparison_table

    results = [read_result(path) for path in (options.first, options.second)]
    comparison = compare(
        *results, options.reading, options.samples, options.seed
    )
    print(
        f"{comparison['n']} utterances, read as "
        f"{' and '.join(comparison['readings'])}"
    )
    print(comparison_table(comparison, "first", "second"))
    if options.output:
        write_atomic(json.dumps(comparison, indent=1) + "\n", options.output)
