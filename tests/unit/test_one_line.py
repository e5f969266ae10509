"""Recipes end in one line where their user can mend what was given."""

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from speechbrain_c2ser.training.one_line import errors_in_one_line

RECIPES = Path(__file__).parents[2] / "recipes"
YAML, LLM = "nowhere.yaml", ["--llm", "nowhere"]
PREDICTIONS = ["nowhere.json", "out.jsonl"]
FOLD = ["--folds", "nowhere.json"]
GIVEN = {
    "Baselines/cascade": [*PREDICTIONS, *LLM],
    "Baselines/emotion2vec_plus": [*PREDICTIONS, "--model", "nowhere.pt"],
    "Baselines/opensmile_svm": [*PREDICTIONS, *FOLD],
    "Baselines/qwen2_audio": [*PREDICTIONS, "--model", "nowhere"],
    "Baselines/speechbrain_wav2vec2": [*PREDICTIONS, "--model", "nowhere"],
    "C2SER/annotate_style": ["nowhere", "out"],
    "C2SER/evaluate": [YAML],
    "C2SER/rephrase_answers": ["nowhere.json", "out.json", *LLM],
    "C2SER/train_connector": [YAML],
    "C2SER/train_explicit": [YAML],
    "C2SER/train_implicit": [YAML],
    "C2SER/train_mixed": [YAML],
    "C2SER/warm_up_whisper": [YAML],
    "Corpora/check_leakage": ["--train", "nowhere.json", "--test", "a.json"],
    "Corpora/prepare": ["generic", "nowhere", "out"],
    "EmoEmilia/evaluate": [YAML],
    "EmoEmilia/prepare": ["nowhere", "out"],
    "Emotion2VecS/compare_losses": ["nowhere", "out"],
    "Emotion2VecS/pretrain": [YAML],
    "Emotion2VecS/probe": ["random:nowhere.yaml", "--train=a", "--test=a"],
    "EmotionRecognition/cross_validate": [YAML, "nowhere.json", "out"],
    "EmotionRecognition/train": [YAML],
    "Synthetic/make_tiny_models": ["nowhere.json", "out"],
    "Synthetic/prepare": [YAML],
    "Synthetic/prepare_conflict": ["a file/nowhere"],
    "Synthetic/report": ["nowhere"],
}
# Its steps are scripts of their own; test_steps.py has what it says of them.
OTHERS = {"Synthetic/run_demo"}


def test_every_script_is_here():
    scripts = {
        str(path.relative_to(RECIPES).with_suffix(""))
        for path in RECIPES.rglob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert scripts == GIVEN.keys() | OTHERS


@pytest.mark.parametrize("name", GIVEN)
def test_a_missing_file_is_one_line(name, monkeypatch, tmp_path):
    if name.endswith("opensmile_svm") and find_spec("opensmile") is None:
        pytest.skip("needs the extra 'baselines'")
    script = RECIPES / f"{name}.py"
    before = set(sys.modules)
    (tmp_path / "a file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.setattr(sys, "argv", [script.name, *GIVEN[name]])
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(script), run_name="__main__")
    finally:
        for module in set(sys.modules) - before:
            # scripts of other recipes have the same names
            file = getattr(sys.modules[module], "__file__", "") or ""
            if str(RECIPES) in file:
                del sys.modules[module]
    told = str(ended.value)
    assert told.startswith(f"{script.stem}: ") and "nowhere" in told
    assert "\n" not in told and "Errno" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(13, "Permission denied", "a.json"), "a.json: Permission den"),
        # the first is of a name that no user has given
        (OSError(21, "Is a directory", "x.part", None, "a"), "a: Is a direct"),
        (OSError(28, "No space left on device"), "No space left on device."),
        (FileNotFoundError("No yaml at\na.yaml."), "No yaml at a.yaml."),
    ],
)
def test_an_error_of_the_system_names_the_file(error, told):
    with pytest.raises(SystemExit) as ended, errors_in_one_line("a/b.py"):
        raise error
    assert str(ended.value).startswith(f"b: {told}")
