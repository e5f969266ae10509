"""`c2ser publish`: a model card, a licence, a load elsewhere; then the hub.

Light to import: what is heavy is imported when it is used.
"""

import argparse
import json
from pathlib import Path

from speechbrain_c2ser.cli.terminal import say

CARD = "README.md"


def add_publish(commands) -> None:
    """The command `publish`."""
    publish = commands.add_parser(
        "publish", help="make a model folder ready for others"
    )
    publish.set_defaults(run=run_publish)
    publish.add_argument("folder", help="a model folder of ours")
    publish.add_argument(
        "--licence",
        help="of the weights, as the Hugging Face hub calls it: apache-2.0, "
        "cc-by-nc-4.0 ... (default: the one that the folder names)",
    )
    publish.add_argument("--name", help="on the card (default: the folder's)")
    publish.add_argument(
        "--run",
        dest="run_folder",
        metavar="FOLDER",
        help="of the training, with run.json (default: the one around FOLDER)",
    )
    publish.add_argument(
        "--evaluation",
        nargs="+",
        default=(),
        metavar="FOLDER",
        help="results of `c2ser evaluate` with this model, of --suites too",
    )
    publish.add_argument(
        "--upload",
        metavar="OWNER/NAME",
        help="then upload it to this place on the hub; nothing is sent else",
    )
    publish.add_argument(
        "--public",
        action="store_true",
        help="with --upload: a new place that all can see",
    )


def run_publish(options: argparse.Namespace) -> int:
    """Check, name the licence, write the card, upload where asked."""
    from speechbrain_c2ser.checkpoints.kinds import KINDS, kind_of
    from speechbrain_c2ser.checkpoints.licences import (
        check_licence,
        licence_of,
        parts_of,
        set_licence,
    )
    from speechbrain_c2ser.data.atomic import write_atomic
    from speechbrain_c2ser.evaluation.report.card import Facts, card_text
    from speechbrain_c2ser.inference.fresh import load_fresh

    folder = Path(options.folder)
    kind = kind_of(folder)
    if kind not in KINDS:
        raise ValueError(f"{folder} holds no model of ours.")
    _check_place(options.upload)
    _check_card(folder / CARD)
    if options.licence:
        check_licence(options.licence, parts_of(folder))
    elif licence_of(folder) is None:
        raise ValueError(
            f"{folder} names no licence: say under which one others may use "
            "the weights (--licence apache-2.0, cc-by-nc-4.0 ...)."
        )
    notes: list[str] = []
    name = options.name or options.upload or folder.resolve().name
    run = _read_run(folder, options.run_folder, notes)
    results = [_read_result(Path(each)) for each in options.evaluation]
    loaded = load_fresh(folder)
    for result in results:
        if loaded["labels"] and result["labels"] != loaded["labels"]:
            raise ValueError(
                f"{result['name']} was evaluated on the labels "
                f"{', '.join(result['labels'])}, and {folder} tells apart "
                f"{', '.join(loaded['labels'])}: give this model's results."
            )
    licence = (
        set_licence(folder, options.licence)
        if options.licence
        else licence_of(folder)
    )
    facts = Facts(
        name=name,
        kind=kind,
        what=KINDS[kind][0],
        licence=licence,
        parts=parts_of(folder),
        labels=loaded["labels"],
        parameters=loaded["parameters"],
        languages=_languages(folder),
        run=run,
        data=_describe_data(run, notes),
        evaluations=results,
        sections=_suites(options.evaluation),
        notes=notes,
    )
    block = _metadata(facts, options.evaluation)
    write_atomic(f"{block}\n{card_text(facts)}", folder / CARD)
    say(f"loads in a new process, and answers {loaded['answer']!r}")
    say(f"licence: {licence}")
    for note in notes:
        say(f"c2ser: {note}")
    say(f"card: {folder / CARD}")
    if options.upload:
        _upload(folder, options.upload, not options.public)
    return 0


def _check_place(place):
    if place and (place.count("/") != 1 or not all(place.split("/"))):
        raise ValueError(f"{place!r} is no place on the hub: give OWNER/NAME.")


def _check_card(path):
    from speechbrain_c2ser.evaluation.report.card import MARK

    if path.is_file() and MARK not in path.read_text(encoding="utf-8"):
        raise ValueError(
            f"{path} is not by this command, and is not replaced: move it away."
        )


def _read_run(folder, given, notes):
    """run.json of the training, None where there is none."""
    place = Path(given) if given else folder.resolve().parent
    path = place / "run.json"
    if not path.is_file():
        if given:
            raise ValueError(f"{place} is no run: it has no run.json.")
        notes.append(
            "How the model was trained is not known: there is no run.json "
            "around its folder, and none was given (--run)."
        )
        return None
    run = json.loads(path.read_text(encoding="utf-8"))
    # Places on this machine are nobody's business.
    run["overlays"] = [
        each if not Path(each).is_absolute() else Path(each).name
        for each in run.get("overlays") or []
    ]
    return run


def _read_result(folder):
    """result.json of an evaluation, with the folder's name."""
    path = folder / "result.json"
    if not path.is_file():
        raise ValueError(
            f"{folder} is no result of `c2ser evaluate`: it has no result.json."
        )
    return {
        **json.loads(path.read_text(encoding="utf-8")),
        "name": folder.resolve().name,
    }


def _suites(folders):
    """Markdown of the suites that were run."""
    from speechbrain_c2ser.evaluation.suites.running import (
        RESULT_FILE,
        as_sections,
    )

    sections = []
    for folder in folders:
        path = Path(folder) / RESULT_FILE
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            sections += as_sections(found)
    return sections


def _describe_data(run, notes):
    """Split -> figures of the manifests that the run names."""
    from speechbrain_c2ser.data.errors import ManifestError
    from speechbrain_c2ser.data.manifest import read_manifest

    found = {}
    for argument in (run or {}).get("arguments", []):
        name, _, path = argument.removeprefix("--").partition("=")
        split = name.removesuffix("_manifest")
        if split == name or path in ("", "null"):
            continue
        try:
            rows = read_manifest(path).values()
        except (OSError, ValueError, ManifestError):
            notes.append(
                f"The {split} manifest of the run is not at hand: what was in "
                "it is not known."
            )
            continue
        speakers = {
            (row.get("dataset"), row["speaker"])
            for row in rows
            if row.get("speaker") is not None
        }
        found[split] = {
            "utterances": len(rows),
            "speakers": len(speakers),
            "hours": sum(float(r.get("duration") or 0) for r in rows) / 3600,
            "corpora": _names(rows, "dataset"),
            "languages": _names(rows, "language"),
        }
    return found


def _names(rows, field):
    return sorted({str(row[field]) for row in rows if row.get(field)})


def _languages(folder):
    from speechbrain_c2ser.checkpoints.licences import plain_settings

    return plain_settings(folder).get("languages") or []


def _metadata(facts, evaluations):
    """The hub's block, with the figures of all evaluations."""
    from huggingface_hub import ModelCard, ModelCardData

    results = []
    languages = set(facts.languages)
    for folder in evaluations:
        path = Path(folder) / "model_card.md"
        if path.is_file():
            data = ModelCard(path.read_text(encoding="utf-8")).data
            results += data.eval_results or []
            languages |= set(_as_list(data.language))
    for own in facts.data.values():
        languages |= set(own["languages"])
    task = "audio-classification"
    if facts.kind == "Emotion2VecS":
        task = "feature-extraction"
    data = ModelCardData(
        model_name=facts.name,
        language=sorted(languages) or None,
        license=facts.licence,
        pipeline_tag=task,
        library_name="speechbrain",
        tags=["speech-emotion-recognition", "speechbrain_c2ser"],
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _as_list(value):
    return [value] if isinstance(value, str) else list(value or [])


def _upload(folder, place, private):
    """Send a folder to the hub; a failure is one line, the folder stays."""
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(place, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=place,
            folder_path=str(folder),
            commit_message="c2ser publish",
            ignore_patterns=["*.part", "*.old"],
        )
    except Exception as error:  # no network, no token, no right: many types
        words = " ".join(str(error).split())[:300]
        raise RuntimeError(
            f"{folder} is ready, but was not uploaded to {place}: "
            f"{type(error).__name__}: {words}. Look to network and token "
            "(`hf auth login`), and publish again."
        ) from error
    say(f"uploaded: https://huggingface.co/{place}")
