#!/usr/bin/env python3
"""Words or tone: who follows what, where they disagree.

    python benchmarks/words_or_tone.py RESULTS [--seeds 1 2]

Trains on synthetic voices whose words carry the emotion of the voice in 70 %
of the utterances (``data/synthetic/conflict.py``), so that words are a short
cut, and asks on conflicts in other voices. The answer that is right is always
the voice's. The systems:

- explicit: C2SER behind stage 1, which writes style, content, emotion;
- implicit: C2SER behind stage 2, which answers at once;
- no chain of thought: the same model, trained on implicit answers alone for
  the epochs of both stages;
- classifier: a small convolutional network over log-mel frames, from scratch;
- cascade: a classifier of character n-grams reads the true transcripts, what
  perfect speech recognition would give a text model. It hears nothing.

Everything is tiny and from the recipes: their scripts, the tiny yamls and the
demo's epochs for a corpus of this size; nothing was chosen on the test voices.
Seeds are of stage 1, stage 2 and the classifier; corpus, acoustic encoder and
the language model's first weights are the same. Stopped and started again, it
goes on where it was. RESULTS gets ``words_or_tone.json`` and ``.md``.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.data.synthetic.emotions import EMOTIONS
from speechbrain_c2ser.evaluation.metrics.bootstrap import interval
from speechbrain_c2ser.evaluation.predictions import (
    read_predictions,
    write_predictions,
)
from speechbrain_c2ser.evaluation.report.text import markdown_table
from speechbrain_c2ser.evaluation.suites import words
from speechbrain_c2ser.evaluation.suites.cases import build_cases
from speechbrain_c2ser.evaluation.suites.collecting import (
    ask_conditions,
    ask_plain,
)
from speechbrain_c2ser.evaluation.suites.own_systems import load_own
from speechbrain_c2ser.labels import LabelSpace

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "recipes" / "Synthetic"))

from controls import read_only  # noqa: E402
from run_demo import (  # noqa: E402
    FROZEN_WHISPER,
    IMPLICIT_SHARE,
    WARM_WHISPER,
    epochs,
    last_epoch,
)
from steps import Step, StepFailed, run_steps  # noqa: E402

SPACE = LabelSpace(list(EMOTIONS))
TINY = "hparams/c2ser/sizes/tiny.yaml"
NO_CHAIN = "hparams/c2ser/ablations/no_chain_of_thought.yaml"
CLASSIFIER = "hparams/emotion_recognition/from_scratch.yaml"
# System -> folder below a seed's, and how it is asked.
TRAINED = {
    "explicit": ("explicit/c2ser", "explicit"),
    "implicit": ("implicit/c2ser", "implicit"),
    "no chain of thought": ("no_chain_of_thought/c2ser", "implicit"),
    "classifier": ("classifier/classifier", "implicit"),
}
CASCADE = "cascade"
SYSTEMS = (*TRAINED, CASCADE)
CONFLICT, TRUE = "conflict", "true_audio"
ANSWERS = (CONFLICT, TRUE, *words.CONTROLS)
# Whose difference is asked for, over voices.
PAIRS = (
    ("explicit", "no chain of thought"),
    ("implicit", "no chain of thought"),
    ("explicit", "implicit"),
)
# Share -> its cell, and whether it is the voice (0) or the words (1).
COMPARED = {
    "agree: right": ("matched", 0),
    "neutral words: as voice": ("neutral_words", 0),
    "disagree: as voice": ("mismatched", 0),
    "disagree: as words": ("mismatched", 1),
}


class Experiment:
    """The runs: folders, commands, what depends on what.

    Arguments
    ---------
    results : Path
        Folder of all of them.
    corpus_options : list of str
        Of ``prepare_conflict.py``.
    more : list of str
        Options of every training.
    """

    def __init__(self, results, corpus_options=(), more=()):
        self.results = results.resolve()
        self.corpus_options = list(corpus_options)
        self.more = list(more)
        self.style = self.results / "style"
        self.log = self.results / "log.txt"

    def prepare(self):
        """Corpus, styles, a language model, the acoustic encoder; a key."""
        corpus, models = self.results / "corpus", self.results / "models"
        script = "recipes/Synthetic/prepare_conflict.py"
        steps = [
            Step(
                "corpus",
                self.results / "corpus_made",
                [script, corpus, *self.corpus_options],
                "synthesizes the voices, words agree in 70 %",
            ),
            Step(
                "style",
                self.style,
                ["recipes/C2SER/annotate_style.py", corpus, self.style]
                + ["--splits", "train", "valid", CONFLICT],
                "measures pitch, loudness and rate",
            ),
            Step(
                "models",
                models,
                ["recipes/Synthetic/make_tiny_models.py"]
                + [self.style / "train.json", models],
                "makes a small language model",
            ),
        ]
        self.results.mkdir(parents=True, exist_ok=True)
        _, key = run_steps(steps, log=self.log)
        pretrain = self.training(
            "acoustic encoder",
            self.results / "emotion2vec_s",
            "recipes/Emotion2VecS/pretrain.py",
            "hparams/emotion2vec_s/tiny.yaml",
            figure=last_epoch("train_loss", "loss"),
        )
        return run_steps([pretrain], key, self.log, len(steps))[1]

    def train(self, seed, key):
        """All systems of one seed."""
        place = self.results / f"seed_{seed}"
        first = place / "explicit/c2ser"
        cold = f"--llm_source={self.results / 'models/tiny_llm'}"
        whole = 1 + IMPLICIT_SHARE
        explicit = self.stage(place, "explicit", "explicit", seed, [cold])
        _, stage_key = run_steps([explicit], key, self.log)
        warm = [f"--llm_source={first / 'llm'}", f"--start_from={first}"]
        implicit = self.stage(
            place,
            "implicit",
            "implicit",
            seed,
            [*FROZEN_WHISPER, *warm],
            IMPLICIT_SHARE,
        )
        run_steps([implicit], stage_key, self.log)
        overlay = ["--overlay", NO_CHAIN]
        name = "no_chain_of_thought"
        plain = self.stage(
            place, name, "implicit", seed, [*overlay, cold], whole
        )
        classifier = self.training(
            f"classifier, seed {seed}",
            place / "classifier",
            "recipes/EmotionRecognition/train.py",
            CLASSIFIER,
            f"--seed={seed}",
            number=False,
        )
        for step in (plain, classifier):
            run_steps([step], key, self.log)
        return place

    def stage(self, place, name, script, seed, options, share=1.0):
        """The step of one training of C2SER."""
        return self.training(
            f"{name}, seed {seed}",
            place / name,
            f"recipes/C2SER/train_{script}.py",
            TINY,
            f"--whisper_source={WARM_WHISPER}",
            f"--emotion2vec_source={self.results / 'emotion2vec_s/encoder'}",
            f"--feature_folder={self.results / 'features'}",
            f"--seed={seed}",
            *options,
            share=share,
        )

    def training(self, name, folder, script, yaml, *options, **settings):
        """The step of one training, with as many epochs as the demo's."""
        number = []
        if settings.get("number", True):
            items = len(read_manifest(self.style / "train.json"))
            share = settings.get("share", 1.0)
            number = [
                f"--number_of_epochs={round(share * epochs(yaml, items))}"
            ]
        command = [
            script,
            yaml,
            f"--output_folder={folder}",
            *(
                f"--{s}_manifest={self.style}/{s}.json"
                for s in ("train", "valid")
            ),
            *number,
            *options,
            *self.more,
        ]
        figure = settings.get("figure", last_epoch("valid_ua", "UA (valid)"))
        return Step(name, folder, command, "trains", figure)


def ask(folder, source, mode, items):
    """Answers of a trained system, kept: condition -> predictions."""
    known = read_answers(folder)
    if known is not None:
        return known
    system, asked = load_own(source, mode), matched(items)
    answers, failed = {}, {}
    answers[CONFLICT], failed = ask_plain(system, items)
    answers[TRUE] = [row for row in answers[CONFLICT] if row["id"] in asked]
    controls, errors = ask_conditions(system, asked, list(words.CONTROLS))
    failed |= {
        key: error for own in errors.values() for key, error in own.items()
    }
    for key, error in failed.items():
        print(f"words_or_tone: {source}: {key}: {error}")
    return keep(folder, answers | controls)


def ask_cascade(folder, train, items):
    """Answers of a reader of the true transcripts; audio changes nothing."""
    known = read_answers(folder)
    if known is not None:
        return known
    rows = read_only(train, items)
    own = [row for row in rows if row["id"] in matched(items)]
    controls = {name: own for name in ANSWERS if name != CONFLICT}
    return keep(folder, {CONFLICT: rows, **controls})


def matched(items):
    """The cell whose words and voice agree: what the controls are asked of."""
    return {k: row for k, row in items.items() if row["cell"] == "matched"}


def keep(folder, answers):
    """Write answers; whole once the list of them is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in answers.items():
        write_predictions(rows, folder / f"{name}.jsonl")
    write_atomic(json.dumps(sorted(answers)), folder / "answers.json")
    return answers


def read_answers(folder):
    """What :func:`keep` wrote, or None."""
    listed = folder / "answers.json"
    if not listed.is_file():
        return None
    names = json.loads(listed.read_text(encoding="utf-8"))
    return {name: read_predictions(folder / f"{name}.jsonl") for name in names}


def pooled(by_seed, name, items):
    """Cases of all seeds; a voice's answers are drawn together."""
    items = items if name == CONFLICT else matched(items)
    rows, references = [], {}
    for seed, answers in by_seed.items():
        references |= {f"{seed}/{k}": row for k, row in items.items()}
        rows += [
            {**row, "id": f"{seed}/{row['id']}"}
            for row in answers.get(name, ())
        ]
    return build_cases(rows, references, SPACE) if rows else None


def examine(by_seed, items, samples=2000):
    """Suite "words" of one system over all its seeds."""
    cases = {name: pooled(by_seed, name, items) for name in ANSWERS}
    controls = {n: cases[n] for n in words.CONTROLS if cases[n] is not None}
    return words.compute(cases[TRUE], controls, cases[CONFLICT], samples)


def contrast(first, second, items, samples=2000, seed=0):
    """How two systems differ in a cell of the conflicts, over voices.

    Arguments
    ---------
    first, second : dict
        Seed -> answers; the same seeds.
    items : dict
        The corpus of conflicts.
    samples, seed : int
        Of the bootstrap over voices.

    Returns
    -------
    dict
        Of :data:`COMPARED`: difference of the shares, and interval.
    """
    cases = [pooled(own, CONFLICT, items) for own in (first, second)]
    cells = np.array(cases[0].field("cell"))
    found = {}
    for name, (cell, row) in COMPARED.items():
        inside = [own.select(cells == cell) for own in cases]
        one, two = (words.followed(own)[row] for own in inside)
        value = one.astype(float) - two
        drawn = words.resample_shares(inside[0], [value], samples, seed)
        found[name] = {
            "difference": float(value.mean()),
            "interval": interval(drawn[0]),
        }
    return found


def table(results):
    """Who follows what, a line for each system."""
    rows = [
        ["", "agree: right", "neutral words: as voice"]
        + ["disagree: as voice", "as words", "other", "follows"]
        + ["audio sensitivity"]
    ]
    for name, result in results.items():
        cells = result["conflict"]["cells"]
        apart = cells["mismatched"]
        sensitivity = result["sensitivity"]
        rows.append(
            [
                name,
                _share(cells["matched"], "voice"),
                _share(cells["neutral_words"], "voice"),
                _share(apart, "voice"),
                _share(apart, "words"),
                f"{100 * apart['other']:.0f}",
                result["conflict"]["follows"],
                _points(sensitivity["value"], sensitivity["interval"]),
            ]
        )
    return markdown_table(rows)


def languages_table(results):
    """The mismatched cell in each language."""
    rows = [["disagree", "language", "as voice", "as words"]]
    for name, result in results.items():
        for language, own in result["conflict"]["languages"].items():
            rows.append(
                [name, language, _share(own, "voice"), _share(own, "words")]
            )
    return markdown_table(rows)


def contrast_table(contrasts):
    """Differences of pairs of systems."""
    rows = [["points", *COMPARED]]
    for name, own in contrasts.items():
        rows.append(
            [name, *(_points(*own[kind].values()) for kind in COMPARED)]
        )
    return markdown_table(rows)


def _share(own, key):
    low, high = own[f"{key}_interval"]
    return f"{100 * own[key]:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def _points(value, bounds):
    low, high = bounds
    return f"{100 * value:+.0f} [{100 * low:+.0f}, {100 * high:+.0f}]"


def report(answers, items, results):
    """Write tables and figures of what is there; returns the Markdown."""
    found = {name: examine(own, items) for name, own in answers.items()}
    contrasts = {
        f"{one} less {two}": contrast(answers[one], answers[two], items)
        for one, two in PAIRS
        if answers.keys() >= {one, two}
    }
    each = {
        name: {seed: examine({seed: own}, items) for seed, own in seeds.items()}
        for name, seeds in answers.items()
    }
    voices = len({row["speaker"] for row in items.values()})
    seeds = max(len(own) for own in answers.values())
    text = "\n\n".join(
        [
            f"Per cent, 95 % intervals over {voices} voices; {seeds} seeds.",
            table(found),
            languages_table(found),
            contrast_table(contrasts),
            "",
        ]
    )
    figures = {"systems": found, "contrasts": contrasts, "seeds": each}
    write_atomic(
        json.dumps(figures, indent=1) + "\n", results / "words_or_tone.json"
    )
    write_atomic(text, results / "words_or_tone.md")
    return text


def run(options, more):
    """Prepare, then train and ask seed by seed; a table after each."""
    corpus = ["--train-voices", options.train_voices]
    experiment = Experiment(options.results, corpus, more)
    results = experiment.results
    key = experiment.prepare()
    train = read_manifest(experiment.style / "train.json")
    items = read_manifest(experiment.style / f"{CONFLICT}.json")
    answers = {name: {} for name in SYSTEMS}
    answers[CASCADE][0] = ask_cascade(results / "answers/cascade", train, items)
    text = ""
    for seed in options.seeds:
        place = experiment.train(seed, key)
        for name, (folder, mode) in TRAINED.items():
            kept = place / "answers" / folder.split("/")[0]
            answers[name][seed] = ask(kept, place / folder, mode, items)
        text = report(answers, items, results)
    return text


def main(argv=None):
    """Do what is not done yet, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--train-voices", type=int, default=40)
    options, more = parser.parse_known_args(argv)
    try:
        print("\n" + run(options, more))
    except StepFailed as error:
        sys.exit(f"words_or_tone: {error}")
    except KeyboardInterrupt:
        sys.exit("\nwords_or_tone: stopped; run it again to go on from here.")


if __name__ == "__main__":
    main()
