"""Packaging of speechbrain_c2ser.

Bounds: the lower ones are the set of tools/lowest.txt (`make test-lowest`),
which says how it was run; the upper ones were run by the test suite and stop
below the first release that was not. Older ones: torch before 2.6 unpickles
what it should not; transformers before 4.57 gives no decoder of some language
models.

Pythons: the suite runs on 3.11. With the newest packages of each, every test
passed on 3.10.13 too (where some packages end at an earlier release), on 3.12.1
all but half of the recipes' tests, which were not run, and on 3.13.0 those of
an earlier state (5,643). 3.14 was not at hand.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
# A wheel has the recipes and yamls too, inside the package; relative paths
# between them stay what they are in a clone.
ALONG = ("recipes", "hparams")
FOLDERS = sorted(
    path.relative_to(ROOT).as_posix()
    for name in ALONG
    for path in [ROOT / name, *(ROOT / name).rglob("*")]
    if path.is_dir() and path.name != "__pycache__"
)
VERSION = re.search(
    r'^__version__ = "(.+)"$',
    (ROOT / "speechbrain_c2ser" / "__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
).group(1)

# What the suite ran on, see above.
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]

REQUIRED = [
    "speechbrain>=1.1.0,<1.2",
    "torch>=2.6,<2.14",
    "torchaudio>=2.6,<2.12",
    "hyperpyyaml>=1.2.2,<1.3",
    "ruamel.yaml>=0.18.6,<0.19",
    "pyyaml>=6.0.1,<7",
    "transformers>=4.57.1,<5.24",
    "tokenizers>=0.22.0,<0.24",
    "huggingface_hub>=0.34.0,<2.5",
    "peft>=0.14.0,<0.22",
    "sentencepiece>=0.2.0,<0.3",
    "safetensors>=0.4.3,<0.9",
    "soundfile>=0.13.0,<0.15",
    "numpy>=1.26.4,<2.5",
    "scipy>=1.11.4,<1.18",
    "soxr>=0.3.7,<1.2",
    "scikit-learn>=1.3.2,<1.10",
    "packaging>=24.0,<27",
    "tqdm>=4.66.1,<5",
    "shtab>=1.13.0,<1.14",
]

# Style words are measured: phonemes, fundamental frequency, loudness.
PROSODY = [
    "espeakng-loader>=0.2.4,<0.3",
    "praat-parselmouth>=0.4.5,<0.5",
    "pyloudnorm>=0.1.1,<0.3",
]

TRAIN = [*PROSODY, "tensorboard>=2.18.0,<2.22"]

EVALUATE = ["matplotlib>=3.8.4,<3.12", "markdown>=3.6,<3.12"]

# Corpora in Parquet or Arrow files.
DATASETS = ["pyarrow>=15.0.2,<27"]

# Subtitles, Praat and ELAN; they are read back in the tests.
FORMATS = [
    "praatio>=6.2.0,<7",
    "pympi-ling>=1.70.2,<2",
    "pysubs2>=1.7.3,<2",
]

# Voice activity: stretches of speech in place of windows.
VAD = ["silero-vad>=6.2.3,<6.3"]

# The web page; what it offers for download.
SERVE = [
    "gradio>=6.31,<6.32",
    "fastapi>=0.162,<0.166",
    "uvicorn>=0.54,<0.55",
    *FORMATS,
]

# `c2ser export`.
ONNX = [
    "onnx>=1.23,<1.24",
    "onnxruntime>=1.32,<1.33; python_version >= '3.11'",
    "onnxruntime>=1.23.2,<1.24; python_version < '3.11'",
    "onnxscript>=0.7,<0.8",
]

# A test set out of weak labels: agreement of experts.
REVIEW = ["krippendorff>=0.8,<0.10"]

# The documents as a site.
DOCS = [
    "mkdocs>=1.6,<1.7",
    "mkdocstrings-python>=2.0,<2.1",
    # The last mkdocstrings of Python 3.10 knows no newer ones.
    "pymdown-extensions>=11.0.2,<12.2; python_version < '3.11'",
]

EXTRAS = {
    "prosody": PROSODY,
    "train": TRAIN,
    "wandb": ["wandb>=0.31,<0.32"],
    # Pictures and web page of `c2ser evaluate`; the classic baseline.
    "evaluate": EVALUATE,
    "baselines": ["opensmile>=2.6,<2.7"],
    "demo": [*TRAIN, *EVALUATE],
    "datasets": DATASETS,
    "formats": FORMATS,
    "vad": VAD,
    "serve": SERVE,
    "onnx": ONNX,
    "docs": DOCS,
    "review": REVIEW,
    # `c2ser label --workers`; large, so not in `dev`.
    "scale": [*DATASETS, "ray[data]>=2.60,<2.61"],
    "dev": [
        *DATASETS,
        *DOCS,
        *ONNX,
        *REVIEW,
        *SERVE,
        *VAD,
        "jsonschema>=4.25.0,<4.27",
        "mypy>=2.4,<2.5",
        "pytest>=8.4.0,<10",
        "pytest-xdist>=3.6.1,<4",
        "ruff>=0.17,<0.18",
        "setuptools>=77.0.3,<85",
        "webvtt-py>=0.5.1,<0.7",
    ],
}

setup(
    name="speechbrain_c2ser",
    version=VERSION,
    description="C2SER speech emotion recognition for SpeechBrain",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    classifiers=[
        f"Programming Language :: Python :: {python}" for python in PYTHONS
    ],
    packages=[
        *find_packages(include=["speechbrain_c2ser*"]),
        *(f"speechbrain_c2ser.{f.replace('/', '.')}" for f in FOLDERS),
    ],
    package_dir={
        f"speechbrain_c2ser.{f.replace('/', '.')}": f for f in FOLDERS
    },
    package_data={
        "": ["*.yaml", "*.json", "*.safetensors", "README.md", "py.typed"],
        "speechbrain_c2ser.labelling": ["*.html"],
        "speechbrain_c2ser.web": ["*.css", "*.js"],
    },
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["c2ser = speechbrain_c2ser.cli:main"]},
)
