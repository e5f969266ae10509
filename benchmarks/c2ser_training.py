#!/usr/bin/env python3
"""What training C2SER costs: random weights of published sizes, noise clips.

    python benchmarks/c2ser_training.py --size base --json training.json

1. An epoch with Emotion2Vec-S's utterance vectors cached and without, whether
   the losses are the same, and the ratio of both epochs' operations, about
   what a cache can gain where matrix products are all that takes time.
2. Seconds per step for items of 2, 4, 8 and 16 s.
3. What a checkpoint of full.yaml holds, against its language model (built on
   the meta device; nothing is allocated).
On CUDA also utterances per second, peak memory and, with ``--peak-tflops``,
MFU: the model's own matrix products (nothing recomputed counts) per second
against the card's peak. Run nothing beside it.
"""

import argparse
import io
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.epoch_loop import EpochCounter
from torch.utils.flop_counter import FlopCounterMode
from transformers import WhisperConfig

from speechbrain_c2ser.data.dataset import loader_options, speech_dataset
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.training.experiment import merge_yaml
from speechbrain_c2ser.training.memory import keep_freed_memory

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "benchmarks"), str(ROOT / "recipes" / "C2SER")]

from c2ser_speed import SENTENCE, wait, write_llm  # noqa: E402
from train_explicit import ExplicitBrain  # noqa: E402

FP32_BYTES = 4
# Layers, width, heads of Whisper's encoder; the size of Emotion2Vec-S.
ENCODERS = {
    "tiny": ((3, 128, 4), "tiny"),
    "base": ((6, 512, 8), "base"),
    "full": ((24, 1024, 16), "base"),
}


def load(size, folder, device="cpu", **overrides):
    """Load a size's yaml with random weights of the published numbers."""
    (layers, width, heads), acoustic = ENCODERS[size]
    whisper, llm = folder / "whisper", folder / "llm"
    WhisperConfig(
        d_model=width,
        encoder_layers=layers,
        encoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_layers=1,
        decoder_ffn_dim=1,
    ).save_pretrained(whisper)
    write_llm(llm, size)
    overlay = folder / "overlay.yaml"
    changes = {
        "output_folder": folder / "output",
        "train_manifest": "none",
        "valid_manifest": "none",
        "whisper_source": whisper,
        "llm_source": llm,
        "emotion2vec_source": "none",
        "semantic_encoder": "{pretrained: False}",
        "language_model": "{pretrained: False}",
        **overrides,
    }
    overlay.write_text(
        "".join(f"{key}: {value}\n" for key, value in changes.items())
        + f"acoustic_encoder: !include:../blocks/emotion2vec_s_{acoustic}.yaml"
        "\n    freeze: True\n"
    )
    yaml = ROOT / "hparams" / "c2ser" / "full.yaml"
    overlays = [overlay]
    if size != "full":
        overlays.insert(0, yaml.parent / "sizes" / f"{size}.yaml")
    stream = io.StringIO(merge_yaml(yaml, overlays))
    stream.name = str(yaml)
    with torch.device(device):
        return load_hyperpyyaml(stream)


def checkpoint_size(size="full"):
    """Bytes of a checkpoint of a size's yaml, and of its language model.

    Returns
    -------
    dict
        ``trained`` (weights), ``optimizer`` (AdamW's two moments of each)
        and ``language_model`` (the base's weights), in bytes; ``parts``: the
        trained weights by part.
    """
    with tempfile.TemporaryDirectory() as folder:
        hparams = load(size, Path(folder), device="meta")
    tensors = hparams["trained"].tensors()
    parts = {}
    for name, tensor in tensors.items():
        part = name.removeprefix("perception.").split(".")[0]
        parts[part] = parts.get(part, 0) + tensor.nbytes
    model = hparams["language_model"].model
    base = sum(
        parameter.nbytes
        for name, parameter in model.named_parameters()
        if "lora_" not in name
    )
    numbers = sum(p.numel() for p in tensors.values())
    return {
        "trained": sum(parts.values()),
        "optimizer": 2 * FP32_BYTES * numbers,
        "language_model": base,
        "parts": parts,
    }


def write_corpus(folder, seconds, seed=0):
    """Noise clips of these lengths as manifest rows with all that is asked."""
    rng = np.random.default_rng(seed)
    names = LabelSpace.from_name("emo_emilia").names
    rows = {}
    for number, length in enumerate(seconds):
        path = folder / f"{len(seconds)}_{length:.2f}_{number}.wav"
        wave = 0.1 * rng.standard_normal(int(length * 16000))
        soundfile.write(path, wave.astype(np.float32), 16000)
        rows[path.stem] = {
            "wav": str(path),
            "duration": length,
            "emotion": names[number % len(names)],
            "language": "en",
            "transcript": SENTENCE,
            "style": {"speed": "low", "pitch": "high", "volume": "normal"},
        }
    return rows


class TimedBrain(ExplicitBrain):
    """Stage 1 that notes what every batch takes and gives."""

    def fit(self, *args, **kwargs):
        """See ``TrainingBrain.fit``."""
        self.seconds, self.batch_losses, self.sizes = [], [], []
        return super().fit(*args, **kwargs)

    def fit_batch(self, batch):
        """Timed."""
        wait(self.device)
        started = time.perf_counter()
        loss = super().fit_batch(batch)
        wait(self.device)
        self.seconds.append(time.perf_counter() - started)
        self.batch_losses.append(loss.item())
        self.sizes.append(len(batch.id))
        return loss


def brain_of(brain_class, hparams, device, precision):
    """A Brain that leaves nothing on disk but the cached features."""
    return brain_class(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts={
            "device": device,
            "precision": precision,
            "noprogressbar": True,
            "max_grad_norm": hparams.get("max_grad_norm", 5.0),
            "ckpt_interval_minutes": 0,
        },
        checkpointer=hparams["checkpointer"],
    )


def train_epoch(hparams, rows, options, cached, batch_seconds):
    """One epoch; returns the Brain and the seconds that the cache took."""
    torch.manual_seed(0)
    dataset = speech_dataset(rows)
    brain = brain_of(TimedBrain, hparams, options.device, options.precision)
    brain.hparams.feature_folder = options.folder / "features"
    brain.cache, filling = None, 0.0
    if cached:
        started = time.perf_counter()
        brain.fill_cache(dataset)
        filling = time.perf_counter() - started
    brain.fit(
        EpochCounter(1),
        dataset,
        train_loader_kwargs=loader_options(dataset, batch_seconds),
    )
    return brain, filling


def operations(hparams, options):
    """Operations of a step with and without cached vectors; warms up, too."""
    rows = write_corpus(options.folder / "clips", [5.0, 5.0])
    counts = {}
    for cached in (False, True):
        train_epoch(hparams, rows, options, cached, options.batch_seconds)
        # the second time the cache is full
        with FlopCounterMode(display=False) as counter:
            train_epoch(hparams, rows, options, cached, options.batch_seconds)
        counts[cached] = counter.get_total_flops()
    return counts


def compare_cache(options):
    """An epoch with and without cached vectors, from the same weights."""
    clips = options.folder / "clips"
    clips.mkdir()
    lengths = np.random.default_rng(0).uniform(2.0, 8.0, options.clips)
    rows = write_corpus(clips, lengths.tolist())
    hparams = load(options.size, options.folder)
    model = hparams["model"].to(options.device)
    start = {k: v.clone() for k, v in hparams["trained"].tensors().items()}
    flops = operations(hparams, options)
    measures = {}
    for cached in (False, True):
        model.load_state_dict(start, strict=False)
        brain, filling = train_epoch(
            hparams, rows, options, cached, options.batch_seconds
        )
        measures[cached] = brain
        name = "with cache" if cached else "without cache"
        print(
            f"epoch {name}: {sum(brain.seconds):.2f} s"
            + (f" (filling the cache: {filling:.2f} s)" if cached else "")
        )
    plain, cached = measures[False], measures[True]
    apart = max(
        abs(a - b)
        for a, b in zip(plain.batch_losses, cached.batch_losses, strict=True)
    )
    ratio = sum(plain.seconds) / sum(cached.seconds)
    limit = flops[False] / flops[True]
    print(
        f"ratio {ratio:.2f} ({limit:.2f} by the number of operations); losses "
        f"differ by {apart:.1e} at most"
    )
    figures = {
        "clips": len(rows),
        "audio_seconds": sum(row["duration"] for row in rows.values()),
        "seconds_without": sum(plain.seconds),
        "seconds_with": sum(cached.seconds),
        "seconds_to_fill": filling,
        "ratio": ratio,
        "ratio_of_operations": limit,
        "largest_loss_difference": apart,
    }
    if options.device.startswith("cuda"):
        figures |= accelerator_figures(cached, rows, options)
    return hparams, figures


def accelerator_figures(brain, rows, options):
    """Utterances per second, peak memory and MFU of the last epoch."""
    hparams = vars(brain.hparams)
    torch.cuda.reset_peak_memory_stats()
    again, _ = train_epoch(hparams, rows, options, True, options.batch_seconds)
    figures = {
        "utterances_per_second": sum(again.sizes) / sum(again.seconds),
        "peak_memory_gib": torch.cuda.max_memory_allocated() / 2**30,
    }
    if options.peak_tflops:
        # Once more, recomputing nothing, to count what the model itself does.
        hparams["language_model"].model.gradient_checkpointing_disable()
        hparams["semantic_encoder"].encoder.gradient_checkpointing_disable()
        with FlopCounterMode(display=False) as counter:
            train_epoch(hparams, rows, options, True, options.batch_seconds)
        rate = counter.get_total_flops() / sum(again.seconds) / 1e12
        figures["mfu"] = rate / options.peak_tflops
    print(", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
    return figures


def measure_lengths(hparams, options):
    """Median seconds of a step for items of each length."""
    figures = {}
    for length in options.lengths:
        folder = options.folder / f"{length:g}"
        folder.mkdir()
        count = options.items * (options.steps + 1)
        rows = write_corpus(folder, [float(length)] * count)
        brain, _ = train_epoch(
            hparams, rows, options, True, length * options.items
        )
        seconds = float(np.median(brain.seconds[1:]))  # the first warms up
        figures[f"{length:g}"] = seconds
        print(
            f"{options.items} items of {length:g} s: {seconds:.3f} s a step, "
            f"{seconds / (options.items * length):.4f} s per second of audio"
        )
    return figures


def main():
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=ENCODERS, default="base")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--batch-seconds", type=float, default=39.0)
    parser.add_argument(
        "--lengths", type=float, nargs="+", default=[2.0, 4.0, 8.0, 16.0]
    )
    parser.add_argument("--items", type=int, default=4, help="items of a step")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16")
    parser.add_argument("--peak-tflops", type=float)
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.device == "cpu":
        keep_freed_memory()  # as load_experiment does

    sizes = checkpoint_size()
    gib = {k: v / 2**30 for k, v in sizes.items() if k != "parts"}
    print(
        f"full.yaml's checkpoint: {gib['trained']:.2f} GiB of weights and "
        f"{gib['optimizer']:.2f} GiB of the optimiser's moments; its language "
        f"model: {gib['language_model']:.2f} GiB"
    )
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        hparams, cache = compare_cache(options)
        lengths = measure_lengths(hparams, options)
    report = {
        "size": options.size,
        "full_checkpoint_bytes": sizes,
        "cache": cache,
        "seconds_per_step": lengths,
        "items_per_step": options.items,
        "machine": {
            "device": torch.cuda.get_device_name()
            if options.device.startswith("cuda")
            else platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "precision": options.precision,
            "torch": torch.__version__,
        },
    }
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
