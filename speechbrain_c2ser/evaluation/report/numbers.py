"""What a run left in its output folder, read and put into figures."""

import json
from pathlib import Path

import numpy as np
from sklearn.metrics import recall_score

MODES = ("explicit", "implicit")
# Figures that stand in metrics.json even when they are not measured.
ALWAYS = {
    "implicit": ["ua", "wa", "macro_f1", "unparsed_rate"],
    "explicit": [
        "ua",
        "wa",
        "macro_f1",
        "unparsed_rate",
        "content_error_rate",
        "style_accuracy",
    ],
}


def read_json(path):
    """The JSON file at `path`; errors name it."""
    try:
        # NaN is no JSON: what could not be computed counts as unmeasured.
        return json.loads(
            Path(path).read_text(encoding="utf-8"),
            parse_constant=lambda name: None,
        )
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing; run the evaluation first."
        ) from None
    except ValueError as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}); remove it and run the "
            "evaluation again."
        ) from error


def read_logs(folder):
    """Every <stage>/train_log.jsonl, oldest stage first."""
    logs = {}
    paths = Path(folder).glob("*/train_log.jsonl")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        lines = path.read_text(encoding="utf-8").splitlines()
        epochs = [json.loads(line) for line in lines if line.strip()]
        if epochs:
            logs[path.parent.name] = epochs
    return logs


def read_embeddings(folder):
    """{"before": arrays, "after": arrays}, as far as they are there."""
    embeddings = {}
    for moment in ("before", "after"):
        path = Path(folder) / f"embeddings_{moment}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                embeddings[moment] = dict(arrays)
    return embeddings


def check_labels(predictions, labels, mode) -> None:
    """Raise ValueError for a label outside the set."""
    for item in predictions:
        for key in ("emotion", "label"):
            if item[key] not in labels and (key, item[key]) != ("label", None):
                raise ValueError(
                    f"{mode}.json: {key} '{item[key]}' of {item['id']} is "
                    f"not one of the run's labels {', '.join(labels)}."
                )


def collect_figures(source, run, results, embeddings):
    """Everything that metrics.json holds."""
    times_path = Path(source) / "times.json"
    times = read_json(times_path) if times_path.exists() else {}
    figures = {
        "corpus": run["corpus"],
        "synthetic": run["synthetic"],
        "kind": kind_of_corpus(run),
        "split": run.get("split", "unknown"),
        "seconds": sum(times.values()),
        "stage_seconds": times,
        "labels": run["labels"],
        "chance_ua": 1 / len(run["labels"]),
    }
    for mode, result in results.items():
        empty = dict.fromkeys(ALWAYS[mode])
        figures[mode] = {**empty, **result["metrics"]}
        figures[mode].setdefault("n", len(result["predictions"]))
    if embeddings:
        figures["embedding_probe"] = {
            moment: neighbour_ua(**arrays)
            for moment, arrays in embeddings.items()
        }
    optional = ("ceiling", "counts", "speakers", "languages", "seed")
    figures.update({key: run[key] for key in optional if key in run})
    figures["versions"] = run.get("versions", {})
    return figures


def kind_of_corpus(run):
    """How the corpus is called wherever a figure is shown."""
    if run["synthetic"]:
        return "synthetic corpus"
    return f"corpus {run['corpus']} (recordings)"


def neighbour_ua(
    vectors: np.ndarray,
    emotions: np.ndarray,
    speakers: np.ndarray | None = None,
    neighbours: int = 5,
    **_,
) -> float:
    """UA of a vote of the nearest other utterances by cosine.

    Arguments
    ---------
    vectors : np.ndarray
        Utterance embeddings [N, D].
    emotions : np.ndarray
        Their N labels.
    speakers : np.ndarray
        When given, an utterance's own speaker has no vote.
    neighbours : int
        How many vote; the nearer one decides a tie.

    Returns
    -------
    float
        Mean recall of the emotions, 0 to 1.

    Example
    -------
    >>> vectors = np.array([[0, 1.0], [0, 2.0], [1.0, 0], [2.0, 0]])
    >>> neighbour_ua(vectors, np.array(list("aabb")), neighbours=1)
    1.0
    """
    centred = vectors - vectors.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True).clip(1e-9)
    likeness = unit @ unit.T
    voices = speakers if speakers is not None else np.arange(len(vectors))
    likeness[voices[:, None] == voices[None, :]] = -np.inf
    answers = []
    for row in likeness:
        order = np.argsort(-row, kind="stable")[:neighbours]
        voters = [emotions[i] for i in order if np.isfinite(row[i])]
        answers.append(max(voters, key=voters.count) if voters else "")
    return float(
        recall_score(
            emotions,
            answers,
            labels=np.unique(emotions),
            average="macro",
            zero_division=0,
        )
    )
