"""The ``c2ser`` command.

Heavy imports are made by the command that needs them, so that help and
mistakes answer at once.
"""

import argparse
import json
import sys
from pathlib import Path

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
        0; 1 when some files failed; 2 for an error; 130 when interrupted.

    Example
    -------
    >>> main(["classify", "nowhere.wav", "--model", "nowhere"])
    2
    """
    options = _parser().parse_args(argv)
    keep_freed_memory()
    try:
        return options.run(options) or 0
    except (OSError, ValueError, RuntimeError) as error:
        print(f"c2ser: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("c2ser: interrupted", file=sys.stderr)
        return 130


def _parser():
    parser = argparse.ArgumentParser(
        prog="c2ser", description="Speech emotion recognition in words."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    classify = commands.add_parser(
        "classify", help="the emotion of each file, with its probability"
    )
    classify.set_defaults(run=_classify)
    describe = commands.add_parser(
        "describe", help="style, content and emotion of each file, in words"
    )
    describe.set_defaults(run=_describe)
    for command in (classify, describe):
        command.add_argument("files", nargs="+", metavar="FILE")
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
            "--json", action="store_true", help="one JSON object per file"
        )
    classify.add_argument("--batch-size", type=int, default=8)
    describe.add_argument("--beams", type=int, default=1)

    features = commands.add_parser(
        "features", help="Emotion2Vec-S features of a corpus, as .npy files"
    )
    features.set_defaults(run=_features)
    features.add_argument("list", help="wav.scp or manifest (JSON)")
    features.add_argument("output", help="folder of the .npy files")
    _add_model(features, "Emotion2Vec-S folder or hub id")
    features.add_argument(
        "--granularity",
        choices=("frame", "utterance", "mean"),
        default="frame",
    )
    features.add_argument("--batch-size", type=int, default=8)

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
    _add_evaluate(commands)
    return parser


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
        "--llm", metavar="FOLDER", help="language model that reads free text"
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


def _classify(options):
    from speechbrain_c2ser.inference.opening import open_classifier

    model = _load(open_classifier, options)
    more = {"language": options.language} if options.language else {}
    if more and not hasattr(model, "describe_file"):
        raise ValueError(
            f"{options.model} is a classifier, which answers in no language: "
            "leave out --language."
        )
    rows = model.classify_files(
        options.files,
        batch_size=options.batch_size,
        window=options.window,
        hop=options.hop,
        progress=len(options.files) > options.batch_size,
        **more,
    )
    for row in rows:
        if row.error is not None:
            print(f"c2ser: {row.error}", file=sys.stderr)
        elif options.json:
            print(json.dumps(_as_dict(row, model.labels)))
        else:
            print(f"{row.path}\t{row.label}\t{row.score:.3f}")
            _print_windows(row.result.windows)
    return int(any(row.error is not None for row in rows))


def _print_windows(windows):
    if len(windows) == 1:
        return
    for window in windows:
        label = window.label or "(silent)"
        print(f"  {window.start:.1f}-{window.stop:.1f} s\t{label}")


def _as_dict(row, labels):
    found = row.result
    return {
        "path": row.path,
        "label": row.label,
        "score": row.score,
        "probabilities": dict(
            zip(labels, found.probabilities.tolist(), strict=True)
        ),
        "windows": [
            {"start": w.start, "stop": w.stop, "label": w.label}
            for w in found.windows
        ],
    }


def _describe(options):
    from speechbrain_c2ser.inference import C2SER

    c2ser = _load(C2SER, options)
    failed = 0
    for path in options.files:
        try:
            said = c2ser.describe_file(
                path,
                window=options.window,
                hop=options.hop,
                language=options.language,
                num_beams=options.beams,
            )
        except ValueError as error:
            print(f"c2ser: {error}", file=sys.stderr)
            failed = 1
            continue
        if options.json:
            print(
                json.dumps(
                    {
                        "path": path,
                        "text": said.text,
                        "style": said.style,
                        "content": said.content,
                        "emotion": said.emotion,
                        "probabilities": said.probabilities,
                    },
                    ensure_ascii=False,
                )
            )
        else:
            score = said.probabilities[said.emotion]
            print(f"{path}\t{said.emotion}\t{score:.3f}\n{said.text}")
    return failed


def _features(options):
    from speechbrain_c2ser.inference import Emotion2VecSEncoder

    if not Path(options.list).is_file():
        raise FileNotFoundError(f"There is no list {options.list}.")
    encoder = _load(Emotion2VecSEncoder, options)
    failures = encoder.write_features(
        options.list,
        options.output,
        granularity=options.granularity,
        batch_size=options.batch_size,
    )
    for key, message in failures.items():
        print(f"c2ser: {key}: {message}", file=sys.stderr)
    return int(bool(failures))


def _convert_c2ser(options):
    from speechbrain_c2ser.checkpoints.converters.c2ser import convert_c2ser

    folder = convert_c2ser(
        options.c2ser_checkpoint,
        options.llm,
        options.emotion2vec_s,
        options.output,
        utterance_source=options.utterance_source,
    )
    print(f"written: {folder}")


def _convert_emotion2vec(options):
    from speechbrain_c2ser.checkpoints.converters.emotion2vec import convert

    found = convert(options.checkpoint, options.output)
    print(f"written: {options.output} ({len(found.unused)} keys unused)")


def _evaluate(options):
    from speechbrain_c2ser.evaluation.predictions import read_predictions
    from speechbrain_c2ser.evaluation.probabilities import all_or_none
    from speechbrain_c2ser.evaluation.references import (
        find_space,
        own_references,
        read_references,
    )
    from speechbrain_c2ser.evaluation.report.evaluation import (
        readings_table,
        write_evaluation,
    )
    from speechbrain_c2ser.evaluation.scoring import (
        evaluate,
        summary,
        unparsed_answers,
    )
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
        predictions, system = ask_system(options, folder)
    elif options.native:
        predictions = read_native_predictions(options)
    else:
        predictions = read_predictions(path, faults)
    if options.reference:
        references = read_references(options.reference)
    else:
        references = own_references(predictions, path)
    space = find_space(options.labels, references)
    judge = None
    if options.llm:
        from speechbrain_c2ser.inference.text_llm import TextLLM, label_judge

        judge = label_judge(TextLLM(options.llm, options.device), space)
    result = evaluate(
        all_or_none(predictions) if lenient else predictions,
        references,
        space,
        judge,
        options.missing_as_unparsed,
        options.outside_as_unparsed,
        options.samples,
        options.seed,
        options.group_by,
    )
    sections = []
    if options.suites:
        found = run_options(
            options, predictions, references, space, system, faults or ()
        )
        write_result(found, folder)
        sections = as_sections(found)
    pictures = write_evaluation(
        result,
        folder,
        options.name or f"Evaluation of {path.name}",
        sections,
        list(references.values()),
    )
    print(readings_table(result))
    for section in sections:
        print(f"\n{section}")
    print(f"\n{summary(result)}")
    if result["missing"]:
        print(f"{result['missing']} utterances have no prediction.")
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


def _compare(options):
    from speechbrain_c2ser.data.atomic import write_atomic
    from speechbrain_c2ser.evaluation.comparing import compare, read_result
    from speechbrain_c2ser.evaluation.report.evaluation import comparison_table

    results = [read_result(path) for path in (options.first, options.second)]
    found = compare(*results, options.reading, options.samples, options.seed)
    print(f"{found['n']} utterances, read as {' and '.join(found['readings'])}")
    print(comparison_table(found, "first", "second"))
    if options.output:
        write_atomic(json.dumps(found, indent=1) + "\n", options.output)
