"""What all tests share: offline, few threads, small corpora."""

import json
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

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(1)


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
