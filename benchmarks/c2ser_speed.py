#!/usr/bin/env python3
"""How fast C2SER is: the published procedure against ``classify_files``.

Both run the same random weights on the same clips of 2-8 s:
(a) published: one file at a time, free text by 4 beams with repetition
    penalty 1.05, ending after 10 new tokens (an implicit answer) and, again,
    after 40 (an explicit one);
(b) ours: ``C2SER.classify_files``, which weighs the closed set of labels.

    python benchmarks/c2ser_speed.py --sizes tiny base --json speed.json

Both run with what the command line sets for itself, `keep_freed_memory`. Run
nothing beside it.
"""

import argparse
import importlib.util
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from hyperpyyaml import load_hyperpyyaml
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2Config

from speechbrain_c2ser.audio import read_audio
from speechbrain_c2ser.inference import C2SER
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes.encoders.whisper import WhisperEncoder
from speechbrain_c2ser.lobes.speech_llm.connectors import ConnectorTransformer
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.perception import ContextualPerception
from speechbrain_c2ser.lobes.speech_llm.speech_emotion_llm import (
    SpeechEmotionLLM,
)
from speechbrain_c2ser.training.memory import keep_freed_memory

ROOT = Path(__file__).resolve().parent.parent
WHISPER_HEAD = 64
# Whisper: layers, width. Qwen2: layers, width, heads, key-value heads, MLP
# width, vocabulary, tied embeddings. Emotion2Vec-S: its block.
SIZES = {
    "tiny": ((3, 128), (3, 192, 4, 4, 768, 2000, True), "tiny"),
    "base": ((6, 512), (24, 896, 14, 2, 4864, 151936, True), "base"),
    "full": ((24, 1024), (28, 3584, 28, 4, 18944, 152064, False), "base"),
}
SENTENCE = "The quick brown fox jumps over the lazy dog and runs away."
PUBLISHED = {"num_beams": 4, "repetition_penalty": 1.05}


def write_clips(folder, count, seed=0):
    """Noise of 2-8 s with a speech-like envelope; returns paths, seconds."""
    rng = np.random.default_rng(seed)
    paths, total = [], 0.0
    for number in range(count):
        seconds = rng.uniform(2.0, 8.0)
        time_axis = np.arange(int(seconds * 16000)) / 16000
        envelope = 0.1 * (1.1 + np.sin(2 * np.pi * 4 * time_axis))
        wave = envelope * rng.standard_normal(len(time_axis))
        path = folder / f"{number:03d}.wav"
        soundfile.write(path, wave.astype(np.float32) / 4, 16000)
        paths.append(path)
        total += seconds
    return paths, total


def write_llm(folder, size):
    """Configuration of a Qwen2 of this size and a small tokenizer."""
    script = ROOT / "recipes" / "Synthetic" / "make_tiny_models.py"
    spec = importlib.util.spec_from_file_location("make_tiny_models", script)
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    layers, width, heads, kv_heads, mlp, vocabulary, tied = SIZES[size][1]
    # a word is to be about a token, as in Qwen2
    texts = make.task_texts(task_items(), ["en"])
    texts += [text.lower() for text in texts]
    tokenizer = make.train_tokenizer(texts, vocabulary)
    tokenizer.save_pretrained(folder)
    Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=tied,
        eos_token_id=tokenizer.eos_token_id,
    ).save_pretrained(folder)
    return folder


def task_items():
    """An item of every emotion and level of style, id → row."""
    return {
        f"{name}_{level}": {
            "emotion": name,
            "language": "en",
            "transcript": SENTENCE,
            "style": dict.fromkeys(("speed", "pitch", "volume"), level),
        }
        for name in LabelSpace.from_name("emo_emilia").names
        for level in ("low", "normal", "high")
    }


def build(size, device, dtype):
    """A C2SER of random weights."""
    (layers, width), llm, acoustic_size = SIZES[size]
    block = ROOT / f"hparams/blocks/emotion2vec_s_{acoustic_size}.yaml"
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, torch.device(device):
        yaml = f"encoder: !include:{block}\n    freeze: True\n"
        acoustic = load_hyperpyyaml(yaml)["encoder"]
        model = SpeechEmotionLLM(
            ContextualPerception(
                WhisperEncoder(
                    num_layers=layers,
                    size=width,
                    num_heads=max(width // WHISPER_HEAD, 4),
                    ffn_size=4 * width,
                ),
                acoustic,
                ConnectorTransformer(
                    width,
                    llm[1],
                    utterance_size=acoustic.output_size,
                    num_layers=1 if size == "tiny" else 4,
                ),
            ),
            LanguageModel(
                write_llm(folder, size), dtype=dtype, pretrained=False
            ),
        )
    hparams = {
        "label_space": LabelSpace.from_name("emo_emilia"),
        "languages": ["en"],
        "prompts": None,
    }
    precision = {"float32": "fp32", "bfloat16": "bf16"}[dtype]
    run_opts = {"device": device, "precision": precision}
    return C2SER(model.eval(), hparams, run_opts)


def published(c2ser, paths, tokens):
    """Seconds for all files by the published procedure."""
    model = c2ser.mods.model
    prompt = c2ser.prompt("explicit" if tokens > 10 else "implicit")
    wait(c2ser.device)
    start = time.perf_counter()
    for path in paths:
        with torch.no_grad(), c2ser.inference_ctx:
            wav = read_audio(path)[None].to(c2ser.device)
            merged = model.merge(
                model.listen(wav), [prompt], padding_side="left"
            )
            ids, _ = model.language_model.generate(
                merged,
                model.end_token_id,
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                **PUBLISHED,
            )
            model.language_model.tokenizer.batch_decode(ids)
    wait(c2ser.device)
    return time.perf_counter() - start


def ours(c2ser, paths, batch_size):
    """Seconds for all files by ``classify_files``."""
    wait(c2ser.device)
    start = time.perf_counter()
    rows = c2ser.classify_files(paths, batch_size, progress=False)
    wait(c2ser.device)
    seconds = time.perf_counter() - start
    assert all(row.error is None for row in rows), rows
    return seconds


def wait(device):
    """Until the accelerator has done what it was asked."""
    if str(device).startswith("cuda"):
        torch.cuda.synchronize()


class Clock:
    """Adds up the seconds spent in methods of objects."""

    def __init__(self, device):
        self.device = device
        self.seconds = {}

    def watch(self, thing, method, name):
        """Time every call of a method under a name."""
        setattr(thing, method, self.timed(getattr(thing, method), name))

    def timed(self, function, name):
        """The function, timed under a name."""

        def timed(*args, **kwargs):
            wait(self.device)
            start = time.perf_counter()
            result = function(*args, **kwargs)
            wait(self.device)
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            return result

        return timed


def parts(c2ser, paths, batch_size):
    """Seconds of each part of ``classify_files``."""
    clock = Clock(c2ser.device)
    perception = c2ser.mods.model.perception
    lm = c2ser.mods.model.language_model
    clock.watch(perception.semantic_encoder, "extract", "whisper")
    clock.watch(perception.semantic_encoder, "_log_mel", "mel")
    acoustic = perception.acoustic_encoder
    clock.watch(acoustic, "extract_tokens", "emotion2vec-s")
    clock.watch(perception.connector, "forward", "connector")
    score = lm.score

    def score_after_prefix(merged, endings, prompt=None):
        """The prefix once more, alone: labels are what it lacks."""
        one_token = [[[0]] for _ in endings]
        clock.timed(score, "prefix")(merged, one_token, prompt)
        return clock.timed(score, "score")(merged, endings, prompt)

    lm.score = score_after_prefix
    total = ours(c2ser, paths, batch_size)
    lm.score = score
    seconds = clock.seconds
    seconds["whisper encoder"] = seconds.pop("whisper") - seconds["mel"]
    total -= seconds["prefix"]
    seconds["labels"] = seconds.pop("score") - seconds["prefix"]
    seconds["reading and the rest"] = total - sum(seconds.values())
    return seconds


def measure(size, options):
    """All figures of one size."""
    with tempfile.TemporaryDirectory() as folder:
        paths, audio_seconds = write_clips(Path(folder), options.clips)
        c2ser = build(size, options.device, options.dtype)
        print(f"{size}: {sum(p.numel() for p in c2ser.parameters()):,} weights")
        if options.device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats()
        ours(c2ser, paths, options.batch_size)  # warm-up
        seconds = min(ours(c2ser, paths, options.batch_size) for _ in range(3))
        figures = {
            "clips": len(paths),
            "audio_seconds": audio_seconds,
            "batch_size": options.batch_size,
            "ours_utterances_per_second": len(paths) / seconds,
            "ours_real_time_factor": seconds / audio_seconds,
        }
        print(f"  classify_files: {len(paths) / seconds:.2f} utterances/s")
        if options.device.startswith("cuda"):
            peak = torch.cuda.max_memory_allocated()
            figures["peak_memory_gib"] = peak / 2**30
        published(c2ser, paths[:2], 10)  # warm-up
        for tokens in (10, 40):
            theirs = published(c2ser, paths, tokens)
            figures[f"published_{tokens}_utterances_per_second"] = (
                len(paths) / theirs
            )
            figures[f"ratio_{tokens}_tokens"] = theirs / seconds
            print(
                f"  published, {tokens} tokens: {len(paths) / theirs:.2f} "
                f"utterances/s; ratio {theirs / seconds:.1f}"
            )
        if options.peak_tflops:
            with FlopCounterMode(display=False) as counter:
                ours(c2ser, paths, options.batch_size)
            rate = counter.get_total_flops() / seconds / 1e12
            figures["share_of_peak"] = rate / options.peak_tflops
        figures["seconds_by_part"] = parts(c2ser, paths, options.batch_size)
        for name, spent in figures["seconds_by_part"].items():
            print(f"    {name}: {spent:.3f} s")
    return figures


def main():
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--sizes", nargs="+", choices=SIZES, default=["tiny", "base"]
    )
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32"
    )
    parser.add_argument(
        "--peak-tflops", type=float, help="the card's peak, for its share"
    )
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()

    report = {"sizes": {size: measure(size, options) for size in options.sizes}}
    for tokens in (10, 40):
        if "base" in report["sizes"]:
            ratio = report["sizes"]["base"][f"ratio_{tokens}_tokens"]
            report[f"base_ratio_{tokens}_tokens"] = ratio
    report["machine"] = {
        "device": torch.cuda.get_device_name()
        if options.device.startswith("cuda")
        else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "dtype": options.dtype,
        "torch": torch.__version__,
    }
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
