"""Other systems' own outputs as predictions, and oruk-bench's form.

A recording is named by its path in most of them; :func:`match_ids` finds the
utterance of the reference.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from speechbrain_c2ser.chain_of_thought.answer_json import only_one
from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.data.text_files import read_text
from speechbrain_c2ser.evaluation.errors import PredictionError, some
from speechbrain_c2ser.evaluation.references import name_segments
from speechbrain_c2ser.evaluation.scoring import find_owner, owners_of
from speechbrain_c2ser.labels import LabelSpace

TAG = re.compile(r"<\|([^|]*)\|>")
SENSEVOICE = {
    "HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED",
}  # fmt: skip
# A path, then the label that classify_file prints: ['hap'].
SPEECHBRAIN = re.compile(
    r"^\s*(?P<path>\S.*?\.\w+)(?=[\s:,]).*\[\s*'(?P<label>[^']+)'\]"
)
# The order of oruk-bench's classes, whose numbers its files hold.
ORUK_BENCH = LabelSpace(
    "anger happiness sadness fear disgust surprise neutral".split()
)
NKULULEKO = {
    "file",
    "start",
    "end",
    "predicted",
    "truth",
    "uncertainty",
    "correct",
}


def read_native(path: str | Path, kind: str) -> list[dict]:
    """Read what another system has written.

    Arguments
    ---------
    path : str | Path
        Its file.
    kind : str
        "funasr": rows of key, labels and scores (emotion2vec+), JSON or
        JSONL; "sensevoice": rows of key and text with tags, JSON or JSONL;
        "qwen": chats as JSON or JSONL, messages with an audio and an answer;
        "nkululeko": its CSV of a column a class, predicted and truth;
        "speechbrain": a log of a path and what ``classify_file`` gave, a
        line each.

    Returns
    -------
    list of dict
        Predictions whose id is the recording as the file names it.

    Raises
    ------
    PredictionError
        For an unknown kind, or a file that holds nothing of it.
    """
    if kind not in KINDS:
        raise PredictionError(
            f"There is no reader {kind!r} (known: {', '.join(KINDS)})."
        )
    rows = [row for row in KINDS[kind](Path(path)) if row]
    if not rows:
        raise PredictionError(f"{path} holds no rows of {kind}.")
    return rows


def match_ids(rows: list[dict], references: dict) -> list[dict]:
    """Give predictions the ids of the reference: by id, else by recording.

    Arguments
    ---------
    rows : list of dict
        Of :func:`read_native`.
    references : dict
        Id -> row with wav.

    Returns
    -------
    list of dict

    Raises
    ------
    PredictionError
        If one fits none or several; names some.

    Example
    -------
    >>> match_ids([{"id": "x/b.wav"}], {"one": {"wav": "data/b.wav"}})
    [{'id': 'one'}]
    """
    owners = owners_of(references)
    matched, lost = [], []
    for row in rows:
        named = (row["id"], row.get("wav"))
        keys = [find_owner(name, row, references, owners) for name in named]
        key = keys[0] or keys[1]
        if key is None:
            lost.append(row["id"])
        else:
            matched.append({**row, "id": key})
    if lost:
        raise PredictionError(
            f"{len(lost)} of {len(rows)} recordings are none, or several, of "
            f"the reference ({some(lost)}): give the list that was predicted."
        )
    return matched


def write_oruk_bench(
    references: dict, labels: list[str | None], folder: str | Path
) -> int:
    """Write what ``oruk-bench score --preds --labels`` reads.

    Arguments
    ---------
    references : dict
        Id -> what is true; each emotion must have a place in its seven.
    labels : list[str] | None
        The label read of each reference, in their order.
    folder : str | Path
        Gets preds.npz ("preds": numbers of its classes), labels.npz
        ("labels") and ids.json.

    Returns
    -------
    int
        Answers without a label, or with one outside the seven, that count
        as neutral there: its own rule.

    Raises
    ------
    PredictionError
        If a true emotion has no place.
    """
    names = ORUK_BENCH.names
    true = [ORUK_BENCH.map(row["emotion"]) for row in references.values()]
    if None in true:
        lost = {
            r["emotion"]
            for r, t in zip(references.values(), true, strict=True)
            if t is None
        }
        raise PredictionError(
            f"oruk-bench has no class for {some(sorted(lost))}."
        )
    board_labels = [ORUK_BENCH.map(label) for label in labels]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in (("preds", board_labels), ("labels", true)):
        numbers = [names.index(v or "neutral") for v in values]
        np.savez(folder / f"{name}.npz", **{name: np.array(numbers, np.int64)})
    write_atomic(json.dumps(list(references)) + "\n", folder / "ids.json")
    return board_labels.count(None)


def _rows(path):
    """JSON objects of a file, lists within lists made flat."""
    if path.suffix.lower() == ".json":
        try:
            table = [json.loads(read_text(path))]
        except (OSError, ValueError) as error:
            raise PredictionError(f"{path} cannot be read: {error}.") from error
    else:
        table = read_table(path)
    while table:
        row = table.pop(0)
        if isinstance(row, list):
            table = row + table
        else:
            yield row


def _funasr(path):
    for row in _rows(path):
        if {"key", "labels", "scores"} <= row.keys():
            if len(row["labels"]) != len(row["scores"]):
                raise PredictionError(
                    f"{path}: {row['key']!r} has {len(row['labels'])} labels "
                    f"and {len(row['scores'])} scores."
                )
            scores = dict(zip(row["labels"], row["scores"], strict=True))
            yield {
                "id": str(row["key"]),
                "label": max(scores, key=scores.get),
                "probabilities": scores,
            }


def _sensevoice(path):
    for row in _rows(path):
        if "key" in row and isinstance(row.get("text"), str):
            tags = {
                tag.lower()
                for tag in TAG.findall(row["text"])
                if tag in SENSEVOICE
            }
            yield {
                "id": str(row["key"]),
                "label": only_one(tags),
                "transcript_asr": TAG.sub("", row["text"]).strip(),
            }


def _qwen(path):
    for row in _rows(path):
        messages = row.get("messages") or row.get("conversation") or []
        audio, text = row.get("id"), None
        if audio is None and row.get("audios"):  # of ms-swift
            audio = Path(row["audios"][0]).as_posix()
        for message in messages:
            content = message.get("content")
            parts = content if isinstance(content, list) else [content]
            for part in parts:
                if isinstance(part, str):
                    part = {"type": "text", "text": part}
                if not isinstance(part, dict):
                    continue
                found = part.get("audio_url") or part.get("audio")
                if audio is None and isinstance(found, str):
                    audio = found
                if message.get("role") == "assistant" and "text" in part:
                    text = part["text"]
        if audio is not None and text is not None:
            yield {"id": str(audio), "text": text}


def _nkululeko(path):
    rows = read_table(path)
    if not all({"file", "predicted"} <= row.keys() for row in rows):
        return
    named = [{"id": str(row["file"])} for row in rows]
    name_segments(named, [row.get("start") for row in rows])
    for row, prediction in zip(rows, named, strict=True):
        prediction["label"] = row["predicted"]
        if row.get("truth"):
            prediction["emotion"] = row["truth"]
        scores = {}
        for name, value in row.items():
            if name not in NKULULEKO:
                try:
                    scores[name] = float(value)
                except (TypeError, ValueError):
                    continue
        # Its columns are probabilities of some models, scores of others.
        values = scores.values()
        if scores and min(values) >= 0 and abs(sum(values) - 1) < 1e-2:
            prediction["probabilities"] = scores
        yield prediction


def _speechbrain(path):
    for line in read_text(path).splitlines():
        match = SPEECHBRAIN.match(line)
        if match:
            yield {"id": match["path"], "label": match["label"]}


KINDS: dict[str, Callable] = {
    "funasr": _funasr,
    "sensevoice": _sensevoice,
    "qwen": _qwen,
    "nkululeko": _nkululeko,
    "speechbrain": _speechbrain,
}
