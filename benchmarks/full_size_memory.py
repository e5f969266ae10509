#!/usr/bin/env python3
"""Parameters and memory of C2SER at full size, counted without weights.

> python benchmarks/full_size_memory.py

Builds each part of hparams/c2ser/full.yaml on torch's meta device, with the
published widths, and adds up what weights, gradients and AdamW's two moments
take. Activations are not counted: they depend on batch and kernels.
"""

import argparse

import torch
from peft import LoraConfig, inject_adapter_in_model
from transformers import Qwen2Config, Qwen2ForCausalLM

from speechbrain_c2ser.lobes import (
    ConnectorTransformer,
    Emotion2VecS,
    WhisperEncoder,
)

GIGA = 1e9
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj"]
# Bytes a parameter: nf4 with its scales (one fp32 per 64, doubly quantised).
BYTES = {"fp32": 4.0, "bf16": 2.0, "nf4": 0.5 + 0.127 / 8}
QWEN2_7B = Qwen2Config(
    hidden_size=3584,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    intermediate_size=18944,
    vocab_size=152064,
    tie_word_embeddings=False,
)


def count(module: torch.nn.Module) -> int:
    """Parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def parts() -> dict[str, int]:
    """Name of each part → its parameters."""
    with torch.device("meta"):
        whisper = WhisperEncoder(
            num_layers=24, size=1024, num_heads=16, ffn_size=4096
        )
        acoustic = Emotion2VecS()
        connector = ConnectorTransformer(input_size=1024, output_size=3584)
        llm = Qwen2ForCausalLM(QWEN2_7B)
        words = llm.get_input_embeddings().weight.numel()
        base = count(llm)
        lora = LoraConfig(r=8, target_modules=TARGETS)
        inject_adapter_in_model(lora, llm)
    return {
        "Whisper-medium encoder": count(whisper),
        "Emotion2Vec-S": count(acoustic),
        "connector": count(connector),
        "LoRA, rank 8": count(llm) - base,
        "Qwen2-7B, layers": base - 2 * words,
        "Qwen2-7B, embeddings": 2 * words,
    }


def memory(
    counts: dict[str, int], llm: str = "bf16", train: bool = True
) -> dict[str, float]:
    """Gigabytes of each part.

    Arguments
    ---------
    counts : dict
        Of :func:`parts`.
    llm : str
        ``bf16`` or ``nf4`` (embeddings then stay in bf16).
    train : bool
        Whether gradients and AdamW's moments of what is trained count.
    """
    trained = {"Whisper-medium encoder", "connector", "LoRA, rank 8"}
    total = {}
    for name, number in counts.items():
        kind = "fp32"
        if name.startswith("Qwen2"):
            kind = "bf16" if "embeddings" in name else llm
        bytes_each = BYTES[kind]
        if train and name in trained:
            bytes_each += 3 * BYTES["fp32"]
        total[name] = number * bytes_each / GIGA
    return total


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    counts = parts()
    columns = {
        "train, bf16": memory(counts),
        "train, nf4": memory(counts, "nf4"),
        "use, bf16": memory(counts, train=False),
        "use, nf4": memory(counts, "nf4", train=False),
    }
    print(f"| part | parameters | {' | '.join(columns)} |")
    print("| --- | ---: |" + " ---: |" * len(columns))
    for name, number in counts.items():
        cells = [f"{column[name]:.2f}" for column in columns.values()]
        print(f"| {name} | {number / 1e6:.1f} M | {' | '.join(cells)} |")
    sums = [f"{sum(column.values()):.1f}" for column in columns.values()]
    all_of_it = sum(counts.values()) / 1e6
    print(f"| all (GB) | {all_of_it:.1f} M | {' | '.join(sums)} |")


if __name__ == "__main__":
    main()
