"""The steps of the demo on pre-trained parts: SIZE=small_data.

Whisper and the language model come from the hub or from folders; both stay
as they are, but for LoRA. The connector is taught first, then the language
model is asked for both kinds of answers.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from steps import ROOT, Step, StepFailed
from transformers import AutoConfig

from speechbrain_c2ser.chain_of_thought.answers import answer_language
from speechbrain_c2ser.data.manifest import SPLITS, read_manifest
from speechbrain_c2ser.processor import memory_of_machine
from speechbrain_c2ser.training.word_teaching import check_speakers

FULL = "hparams/c2ser/full.yaml"
EMOTION2VEC = "hparams/c2ser/encoders/acoustic_emotion2vec.yaml"
FEWEST = 6  # recordings of an emotion; with fewer it was never tried
PARTS = {"whisper": "Whisper", "llm": "language model"}


class PretrainedDemo:
    """The steps on a prepared corpus, in order.

    Arguments
    ---------
    size : str
        An overlay below hparams/c2ser/sizes.
    sources : dict[str, str | None]
        "whisper", "llm" and "emotion2vec" -> folder or hub id; None takes the
        size's own.

    Raises
    ------
    StepFailed
        When there is no such size, or a part is in no folder and cannot be
        fetched, or is larger than the memory; in one line.
    """

    def __init__(self, size: str, sources: dict[str, str | None]):
        overlay = ROOT / f"hparams/c2ser/sizes/{size}.yaml"
        if not overlay.is_file():
            raise StepFailed(f"SIZE={size} is none of hparams/c2ser/sizes.")
        settings = YAML().load(overlay.read_text(encoding="utf-8"))
        self.overlays = ["--overlay", overlay.relative_to(ROOT)]
        self.options = []
        for part, title in PARTS.items():
            source = sources[part] or settings[f"{part}_source"]
            _require(source, title, part.upper())
            self.options.append(f"--{part}_source={_absolute(source)}")
        if sources["emotion2vec"]:
            source = _absolute(sources["emotion2vec"])
            self.overlays += ["--overlay", EMOTION2VEC]
            self.options.append(f"--emotion2vec_source={source}")

    def check(self, corpus: Path) -> None:
        """Refuses a prepared corpus that the connector cannot learn from."""
        items = list(read_manifest(corpus / "train.json").values())
        try:
            check_speakers(items)
        except ValueError as error:
            raise StepFailed(str(error)) from error
        counts = Counter(item["emotion"] for item in items)
        emotion, number = min(counts.items(), key=lambda pair: pair[::-1])
        if number < FEWEST:
            raise StepFailed(
                f"there are {number} recordings of {emotion!r} to train on, "
                f"behind those to choose by and to test on; this size wants "
                f"{FEWEST} of each emotion at least: record more, or leave "
                "it out."
            )

    def steps(
        self,
        output: Path,
        epoch_figure: Callable[[Path], str],
        evaluation_figure: Callable[[Path], str],
    ) -> list[Step]:
        """Connector, training, and both evaluations."""
        corpus = json.loads((output / "corpus/corpus.json").read_text())
        manifest = {s: output / f"style/{s}.json" for s in SPLITS}
        items = read_manifest(manifest["train"]).values()
        languages = {answer_language(item.get("language")) for item in items}
        common = [
            FULL,
            *self.overlays,
            *self.options,
            *(f"--{s}_manifest={manifest[s]}" for s in ("train", "valid")),
            f"--label_names={json.dumps(corpus['labels'])}",
            f"--languages={json.dumps(sorted(languages))}",
            f"--content={all(item.get('transcript') for item in items)}",
            f"--feature_folder={output / 'features'}",
        ]
        connector, model = output / "connector", output / "implicit"
        start = f"--start_from={connector / 'c2ser'}"
        return [
            Step(
                "connector",
                connector,
                [
                    "recipes/C2SER/train_connector.py",
                    *common,
                    f"--output_folder={connector}",
                ],
                "teaches the connector the language model's words",
            ),
            Step(
                "implicit",
                model,
                [
                    "recipes/C2SER/train_mixed.py",
                    *common,
                    start,
                    f"--output_folder={model}",
                ],
                "trains both kinds of answers",
                epoch_figure,
            ),
            *(
                Step(
                    f"evaluation_{mode}",
                    output / f"evaluation_{mode}",
                    [
                        "recipes/C2SER/evaluate.py",
                        "hparams/c2ser/evaluate.yaml",
                        f"--output_folder={output / f'evaluation_{mode}'}",
                        f"--result_file={output / mode}.json",
                        f"--c2ser_folder={model / 'c2ser'}",
                        f"--test_manifest={manifest['test']}",
                        f"--mode={mode}",
                    ],
                    f"asks about the unseen voices, {mode} answers",
                    lambda _, mode=mode: evaluation_figure(
                        output / f"{mode}.json"
                    ),
                )
                for mode in ("explicit", "implicit")
            ),
        ]


def _absolute(source: str) -> str:
    folder = Path(source)
    return str(folder.resolve()) if folder.is_dir() else source


def _require(source: str, title: str, variable: str) -> None:
    """One line now rather than a traceback after the corpus is prepared."""
    try:
        AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise StepFailed(
            f"the {title} {source} is no folder and cannot be fetched from "
            f"the hub: give {variable}=FOLDER, or connect to the network."
        ) from error
    weights = Path(source).glob("*.safetensors")
    needed = sum(path.stat().st_size for path in weights)
    memory = memory_of_machine()
    if memory is not None and needed > memory:
        raise StepFailed(
            f"the {title} {source} has {needed / 2**30:.1f} GiB of weights, "
            f"this machine {memory / 2**30:.1f} GiB of memory: give a "
            f"smaller one, {variable}=FOLDER."
        )
