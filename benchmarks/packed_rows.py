#!/usr/bin/env python3
"""What it brings that items share rows of the language model in training.

    python benchmarks/packed_rows.py --size tiny
    python benchmarks/packed_rows.py --size base --layers 3 --precision bf16

Seconds of processor time of a forward and a backward pass of 8 items, in as
many rows as `LanguageModel` chooses, over those with a row for each (padding);
both in turn, median of the repeats. Random weights and noise; a question of 18
tokens, 12.5 positions a second, an answer of 54 tokens (implicit: 6).
``--layers`` keeps the first ones only.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from speechbrain_c2ser.lobes.speech_llm.merging import Speech, merge
from speechbrain_c2ser.training.memory import keep_freed_memory

sys.path += [str(Path(__file__).resolve().parent)]

import c2ser_training  # noqa: E402
from workloads.counting import lengths_of  # noqa: E402

QUESTION, RATE = 18, 12.5  # tokens; positions of a second
EXPLICIT, IMPLICIT = 54, 6  # tokens of an answer
COUNT = 8  # items


def batches():
    """Name → (seconds, answer tokens, question tokens) of each item."""
    half = [EXPLICIT if item % 2 else IMPLICIT for item in range(COUNT)]
    asked = [QUESTION] * COUNT
    history = [QUESTION + more for more in (0, 20, 60, 250, 120, 60, 0, 250)]
    long_answers = [EXPLICIT] * COUNT
    return {
        "5 s, half of the answers implicit": ([5.0] * COUNT, half, asked),
        "2-8 s": (lengths_of("short", COUNT), long_answers, asked),
        "0.5-30 s": (lengths_of("long_tail", COUNT), long_answers, asked),
        "5 s, history": ([5.0] * COUNT, long_answers, history),
    }


def merged_of(lm, seconds, answers, questions):
    """Noise in place of what is asked and heard; an answer of one word."""
    generator = torch.Generator().manual_seed(0)
    lengths = [int(RATE * each) for each in seconds]
    noise = 0.02 * torch.randn(
        COUNT, max(lengths), lm.hidden_size, generator=generator
    )
    words = lm.embed([[7] * number for number in (*questions, *answers)])
    words = [each.detach() for each in words]
    noise = noise.to(words[0].dtype).requires_grad_()
    return merge(
        words[:COUNT],
        Speech(noise, torch.tensor(lengths)),
        words[0][:2],
        words[COUNT:],
        [[7] * number for number in answers],
    )


def seconds_of(lm, make, kernels):
    """Processor seconds of a forward and a backward pass."""
    merged = make()
    lm.zero_grad()
    started = time.process_time()
    with kernels():
        lm(merged).loss.backward()
    return time.process_time() - started


def main():
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=["tiny", "base"], default="tiny")
    parser.add_argument("--layers", type=int, help="the first ones only")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        hparams = c2ser_training.load(options.size, Path(folder))
    lm = hparams["language_model"]
    if options.layers:
        decoder = lm.model.get_decoder()
        decoder.layers = decoder.layers[: options.layers]
    kernels = nullcontext
    if options.precision == "bf16":
        if not lm.frozen:
            parser.error("a language model that is trained stays in fp32")
        lm.hold_for(torch.bfloat16)

        def kernels():  # as in training
            return sdpa_kernel(SDPBackend.MATH)

    lm.train()
    for name, items in batches().items():
        merged = merged_of(lm, *items)
        real = sum(merged.lengths) / merged.labels.numel()
        times = {True: [], False: []}
        for _ in range(options.repeats):
            for shared, seconds in times.items():
                lm._packing._apart = shared
                seconds.append(
                    seconds_of(lm, lambda x=items: merged_of(lm, *x), kernels)
                )
        ratio = statistics.median(times[True]) / statistics.median(times[False])
        print(f"{name}: {real:.3f} not padding; time ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
