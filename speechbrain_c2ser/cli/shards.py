"""``c2ser label`` into a folder: archives, shard by shard."""

import argparse
from pathlib import Path

ONLY_SHARDS = (
    *("shortest", "longest", "quietest", "languages", "validation"),
    *("precision", "stages", "rows", "set", "workers", "address", "gpus"),
)


def add_shard_options(label: argparse.ArgumentParser) -> None:
    """Options of ``c2ser label`` that go with a folder.

    Arguments
    ---------
    label : argparse.ArgumentParser
        Of the command.
    """
    group = label.add_argument_group("where OUTPUT is a folder")
    group.add_argument("--shortest", type=float, help="seconds (default: 1)")
    group.add_argument("--longest", type=float, help="seconds (default: 30)")
    group.add_argument(
        "--quietest", type=float, metavar="DB", help="rms (default: -60)"
    )
    group.add_argument(
        "--languages", metavar="NAMES", help="with commas between (all)"
    )
    group.add_argument(
        "--validation",
        metavar="MANIFEST",
        help="recordings with their emotion: fits thresholds",
    )
    group.add_argument(
        "--precision",
        type=float,
        help="wanted share of right labels (default: 0.9)",
    )
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
        "--rows", type=int, help="of a shard of a table (default: 1000)"
    )
    group.add_argument(
        "--workers", type=int, help="of Ray (extra scale); else this process"
    )
    group.add_argument("--address", help="of a Ray cluster, such as auto")
    group.add_argument(
        "--gpus", type=float, help="of each worker, such as 0.5 (default: 0)"
    )


def wants_shards(options: argparse.Namespace) -> bool:
    """Whether the output is a folder.

    Arguments
    ---------
    options : argparse.Namespace
        Of the command.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        For options that need a folder, beside a manifest.
    """
    if Path(options.output).suffix.lower() != ".json":
        return True
    given = [name for name in ONLY_SHARDS if getattr(options, name) is not None]
    if given:
        raise ValueError(
            f"--{given[0]} goes with a folder as OUTPUT, not with "
            f"{options.output}."
        )
    if Path(options.manifest).suffix.lower() != ".json":
        raise ValueError(
            f"{options.manifest} is labelled into a folder: give one as OUTPUT."
        )
    return False


def label_in_shards(options: argparse.Namespace, check) -> int:
    """Run the command.

    Arguments
    ---------
    options : argparse.Namespace
        Of the command.
    check : callable
        Refuses what cannot be of the options that both ways have.

    Returns
    -------
    int
        1 where items failed.
    """
    from speechbrain_c2ser.inference.options import check_number
    from speechbrain_c2ser.labelling.items import FAILED
    from speechbrain_c2ser.labelling.run import label_shards, summary_of
    from speechbrain_c2ser.labelling.sources import plan_shards
    from speechbrain_c2ser.labelling.standard import (
        thresholds_table,
        with_thresholds,
    )

    if options.precision is not None and not options.validation:
        raise ValueError("--precision needs --validation MANIFEST.")
    if options.stages and (options.model or options.llm):
        raise ValueError("--stages names its own models: leave out --model.")
    if not options.stages:
        check(options)
    if options.rows is not None:
        check_number("--rows", options.rows, 1, whole=True)
    engine = _engine(options)
    shards = plan_shards(options.manifest, options.rows or 1000)
    stages = _stages(options)
    about: dict = {"source": str(options.manifest)}
    if options.validation:
        precision = 0.9 if options.precision is None else options.precision
        stages, fitted = with_thresholds(
            stages, options.validation, precision, options.output
        )
        about |= {"validation": options.validation, "precision": precision}
        print(thresholds_table(fitted))
    counts = label_shards(shards, stages, options.output, engine, about)
    print(summary_of(counts, options.output))
    return int(counts[FAILED] > 0)


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


def _stages(options):
    from transformers.utils import logging

    from speechbrain_c2ser.evaluation.references import find_space
    from speechbrain_c2ser.labelling.standard import (
        read_stages,
        standard_stages,
    )

    logging.disable_progress_bar()
    if options.stages:
        values = {"output_folder": options.output}
        for pair in options.set or ():
            key, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"--set {pair} is not of the form KEY=VALUE.")
            values[key] = _value(value)
        return read_stages(options.stages, values)
    names = ("shortest", "longest", "quietest")
    limits = {
        name: getattr(options, name)
        for name in names
        if getattr(options, name) is not None
    }
    if options.languages:
        limits["languages"] = sorted(
            name.strip() for name in options.languages.split(",")
        )
    space = find_space(options.labels, {}) if options.labels else None
    return standard_stages(
        options.model,
        options.llm,
        None if space is None else space.names,
        options.agree,
        options.least,
        limits,
        options.device,
        options.batch_size,
    )


def _value(text):
    import yaml

    return yaml.safe_load(text)
