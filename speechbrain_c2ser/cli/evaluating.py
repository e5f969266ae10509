"""``c2ser evaluate`` and ``c2ser compare``: scores of predictions."""

import argparse
import json
from pathlib import Path

from speechbrain_c2ser.cli.terminal import quiet_libraries, say
from speechbrain_c2ser.evaluation.suites.command import (
    add_disturb,
    add_options,
)


def add_evaluate(commands: argparse._SubParsersAction) -> None:
    """Add the commands ``evaluate``, ``disturb`` and ``compare``.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    """
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
    from speechbrain_c2ser.labels.emotion_words import same_meaning

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
            say(f"{section}\n\nReport: {folder / 'report.md'}")
            return
        unknown = without_truth(predictions)
        predictions = [r for r in predictions if r["id"] not in set(unknown)]
        if not predictions:
            title = options.name or f"Evaluation of {path.name}"
            write_sections(
                heads, folder, title, [heads_section(heads)], "heads.json"
            )
            say(f"{heads_section(heads)}\n\nReport: {folder / 'report.md'}")
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
        say(f"c2ser: {fault}")
    say(readings_table(result))
    for section in sections:
        say(f"\n{section}")
    say(f"\n{summary(result)}")
    if result["free_texts"]:
        say(free_texts_section(result["free_texts"]))
    if result["judges"]:
        say(judges_sentence(result["judges"]))
    if result["missing"]:
        say(f"{result['missing']} utterances have no prediction.")
    if unknown:
        say(
            f"{len(unknown)} utterances have no true emotion: only their other "
            "heads are scored."
        )
    for same in same_meaning(result["labels"]):
        say(f"{same} Give --labels that join them.")
    if result["mapped"]:
        say(f"True labels mapped into the set: {result['mapped']}")
    if result["calibration"] and result["calibration"]["left_out"]:
        say(
            "Probabilities of labels outside the set are left out: "
            f"{result['calibration']['left_out']:.1%} on average."
        )
    for key, words in unparsed_answers(result, predictions)[:3]:
        say(f"unparsed, for example: {key}: {words!r}")
    if options.oruk_bench:
        say(write_oruk(result, references, options.oruk_bench))
    if not pictures:
        say("No pictures: matplotlib is not installed.")
    say(f"Report: {folder / 'report.md'}")


def _judge(folder, device, space):
    """A reader of texts that is in memory only while it reads."""

    def judge(texts):
        from speechbrain_c2ser.inference.text_llm import TextLLM, label_judge

        quiet_libraries()
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
    say(
        f"{comparison['n']} utterances, read as "
        f"{' and '.join(comparison['readings'])}"
    )
    say(comparison_table(comparison, "first", "second"))
    if options.output:
        write_atomic(json.dumps(comparison, indent=1) + "\n", options.output)
