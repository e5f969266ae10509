"""What all tests share: offline, few threads, small corpora and models."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

# Before the first import of these libraries: no test reaches a network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile
import torch
from device import set_up
from scripts import load_script
from tiny_encoders import save_self_supervised, save_text_encoder

from speechbrain_c2ser.lobes.emotion2vec.encoder import Emotion2VecS

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(1)
set_up()
WORDS = "angry happy fearful surprised neutral sad disgusted".split()


@pytest.fixture(scope="session")
def root():
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir():
    """The reference material beside the checkout, where it is there."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the reference material in ../shared")
    return folder


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state."""
    torch.manual_seed(1234)
    np.random.seed(1234)


@pytest.fixture(autouse=True)
def no_log_of_another_test():
    """A log file that a test's experiment opened gets no later lines."""
    for handler in list(logging.root.handlers):
        if type(handler) is logging.FileHandler:  # pytest's own is of a kind
            logging.root.removeHandler(handler)
            handler.close()


@pytest.fixture
def write_wav():
    """Write a tone: write_wav(path, seconds, pitch) -> path."""

    def build(path, seconds=0.5, pitch=200.0, sample_rate=16000):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(int(seconds * sample_rate)) / sample_rate
        wave = 0.3 * np.sin(2 * np.pi * pitch * time)
        soundfile.write(path, wave.astype(np.float32), sample_rate)
        return path

    return build


@pytest.fixture
def corpus_folder(tmp_path, write_wav):
    """Build a folder in Emo-Emilia's form.

    corpus_folder(emotions, per_emotion, speakers, **fields) -> folder
    with one corpus.jsonl and its wavs; `fields` go into every line.
    """

    def build(emotions=("angry", "sad"), per_emotion=4, speakers=4, **fields):
        folder = tmp_path / "corpus"
        lines = []
        for number, emotion in enumerate(emotions):
            for take in range(per_emotion):
                name = f"{emotion}_{take}"
                write_wav(
                    folder / "wav" / f"{name}.wav",
                    seconds=0.5 + 0.1 * take,
                    pitch=150 + 80 * number,
                )
                line = {
                    "index": name,
                    "emotion": emotion,
                    "wav": f"wav/{name}.wav",
                    "speaker": f"s{take % speakers}",
                    "gender": "female" if take % 2 else "male",
                    "language": "en",
                    "text": f"take number {take}",
                }
                lines.append(json.dumps({**line, **fields}))
        (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
        return folder

    return build


@pytest.fixture
def run_script():
    """Run a script of the repository: run_script(path, *arguments).

    Returns the finished process, with stdout and stderr as text.
    """

    def run(script, *arguments, timeout=300):
        return subprocess.run(
            [sys.executable, str(ROOT / script), *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture(scope="session")
def make_tiny_models(root):
    """The recipe script that writes tiny LLM and Whisper folders."""
    return load_script(root / "recipes/Synthetic/make_tiny_models.py")


@pytest.fixture(scope="session")
def tiny_llm(make_tiny_models, tmp_path_factory):
    """Folder of a two-layer Qwen2 whose tokenizer knows the label words."""
    texts = [f"The speaker sounds {word}." for word in WORDS] * 4
    texts += ["Please describe the speech.", "说话人语速快，音调高。"] * 4
    folder = tmp_path_factory.mktemp("models") / "llm"
    return make_tiny_models.make_llm(
        folder, texts, vocab_size=400, hidden_size=32, layers=2, heads=2
    )


@pytest.fixture(scope="session")
def tiny_whisper(make_tiny_models, tmp_path_factory):
    """Folder of a two-layer Whisper."""
    folder = tmp_path_factory.mktemp("models") / "whisper"
    return make_tiny_models.make_whisper(
        folder, width=32, encoder_layers=2, heads=2
    )


@pytest.fixture(scope="session")
def ssl_folder(tmp_path_factory):
    """ssl_folder("wavlm_group") -> folder of a tiny model."""
    folders = {}

    def build(name):
        if name not in folders:
            folder = tmp_path_factory.mktemp(name)
            folders[name] = save_self_supervised(name, folder)
        return folders[name]

    return build


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory):
    """text_folder("bert") -> folder of a tiny encoder of texts."""
    folders = {}

    def build(kind):
        if kind not in folders:
            folders[kind] = save_text_encoder(
                kind, tmp_path_factory.mktemp(kind)
            )
        return folders[kind]

    return build


@pytest.fixture(scope="session")
def build_emotion2vec():
    """build_emotion2vec() -> a frozen Emotion2Vec-S of random weights."""

    def build():
        torch.manual_seed(1)
        return Emotion2VecS(
            conv_layers=((16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2),
            embed_dim=16,
            num_heads=2,
            prenet_depth=1,
            depth=1,
            conv_pos_groups=2,
            freeze=True,
        )

    return build
