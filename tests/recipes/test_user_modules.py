"""Blocks of a user's own: named in a yaml, kept with a model, not run unasked.

The file and the overlay are those of docs/your_own_block.md.
"""

import json
import re
import sys

import pytest
import torch
from device import DEVICE

from speechbrain_c2ser.checkpoints import user_modules
from speechbrain_c2ser.checkpoints.emotion2vec_folder import save_emotion2vec
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.inference import EmotionClassifier
from speechbrain_c2ser.inference.fresh import load_fresh
from speechbrain_c2ser.training.experiment import load_experiment


@pytest.fixture(scope="module")
def train(classifier_scripts):
    """The recipe's function."""
    return classifier_scripts("train").train


def forget():
    """As in a new process: no user module was given."""
    for name in user_modules.loaded_modules():
        sys.modules.pop(name)
    user_modules._loaded.clear()


@pytest.fixture(autouse=True)
def new_process():
    forget()
    yield
    forget()


@pytest.fixture(scope="module")
def place(root, tmp_path_factory, build_emotion2vec):
    """The page's file and overlay, an encoder, recordings."""
    import numpy as np
    import soundfile

    folder = tmp_path_factory.mktemp("own")
    page = (root / "docs" / "your_own_block.md").read_text(encoding="utf-8")
    for form, name in (("python", "my_blocks.py"), ("yaml", "mine.yaml")):
        code = re.search(rf"```{form}\n(.*?)```", page, re.S)[1]
        (folder / name).write_text(code, encoding="utf-8")
    save_emotion2vec(build_emotion2vec(), folder / "encoder")
    items = {}
    for number in range(8):
        emotion = ("calm", "cross")[number % 2]
        time = np.arange(6400 + 800 * number) / 16000
        path = folder / f"{number}.wav"
        pitch = 150 + 200 * (number % 2)
        soundfile.write(path, 0.3 * np.sin(6.28 * pitch * time), 16000)
        items[str(number)] = {
            "wav": str(path),
            "duration": len(time) / 16000,
            "emotion": emotion,
            "speaker": str(number // 4),
        }
    for split, numbers in {"train": range(4), "valid": range(4, 8)}.items():
        rows = {str(n): items[str(n)] for n in numbers}
        write_manifest(rows, folder / f"{split}.json")
    return folder


def arguments(root, place, output, *more, modules=("my_blocks.py",)):
    argv = [str(root / "hparams" / "emotion_recognition" / "probe.yaml")]
    argv += ["--overlay", str(place / "mine.yaml")]
    for name in modules:
        argv += ["--user_modules", str(place / name)]
    return [
        *argv,
        f"--encoder_source={place / 'encoder'}",
        f"--train_manifest={place / 'train.json'}",
        f"--valid_manifest={place / 'valid.json'}",
        f"--output_folder={output}",
        "--number_of_epochs=1",
        "--hidden_size=8",
        f"--device={DEVICE}",
        *more,
    ]


@pytest.fixture(scope="module")
def folder(root, place, train):
    """The classifier that the page trains."""
    forget()
    output = place / "results"
    train(*load_experiment(arguments(root, place, output)))
    record = json.loads((output / "run.json").read_text())
    assert list(record["user_modules"]) == ["my_blocks"]
    forget()
    return output / "classifier"


def answer(classifier):
    wavs = torch.sin(torch.arange(8000) / 20)[None]
    return classifier.classify_batch(wavs)[0]


def test_a_copy_and_its_hash_are_in_the_folder(place, folder):
    copy = folder / "user_modules" / "my_blocks.py"
    assert copy.read_bytes() == (place / "my_blocks.py").read_bytes()
    settings = (folder / "hyperparams.yaml").read_text(encoding="utf-8")
    digest = user_modules._hash(copy.read_bytes())
    assert f"my_blocks: {digest}" in settings
    assert "!new:my_blocks.CosineHead" in settings
    assert "robust_loss" not in settings  # of the training alone


def test_nothing_is_imported_unasked(folder, capsys):
    with pytest.raises(ValueError, match="refused. If you trust it"):
        EmotionClassifier.from_hparams(folder)
    with pytest.raises(ValueError, match="refused"):
        EmotionClassifier.from_hparams(folder, allow=["other"])
    words = ("classify", "--model", str(folder))
    assert main([*words, str(folder.parents[1] / "1.wav")]) == 2
    assert "--user_modules" in capsys.readouterr().err
    assert "my_blocks" not in sys.modules
    assert not user_modules.loaded_modules()


def test_asked_by_allow_or_by_the_file(place, folder, capsys):
    expected = answer(
        EmotionClassifier.from_hparams(folder, allow=["my_blocks"])
    )
    assert user_modules._loaded["my_blocks"][0].parent.name == "user_modules"
    assert not list(folder.rglob("*.pyc"))
    forget()
    user_modules.load_user_module(place / "my_blocks.py")
    again = answer(EmotionClassifier.from_hparams(folder))
    torch.testing.assert_close(again, expected)
    forget()
    path, own = str(place / "1.wav"), str(place / "my_blocks.py")
    words = ("classify", path, "--model", str(folder), "--user_modules", own)
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["label"] in ("calm", "cross")


def test_a_new_process_loads_it(place, folder):
    user_modules.load_user_module(place / "my_blocks.py")
    assert load_fresh(folder)["labels"] == ["calm", "cross"]


def test_other_files_than_the_model_was_saved_with(place, folder, tmp_path):
    changed = tmp_path / "my_blocks.py"
    changed.write_text((place / "my_blocks.py").read_text() + "# newer\n")
    user_modules.load_user_module(changed)
    with pytest.raises(
        ValueError, match="is not the file that .* give its copy"
    ):
        EmotionClassifier.from_hparams(folder)
    forget()
    copy = folder / "user_modules" / "my_blocks.py"
    before = copy.read_bytes()
    copy.write_bytes(before + b"raise SystemExit\n")
    try:
        with pytest.raises(ValueError, match="its hash is another"):
            EmotionClassifier.from_hparams(folder, allow=["my_blocks"])
        assert "my_blocks" not in sys.modules
        copy.unlink()
        with pytest.raises(ValueError, match="no user module my_blocks.py"):
            EmotionClassifier.from_hparams(folder, allow=["my_blocks"])
    finally:
        copy.write_bytes(before)


def test_a_batch_is_its_items(folder):
    classifier = EmotionClassifier.from_hparams(folder, allow=["my_blocks"])
    shares = torch.tensor([0.5, 1.0, 0.7])
    counts = (shares * 20000).long().tolist()
    wavs = torch.zeros(3, 20000)
    for row, count in zip(wavs, counts, strict=True):
        row[:count] = torch.randn(count)
    batch = classifier.classify_batch(wavs, shares)[0]
    for row, count, expected in zip(wavs, counts, batch, strict=True):
        one = classifier.classify_batch(row[None, :count])[0][0]
        torch.testing.assert_close(one, expected, atol=1e-5, rtol=0)


REFUSED = {
    "no flag": ((), "there is no module my_blocks: give its file by"),
    "no file": (("gone.py",), "There is no file .*gone.py"),
    "no Python": (("broken.py",), "broken.py cannot be imported: SyntaxError"),
    "taken name": (("json.py",), "has the name of another module"),
    "no name": (("my-blocks.py",), "cannot be a module: call it by letters"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_line_before_anything_is_made(root, place, tmp_path, case):
    (place / "broken.py").write_text("class\n")
    for name in ("json.py", "my-blocks.py"):
        (place / name).write_text("class MyHead:\n    pass\n")
    modules, message = REFUSED[case]
    argv = arguments(root, place, tmp_path / "out", modules=modules)
    with pytest.raises(ValueError, match=message):
        load_experiment(argv)
    assert not (tmp_path / "out").exists()


def test_a_class_that_the_file_lacks(root, place, tmp_path):
    (tmp_path / "wrong.yaml").write_text(
        "# Overlay on: hparams/emotion_recognition/probe.yaml\n"
        "frame_network: !new:my_blocks.Nowhere\n"
    )
    argv = arguments(root, place, tmp_path / "out")
    argv += ["--overlay", str(tmp_path / "wrong.yaml")]
    with pytest.raises(ValueError, match=r"no Nowhere \(it has .*CosineHead"):
        load_experiment(argv)


def test_two_files_of_one_name(place, tmp_path):
    user_modules.load_user_module(place / "my_blocks.py")
    user_modules.load_user_module(place / "my_blocks.py")
    other = tmp_path / "my_blocks.py"
    other.write_text("")
    with pytest.raises(ValueError, match="different files of one name"):
        user_modules.load_user_module(other)


@pytest.mark.parametrize("name", ["../../my_blocks", "os"])
def test_a_folder_names_no_other_file(folder, tmp_path, name):
    """A hostile folder: its list of modules leads nowhere."""
    import shutil

    hostile = tmp_path / "model"
    shutil.copytree(folder, hostile)
    path = hostile / "hyperparams.yaml"
    text = path.read_text(encoding="utf-8").replace(
        "  my_blocks: ", f"  {name}: x\n  my_blocks: "
    )
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="has no user module"):
        EmotionClassifier.from_hparams(hostile, allow=["my_blocks", name])
    assert not user_modules.loaded_modules()


def test_a_module_that_only_the_list_names(folder, tmp_path):
    import shutil

    hostile = tmp_path / "model"
    shutil.copytree(folder, hostile)
    evil = b"raise SystemExit('ran')\n"
    (hostile / "user_modules" / "evil.py").write_bytes(evil)
    path = hostile / "hyperparams.yaml"
    text = path.read_text(encoding="utf-8").replace(
        "  my_blocks: ", f"  evil: {user_modules._hash(evil)}\n  my_blocks: "
    )
    path.write_text(text, encoding="utf-8")
    EmotionClassifier.from_hparams(hostile, allow=["my_blocks"])
    assert user_modules.loaded_modules() == ["my_blocks"]
