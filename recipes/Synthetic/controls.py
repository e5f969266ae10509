"""Controls of the demo: does its model listen, and do its texts tell nothing?

Asked of a share of the test set, for seconds' sake: the audio as it is, near
silence, and the audio of another utterance. The transcripts are read by a
classifier of character n-grams, trained on the training set's: what any
reader could learn from them.
"""

import json
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.evaluation.suites import words
from speechbrain_c2ser.evaluation.suites.cases import build_cases
from speechbrain_c2ser.evaluation.suites.collecting import (
    ask_conditions,
    ask_plain,
    choose,
)
from speechbrain_c2ser.evaluation.suites.own_systems import load_own
from speechbrain_c2ser.labels import LabelSpace

ASKED = 140
MODEL = "implicit/c2ser"
TEST, TRAIN = "style/test.json", "style/train.json"


def read_only(train, test):
    """Predictions of a reader of transcripts; none where some are missing."""
    rows = [*train.values(), *test.values()]
    if not all(row.get("transcript") for row in rows):
        return []
    reader = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 3)),
        LogisticRegression(max_iter=200),
    )
    reader.fit(
        [row["transcript"] for row in train.values()],
        [row["emotion"] for row in train.values()],
    )
    predictions = reader.predict([row["transcript"] for row in test.values()])
    return [
        {"id": key, "label": str(label)}
        for key, label in zip(test, predictions, strict=True)
    ]


def run_controls(output, most=ASKED):
    """Ask, and compare with chance.

    Arguments
    ---------
    output : Path
        Folder of the run.
    most : int
        Utterances that are asked.

    Returns
    -------
    dict | None
        As :func:`.suites.words.compute`; None where the run has no model or
        no manifests.
    """
    output = Path(output)
    needed = (output / MODEL, output / TEST, output / TRAIN)
    if not all(path.exists() for path in needed):
        return None
    train, test = read_manifest(needed[2]), read_manifest(needed[1])
    labels = json.loads((output / "evaluation.json").read_text())["labels"]
    space, chosen = LabelSpace(labels), choose(test, most)
    system = load_own(needed[0], "implicit")
    controls, _ = ask_plain(system, chosen)
    answers, _ = ask_conditions(system, chosen, ["silence", "shuffled"])
    answers[words.TRANSCRIPT] = read_only(train, chosen)
    return words.compute(
        build_cases(controls, chosen, space),
        {
            name: build_cases(rows, chosen, space)
            for name, rows in answers.items()
            if rows
        },
    )


def as_section(result):
    """The controls as a section of the report, in Markdown."""
    notes = "\n".join(
        f"- {note}" for note in result["notes"] if "conflict" not in note
    )
    return f"## Controls: words or tone\n\n{words.page(result)}\n\n{notes}\n"
