#!/usr/bin/env python3
"""C2SER against its ablations and rivals: one table over several seeds.

    python benchmarks/c2ser_ablations.py RESULTS \
        --yaml hparams/c2ser/sizes/tiny.yaml --manifests STYLE \
        --whisper WHISPER --llm LLM --emotion2vec ENCODER \
        --seeds 1 2 3 --epochs 6 3

Every run is the recipes' own scripts. A finished one leaves a stamp: stopped
and started again, the work goes on where it was. Options that are not known
here, such as ``--device=cpu`` or ``--label_names=[angry,sad]``, go to every
training. RESULTS gets ``ablations.json`` and ``ablations.md``, anew after
every run; a seed's rows all stand on the same test items.

All rows but "explicit" see as many updates: stage 1 and then stage 2, or, for
"no chain of thought", stage 2 for the epochs of both. "explicit" is stage 1,
which stage 2 starts from. Answer length is in the language model's tokens,
seconds are those of evaluate.py, in batches, label scoring included: run
nothing beside it where they matter.
"""

import argparse
import json
import random
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer

from speechbrain_c2ser.data.atomic import write_atomic
from speechbrain_c2ser.data.manifest import (
    SPLITS,
    read_manifest,
    write_manifest,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "recipes" / "Synthetic"))

from steps import Step, StepFailed, run_steps  # noqa: E402

ABLATIONS = "hparams/c2ser/ablations"
FIGURES = ("ua", "macro_f1", "answer_tokens", "seconds_per_utterance")
HEADINGS = ("UA %", "macro-F1 %", "answer, tokens", "s / utterance")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Arguments
    ---------
    overlay : str | None
        Of ``hparams/c2ser/ablations``.
    first : str
        Stage 1: "shared" by the rows that do not change it, "own" with the
        overlay, or "none".
    second : bool
        Whether stage 2 follows; else stage 1 is what is evaluated.
    """

    overlay: str | None = None
    first: str = "shared"
    second: bool = True


ROWS = {
    "explicit": Row(second=False),
    "implicit, curriculum": Row(),
    "implicit, no curriculum": Row("no_curriculum"),
    "no chain of thought": Row("no_chain_of_thought", first="none"),
    "KL": Row("distil_kl"),
    "hidden states": Row("distil_hidden"),
    "no semantic": Row("no_semantic", first="own"),
    "no acoustic": Row("no_acoustic", first="own"),
}
MORE_ROWS = {
    "label first": Row("label_first", first="own", second=False),
    "mean of frames": Row("mean_frames", first="own"),
    "frozen Whisper": Row("frozen_whisper", first="own"),
}


class Experiment:
    """The runs of one seed: folders, commands, what depends on what."""

    def __init__(self, options, trainer_options, manifest, seed):
        self.options = options
        self.trainer_options = trainer_options
        self.seed = seed
        self.folder = options.results.resolve() / f"seed_{seed}"
        self.manifest = manifest

    def run(self, name, row):
        """Train and evaluate a row; returns its figures."""
        place = self.folder / name.replace(",", "").replace(" ", "_")
        overlay = row.overlay and f"{ABLATIONS}/{row.overlay}.yaml"
        starts_anew = row.first == "own"
        epochs, more = self.options.epochs
        start, llm, key = None, self.options.llm, ""
        if row.first != "none":
            folder = place if starts_anew else self.folder / "shared"
            first = self.train(
                "explicit",
                folder,
                epochs,
                overlay if starts_anew else None,
                llm,
            )
            _, key = run_steps([first])
            start = folder / "explicit" / "c2ser"
            copied = start / "llm"  # where it was trained, or is small
            llm = copied if copied.is_dir() else llm
        else:
            more += epochs
        if row.second:
            second = self.train("implicit", place, more, overlay, llm, start)
            _, key = run_steps([second], key)
            start = place / "implicit" / "c2ser"
        mode = "implicit" if row.second else "explicit"
        evaluation = place / "evaluation"
        command = [
            "recipes/C2SER/evaluate.py",
            "hparams/c2ser/evaluate.yaml",
            f"--output_folder={evaluation}",
            f"--c2ser_folder={start}",
            f"--test_manifest={self.manifest['test']}",
            f"--mode={mode}",
            *self.evaluation_options(),
        ]
        run_steps([Step(f"{name}, seed {self.seed}", evaluation, command)], key)
        result = json.loads((evaluation / f"{mode}.json").read_text())
        figures = {k: result["metrics"].get(k) for k in FIGURES}
        tokenizer = AutoTokenizer.from_pretrained(
            str(llm), trust_remote_code=False
        )
        figures["answer_tokens"] = statistics.fmean(
            len(tokenizer(row["text"], add_special_tokens=False)["input_ids"])
            for row in result["predictions"]
        )
        for more_figures in ("scored_ua", "unparsed_rate"):
            figures[more_figures] = result["metrics"][more_figures]
        return figures

    def train(self, stage, place, epochs, overlay, llm, start=None):
        """The step of one training."""
        folder = place / stage
        command = [
            f"recipes/C2SER/train_{stage}.py",
            self.options.yaml,
            *(["--overlay", overlay] if overlay else []),
            f"--output_folder={folder}",
            f"--train_manifest={self.manifest['train']}",
            f"--valid_manifest={self.manifest['valid']}",
            f"--whisper_source={self.options.whisper}",
            f"--llm_source={llm}",
            f"--emotion2vec_source={self.options.emotion2vec}",
            f"--feature_folder={self.options.results.resolve() / 'features'}",
            f"--number_of_epochs={epochs}",
            f"--seed={self.seed}",
            *([f"--start_from={start}"] if start else []),
            *self.trainer_options,
        ]
        return Step(f"{place.name} {stage}, seed {self.seed}", folder, command)

    def evaluation_options(self):
        """The device is the training's; the rest is no matter of evaluation."""
        return [
            option
            for option in self.trainer_options
            if option.startswith("--device=")
        ]


def table(runs, rows):
    """Means and standard deviations of the rows, and the Markdown of them."""
    figures, lines = {}, []
    for name in rows:
        done = [run for run in runs if run["row"] == name]
        if not done:
            continue
        figures[name] = {"seeds": [run["seed"] for run in done]}
        cells = []
        for figure in FIGURES:
            values = [run[figure] for run in done]
            mean = statistics.fmean(values)
            # of a sample: n - 1
            spread = statistics.stdev(values) if len(values) > 1 else None
            figures[name][figure] = {"mean": mean, "std": spread}
            cells.append(_cell(figure, mean, spread))
        lines.append(f"| {name} | {' | '.join(cells)} | {len(done)} |")
    head = f"| | {' | '.join(HEADINGS)} | seeds |"
    rule = "|---" * (len(HEADINGS) + 2) + "|"
    return figures, "\n".join([head, rule, *lines]) + "\n"


def _cell(figure, mean, spread):
    scale, digits = {
        "ua": (100, 1),
        "macro_f1": (100, 1),
        "answer_tokens": (1, 1),
        "seconds_per_utterance": (1, 4),
    }[figure]
    text = f"{mean * scale:.{digits}f}"
    return text if spread is None else f"{text} ± {spread * scale:.{digits}f}"


def main():
    """Run what is not done yet, and write the table."""
    rows = ROWS | MORE_ROWS
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--yaml", default="hparams/c2ser/sizes/tiny.yaml")
    parser.add_argument(
        "--manifests",
        type=Path,
        required=True,
        help="folder with train, valid and test.json",
    )
    for name in ("whisper", "llm", "emotion2vec"):
        parser.add_argument(
            f"--{name}", required=True, type=source, help="folder or hub name"
        )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--epochs",
        type=int,
        nargs=2,
        default=[6, 6],
        metavar=("STAGE_1", "STAGE_2"),
    )
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--rows", nargs="+", choices=rows, default=list(ROWS))
    options, trainer_options = parser.parse_known_args()

    manifest, runs = manifests(options), []
    try:
        for seed in options.seeds:
            experiment = Experiment(options, trainer_options, manifest, seed)
            for name in options.rows:
                figures = experiment.run(name, rows[name])
                runs.append({"row": name, "seed": seed, **figures})
                write(options, trainer_options, runs)
    except StepFailed as error:
        sys.exit(f"c2ser_ablations: {error} failed; see what it printed above.")
    except KeyboardInterrupt:
        sys.exit("\nc2ser_ablations: stopped; run it again to go on from here.")
    print(f"\n{table(runs, options.rows)[1]}")


def manifests(options):
    """The three manifests; with ``--fraction``, less of train.json."""
    manifests_of = {
        split: (options.manifests / f"{split}.json").resolve()
        for split in SPLITS
    }
    if options.fraction < 1:
        speakers = {}
        for key, row in read_manifest(manifests_of["train"]).items():
            speakers.setdefault(row.get("speaker"), []).append((key, row))
        rng = random.Random(0)
        kept = dict(
            item
            for items in speakers.values()
            for item in rng.sample(items, round(options.fraction * len(items)))
        )
        manifests_of["train"] = options.results.resolve() / "train.json"
        write_manifest(kept, manifests_of["train"])
        print(f"training on {len(kept)} items of {len(speakers)} speakers")
    return manifests_of


def source(text):
    """A folder as a path from anywhere; a hub name as it is."""
    return str(Path(text).resolve()) if Path(text).is_dir() else text


def write(options, trainer_options, runs):
    """Write what there is so far."""
    figures, markdown = table(runs, options.rows)
    settings = {key: str(value) for key, value in vars(options).items()}
    report = {
        "settings": {**settings, "trainer_options": trainer_options},
        "table": figures,
        "runs": runs,
    }
    write_atomic(
        json.dumps(report, indent=1) + "\n", options.results / "ablations.json"
    )
    write_atomic(markdown, options.results / "ablations.md")


if __name__ == "__main__":
    main()
