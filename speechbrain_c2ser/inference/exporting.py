"""A model as one ONNX file, compared with torch before it is there."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from speechbrain_c2ser import __version__
from speechbrain_c2ser.checkpoints.folder import find_folder
from speechbrain_c2ser.checkpoints.kinds import check_kind, kind_of
from speechbrain_c2ser.checkpoints.licences import licence_of
from speechbrain_c2ser.data.atomic import written_beside
from speechbrain_c2ser.inference.classifier import EmotionClassifier
from speechbrain_c2ser.inference.emotion2vec import Emotion2VecSEncoder
from speechbrain_c2ser.inference.recordings import least_samples
from speechbrain_c2ser.lobes import WhisperEncoder
from speechbrain_c2ser.lobes.encoders.whisper import HOP_LENGTH

NEEDED = ("onnx", "onnxruntime", "onnxscript")
LIMIT = 1e-4  # by which ONNX may differ from torch
LARGEST = 2_000_000_000  # bytes of weights: one file holds no more
FEWEST = 400  # samples of one frame of wav2vec 2.0 and its kin
# Seconds of the longest item, and the share of it that each item has.
TRIALS = ((0.7, (1.0,)), (1.9, (1.0, 0.8)), (4.3, (0.3, 1.0, 0.55)))


class _Exported(torch.nn.Module):
    """Waveforms and relative lengths to a tuple of tensors."""

    def __init__(self, model, function):
        super().__init__()
        self.model = model
        self.function = function

    def forward(self, wavs, wav_lens):
        return self.function(self.model, wavs, wav_lens)


def export_onnx(
    source: str | Path, path: str | Path, savedir: str | Path | None = None
) -> dict[str, float]:
    """Write a classifier or an Emotion2Vec-S as ONNX.

    Inputs: ``wavs`` [batch, samples] at 16 kHz and ``wav_lens`` [batch], as in
    torch; any batch, any length. Outputs of a classifier: of each head its
    probabilities (the calibrated temperature inside) or values, by the head's
    name; those of frames are 0 past an item's end, or NaN where they are no
    probabilities. Of an encoder: ``frames``, ``lengths`` and, where it has
    them, ``tokens``. The file's metadata holds the labels and what else a user
    needs to know.

    Arguments
    ---------
    source : str | Path
        Folder, or id of a model on the Hugging Face hub.
    path : str | Path
        The file; an earlier one is replaced when the new one has passed.
    savedir : str | Path | None
        Where a hub model is put.

    Returns
    -------
    dict
        Output -> greatest difference from torch at three lengths.

    Raises
    ------
    ValueError
        Before anything is written: for what cannot be exported, and where
        ONNX says something else than torch (by more than 1e-4).
    RuntimeError
        Where the packages of the extra are not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"ONNX needs {', '.join(missing)}: pip install "
            "'speechbrain_c2ser[onnx]'."
        )
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name the file to write.")
    if path.suffix.lower() != ".onnx":
        raise ValueError(f"{path} is written as ONNX: name it OUT.onnx.")
    model, outputs, function, facts = _open(find_folder(source, savedir))
    least, most = _check_parts(model)
    facts |= {"least_samples": least, "most_samples": most}
    exported = _Exported(model, function).eval()
    with written_beside(path) as part:
        _write(exported, outputs, facts, part)
        return _compare(exported, outputs, facts, part)


def _open(folder):
    """(model, names of the outputs, function, metadata) of a folder."""
    check_kind(folder, "EmotionClassifier", "Emotion2VecS")
    facts = {
        "made_by": f"speechbrain_c2ser {__version__}",
        "licence": licence_of(folder),
        "sample_rate": 16000,
    }
    if kind_of(folder) == "Emotion2VecS":
        encoder = Emotion2VecSEncoder.from_hparams(
            folder, run_opts={"device": "cpu"}
        ).mods.model
        names = ["frames", "lengths"] + ["tokens"] * bool(encoder.num_tokens)
        facts |= {"kind": "encoder", "frame_rate": encoder.frame_rate}
        return encoder, names, _features, facts
    interface = EmotionClassifier.from_hparams(
        folder, run_opts={"device": "cpu"}
    )
    temperature = float(getattr(interface.hparams, "temperature", 1.0))
    heads = interface.heads.heads
    facts |= {
        "kind": "classifier",
        "labels": {name: head.labels for name, head in heads.items()},
        "main": interface.heads.main,
        "temperature": temperature,
        "frame_rate": {
            name: head.frame_rate
            for name, head in heads.items()
            if hasattr(head, "frame_rate")
        },
    }

    def predict(model, wavs, wav_lens):
        predicted = model.predict(wavs, wav_lens, temperature=temperature)
        return tuple(predicted[name] for name in heads)

    return interface.mods.model, list(heads), predict, facts


def _features(encoder, wavs, wav_lens):
    features = encoder.extract(wavs, wav_lens)
    return tuple(part for part in features if part is not None)


def _check_parts(model):
    """(least, most) samples, after a look at what cannot be exported."""
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    if size > LARGEST:
        raise ValueError(
            f"The weights have {size / 1e9:.1f} GB, more than the 2 GB that "
            "one ONNX file holds: export a smaller model."
        )
    if getattr(model, "text_encoder", None) is not None:
        raise ValueError(
            "A model that reads words beside the voice cannot be exported: "
            "its texts are no tensors. Export one without a text_encoder."
        )
    most = None
    for module in model.modules():
        if reason := getattr(module, "not_exported", None):
            raise ValueError(
                f"A {type(module).__name__} cannot be exported: {reason}."
            )
        if isinstance(module, WhisperEncoder):
            positions = module.encoder.config.max_source_positions
            most = positions * 2 * HOP_LENGTH
    return max(least_samples(model), FEWEST), most


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's own remarks, which are for its authors."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@torch.no_grad()
def _write(exported, outputs, facts, path):
    """The ONNX file, not yet compared with anything."""
    # sizes other than 0 and 1, which would be taken for the only ones
    samples = max(16000, 2 * facts["least_samples"])
    example = torch.rand(3, samples), torch.tensor([1, 0.7, 0.4])
    names = {"wavs": {0: "batch", 1: "samples"}, "wav_lens": {0: "batch"}}
    auto = torch.export.Dim.AUTO
    shapes = {key: dict.fromkeys(axes, auto) for key, axes in names.items()}
    try:
        with _quietly():
            program = torch.export.export(
                exported,
                example,
                dynamic_shapes=shapes,
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            onnx = torch.onnx.export(
                program,
                input_names=list(names),
                output_names=outputs,
                dynamic_shapes=names,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    # Whatever a block of a user's own does that torch.export cannot follow.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            "The model cannot be exported: torch.export says "
            f"{type(error).__name__}: {reason[:200]}"
        ) from error
    for name, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value)
        onnx.model.metadata_props[name] = text
    onnx.save(str(path), external_data=False)


def trial(
    seconds: float, shares: Sequence[float], seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """A padded batch to compare two runtimes on: bursts of voice-like noise.

    Arguments
    ---------
    seconds : float
        Of the longest item.
    shares : sequence of float
        Of it that each item has.
    seed : int
        Of the noise.

    Returns
    -------
    wavs : torch.Tensor
        [B, samples] at 16 kHz, zero past an item's end.
    wav_lens : torch.Tensor
        [B].

    Example
    -------
    >>> trial(0.5, [1.0, 0.5])[0].shape
    torch.Size([2, 8000])
    """
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * 16000)) / 16000
    wavs = torch.zeros(len(shares), len(time))
    for row, share in zip(wavs, shares, strict=True):
        noise = torch.randn(len(time), generator=generator)
        pitch = 100 + 150 * torch.rand((), generator=generator)
        voice = torch.sin(2 * torch.pi * pitch * time) + 0.1 * noise
        loudness = 0.3 * torch.sin(4 * time).square() * (time < share * seconds)
        row += loudness * voice
    return wavs, torch.tensor(shares)


@torch.no_grad()
def _compare(exported: Callable, outputs, facts, path):
    """Output -> greatest difference from torch."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )
    # onnxruntime's errors have no base but this one
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"onnxruntime {version('onnxruntime')} cannot open the exported "
            "model (pip install 'speechbrain_c2ser[onnx]' brings a release "
            f"that was tried): {reason[:200]}"
        ) from error
    differences = dict.fromkeys(outputs, 0.0)
    least, most = facts["least_samples"], facts["most_samples"]
    shorter = min(1.0, (most or float("inf")) / 16000 / TRIALS[-1][0])
    for seconds, shares in ((0.0, (1.0,)), *TRIALS):
        seconds = max(seconds * shorter, least / 16000 / min(shares))
        wavs, wav_lens = trial(seconds, shares)
        feed = {"wavs": wavs.numpy(), "wav_lens": wav_lens.numpy()}
        try:
            answers = session.run(outputs, feed)
        except Exception as error:
            raise ValueError(
                f"The exported model cannot run {len(wavs)} items of "
                f"{wavs.shape[1]} samples; a block of it may fix a size, as by "
                f"len(frames) in place of frames.shape[0]: {str(error)[:200]}"
            ) from error
        for name, answer, truth in zip(
            outputs, answers, exported(wavs, wav_lens), strict=True
        ):
            expected = truth.double().numpy()
            place = f"output {name!r} of {wavs.shape[1]} samples"
            if answer.shape != expected.shape:
                raise ValueError(
                    f"ONNX gives another shape in {place}: "
                    f"{list(answer.shape)}, torch {list(expected.shape)}."
                )
            apart = np.abs(answer - expected)
            # both NaN: past an item's end
            apart[np.isnan(answer) & np.isnan(expected)] = 0.0
            furthest = float(apart.max(initial=0.0))
            if not furthest <= LIMIT:
                raise ValueError(
                    f"ONNX differs from torch by {furthest:.2g} in {place}, "
                    f"more than {LIMIT:g}: nothing was written."
                )
            differences[name] = max(differences[name], furthest)
    return differences
