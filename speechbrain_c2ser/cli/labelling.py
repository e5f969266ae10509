"""``c2ser label``: weak labels of speech that has none, by trained models."""

import argparse
from pathlib import Path

from speechbrain_c2ser.cli.terminal import quiet_libraries, say, tell

SHOWN = 5  # failures that are told one by one
# What a path as OUTPUT would be taken for by everything else.
TABLES = (".arrow", ".csv", ".jsonl", ".parquet", ".tar", ".tsv")
LIMITS = ("shortest", "longest", "quietest")


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
        "source",
        metavar="SOURCE",
        help="manifest; or a table, a tar, a Parquet file or a folder of tars, "
        "Parquet files or recordings. Rows need no emotion",
    )
    label.add_argument(
        "output",
        metavar="OUTPUT",
        help="NAME.json: a manifest of all rows, with `weak` where there is a "
        "label; or a folder, for what is too large for that",
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
        help="no label where the models' most probable ones differ, or one "
        "has no answer",
    )
    label.add_argument(
        "--least",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="no label whose mean probability is lower",
    )
    label.add_argument("--device", help="cpu, cuda, cuda:1 ...")
    label.add_argument(
        "--computation",
        choices=("fp32", "bf16", "int8"),
        default="fp32",
        help="precision of the models that hear; int8 on a processor only "
        "(default: fp32)",
    )
    label.add_argument("--batch-size", type=int, default=8)
    label.add_argument(
        "--style",
        metavar="THRESHOLDS",
        help="measured style of what is labelled, in words (file of "
        "recipes/C2SER/annotate_style.py)",
    )
    label.add_argument(
        "--validation",
        metavar="MANIFEST",
        help="recordings with their emotion: fits thresholds",
    )
    label.add_argument(
        "--precision",
        type=_wanted,
        help="wanted share of right labels (default: 0.9)",
    )
    _add_limits(label)
    _add_work(label)


def _wanted(text):
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no share of right labels, such as 0.9; the "
            "computation's precision is --computation"
        ) from None


def _add_limits(label):
    group = label.add_argument_group(
        "what is left out (defaults of a folder; NAME.json has none)"
    )
    group.add_argument("--shortest", type=float, help="seconds (1)")
    group.add_argument("--longest", type=float, help="seconds (30)")
    group.add_argument("--quietest", type=float, metavar="DB", help="rms (-60)")
    group.add_argument(
        "--languages", metavar="NAMES", help="with commas between (all)"
    )


def _add_work(label):
    group = label.add_argument_group("how it is done")
    group.add_argument(
        "--stages", metavar="YAML", help="your own, in place of --model"
    )
    group.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="of the yaml of --stages",
    )
    group.add_argument(
        "--rows",
        type=int,
        help="of a shard of a table (default: 1000; of NAME.json 100)",
    )
    group.add_argument(
        "--workers", type=int, help="of Ray (extra scale); else this process"
    )
    group.add_argument("--address", help="of a Ray cluster, such as auto")
    group.add_argument(
        "--gpus", type=float, help="of each worker, such as 0.5 (default: 0)"
    )


def _check(options):
    """Refuse what cannot be before anything is loaded."""
    from speechbrain_c2ser.cli.computation import MOST
    from speechbrain_c2ser.inference.options import check_number
    from speechbrain_c2ser.inference.pretrained import (
        check_precision,
        find_device,
    )
    from speechbrain_c2ser.labelling.weak_labels import source_names

    suffix = Path(options.output).suffix.lower()
    if suffix in TABLES:
        raise ValueError(
            f"{options.output} is neither NAME.json nor a folder: labels are "
            "written into one of these."
        )
    if suffix == ".json" and Path(options.output).is_dir():
        raise ValueError(f"{options.output} is a folder.")
    if options.precision is not None and not options.validation:
        raise ValueError("--precision needs --validation MANIFEST.")
    if options.rows is not None:
        check_number("--rows", options.rows, 1, whole=True)
    if options.stages:
        given = options.computation != "fp32"
        if options.model or options.llm or options.style or given:
            raise ValueError(
                "--stages names its own models and thresholds: leave out "
                "--model, --llm, --style and --computation."
            )
        return
    check_number("--batch-size", options.batch_size, 1, MOST, whole=True)
    check_number("--least", options.least, 0, 1)
    device = find_device(options.device)
    check_precision(options.computation, device, quick=True)
    folders = [*options.model, *([options.llm] if options.llm else [])]
    if not folders:
        raise ValueError("There is nothing to label with: give --model FOLDER.")
    if options.llm and not options.model and not options.labels:
        raise ValueError("--llm alone knows no labels: give --labels.")
    sources = source_names(folders)
    if len(set(sources)) < len(sources):
        raise ValueError("--model names a folder twice: name each once.")


def _label(options):
    from speechbrain_c2ser.labelling.items import FAILED
    from speechbrain_c2ser.labelling.run import (
        FAILURES,
        MANIFEST,
        RUN,
        as_json_manifest,
        label_shards,
        summary_of,
    )
    from speechbrain_c2ser.labelling.sources import plan_shards
    from speechbrain_c2ser.labelling.standard import (
        thresholds_table,
        with_thresholds,
    )

    _check(options)
    engine = _engine(options)
    is_json = Path(options.output).suffix.lower() == ".json"
    # Always gone on with: what was asked need not be asked again.
    folder = Path(f"{options.output}.part" if is_json else options.output)
    # It goes when all is done: nobody else's may lie there.
    if is_json and folder.exists() and not any(folder.rglob(RUN)):
        raise ValueError(f"{folder} is of no run of `label`: move it away.")
    rows = options.rows or (100 if is_json else 1000)
    shards = plan_shards(options.source, rows)
    stages = _stages(options, folder, limited=not is_json)
    about: dict = {"source": str(options.source)}
    if options.validation:
        precision = 0.9 if options.precision is None else options.precision
        stages, fitted = with_thresholds(
            stages, options.validation, precision, folder
        )
        about |= {"validation": options.validation, "precision": precision}
        say(thresholds_table(fitted))
    counts = label_shards(shards, stages, folder, engine, about)
    manifest, failures = folder / MANIFEST, folder / FAILURES
    if is_json:
        manifest = Path(options.output)
        failures = as_json_manifest(shards, folder, manifest)
    say(summary_of(counts, manifest, failures))
    if counts[FAILED]:
        _tell_first(failures)
    return int(counts[FAILED] > 0)


def _tell_first(path):
    import json
    from itertools import islice

    with open(path, encoding="utf-8") as file:
        for line in islice(file, SHOWN):
            failure = json.loads(line)
            tell(f"{failure['id']}: {failure['reason']}")


def _engine(options):
    """None without workers: this process labels."""
    from speechbrain_c2ser.inference.options import check_number

    if options.workers is None:
        if options.address or options.gpus:
            raise ValueError("--address and --gpus need --workers N.")
        return None
    check_number("--workers", options.workers, 1, whole=True)
    from speechbrain_c2ser.labelling.ray_engine import find_ray, on_ray

    find_ray()
    gpus = options.gpus or 0
    return on_ray(options.workers, gpus=gpus, address=options.address)


def _stages(options, folder, limited):
    from speechbrain_c2ser.evaluation.references import find_space
    from speechbrain_c2ser.labelling.standard import (
        read_stages,
        standard_stages,
    )

    quiet_libraries()
    if options.stages:
        values = {"output_folder": str(folder)}
        for pair in options.set or ():
            key, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"--set {pair} is not of the form KEY=VALUE.")
            values[key] = _value(value)
        return read_stages(options.stages, values)
    space = find_space(options.labels, {}) if options.labels else None
    return standard_stages(
        options.model,
        options.llm,
        None if space is None else space.names,
        options.agree,
        options.least,
        _limits(options, limited),
        options.device,
        options.batch_size,
        options.style,
        options.computation,
    )


def _limits(options, limited):
    """Arguments of the limits; None takes everything."""
    limits = {
        name: getattr(options, name)
        for name in LIMITS
        if getattr(options, name) is not None
    }
    if options.languages:
        limits["languages"] = sorted(
            name.strip() for name in options.languages.split(",")
        )
    if limited:
        return limits
    # What is not asked for limits nothing.
    return {**dict.fromkeys(LIMITS), **limits} if limits else None


def _value(text):
    import yaml

    return yaml.safe_load(text)
