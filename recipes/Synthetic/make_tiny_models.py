#!/usr/bin/env python3
"""Make the small language model and Whisper that the synthetic corpus needs.

Both are real Hugging Face folders with random weights, so the same code runs
them as runs Qwen2-7B and Whisper-medium. The tokenizer is trained on the
answers of the training manifest.

    python make_tiny_models.py MANIFEST OUTPUT_FOLDER
"""

import argparse
import json
import re
import shutil
from pathlib import Path
from random import Random

import torch
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    trainers,
)
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from speechbrain_c2ser.chain_of_thought import answers
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.training.one_line import errors_in_one_line

END = "<|endoftext|>"
# A token has fewer bytes: a word of nine letters with its space fits, or three
# Chinese characters. Longer ones would hold the corpus's sentences by heart.
LONGEST_TOKEN = 11


def train_tokenizer(texts, vocab_size=1000, words=()):
    """Byte-level BPE: any text can be written, frequent words are one token.

    Arguments
    ---------
    texts : list[str]
        What the model will read and write.
    vocab_size : int
        Upper limit of the vocabulary, 257 at least.
    words : sequence of str
        Tokens of their own. For scripts without spaces, where BPE would
        learn a whole clause as one token.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(set(words)),
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    words = sorted(set(words), key=lambda word: (-len(word), word))
    if words:
        between = re.compile("|".join(map(re.escape, words)))
        texts = [part for text in texts for part in between.split(text)]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(w, normalized=False) for w in words])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END,
        # transformers 4 would add token types, which no causal model takes
        model_input_names=["input_ids", "attention_mask"],
    )


def make_llm(
    folder,
    texts,
    vocab_size=1000,
    words=(),
    hidden_size=128,
    layers=2,
    heads=4,
    seed=0,
):
    """Write a Qwen2 of random weights with a tokenizer of its own.

    Arguments
    ---------
    folder : str | Path
        Where it goes; replaced if it exists.
    texts : list[str]
        What the tokenizer is trained on.
    vocab_size : int
        Upper limit of the vocabulary.
    words : sequence of str
        Words that are tokens of their own.
    hidden_size : int
        Width; the MLP is 4 times as wide.
    layers : int
        Number of layers.
    heads : int
        Attention heads.
    seed : int
        Seed of the weights.

    Returns
    -------
    Path
        The folder.
    """
    tokenizer = train_tokenizer(texts, vocab_size, words)
    end = tokenizer.eos_token_id
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=hidden_size,
            intermediate_size=4 * hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=1024,
            # At the default of 0.02 so narrow a model hardly passes anything
            # from one token to another, and learns to recite, not to listen.
            initializer_range=hidden_size**-0.5,
            tie_word_embeddings=True,
            bos_token_id=end,
            eos_token_id=end,
        )
    )
    return _write(folder, model, tokenizer)


def make_whisper(
    folder, width=128, encoder_layers=3, heads=4, mel_bands=80, seed=0
):
    """Write a Whisper of random weights with its feature extractor.

    Arguments
    ---------
    folder : str | Path
        Where it goes; replaced if it exists.
    width : int
        Width of the encoder; its MLP is 4 times as wide.
    encoder_layers : int
        Number of encoder layers.
    heads : int
        Attention heads.
    mel_bands : int
        Mel bands of the input.
    seed : int
        Seed of the weights.

    Returns
    -------
    Path
        The folder.
    """
    torch.manual_seed(seed)
    model = WhisperModel(
        WhisperConfig(
            d_model=width,
            init_std=width**-0.5,  # the default of 0.02 drowns it in positions
            encoder_layers=encoder_layers,
            encoder_attention_heads=heads,
            encoder_ffn_dim=4 * width,
            decoder_layers=1,
            decoder_attention_heads=heads,
            decoder_ffn_dim=width,
            num_mel_bins=mel_bands,
            vocab_size=8,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
    )
    extractor = WhisperFeatureExtractor(feature_size=mel_bands)
    return _write(folder, model, extractor)


def _write(folder, *parts):
    """Save beside the folder, then put it in place."""
    folder = Path(folder)
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    for part in parts:
        part.save_pretrained(beside)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    return folder


def task_texts(rows, languages, seed=0, phrasings=4):
    """Prompts and answers of manifest items, in several phrasings.

    Arguments
    ---------
    rows : dict
        Id → item, of a training manifest.
    languages : list[str]
        Languages of the prompts and label answers.
    seed : int
        Seed of the choice of phrasings.
    phrasings : int
        Phrasings drawn per item.

    Returns
    -------
    list[str]
    """
    rng = Random(seed)
    items = [{**row, "id": key} for key, row in rows.items()]
    build = answers.AnswerBuilder(
        LabelSpace.from_items(items),
        content=all(item.get("transcript") for item in items),
        seed=seed,
    )
    texts = []
    for mode in answers.MODES:
        for moment in range(phrasings):
            texts += build(items, [mode] * len(items), moment)[1]
    for language in languages:
        for mode in answers.MODES:
            # Often enough for the tokenizer to keep their words whole.
            texts += [
                answers.prompt(mode, language, rng=rng) for _ in range(50)
            ]
    return texts


def unspaced_words(manifest):
    """Chinese words of the emotions that a manifest holds.

    Arguments
    ---------
    manifest : str | Path
        Training manifest (JSON).

    Returns
    -------
    list[str]
    """
    space = LabelSpace.from_items(_read(manifest))
    return [space.surface(name, "zh") for name in space.names]


def _read(manifest):
    return json.loads(Path(manifest).read_text(encoding="utf-8"))


def main():
    """Read the command line and write both folders."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifest", help="training manifest (JSON)")
    parser.add_argument("output", help="gets tiny_llm/ and tiny_whisper/")
    parser.add_argument("--languages", nargs="+", default=["en", "zh"])
    parser.add_argument("--vocab-size", type=int, default=1000)
    parser.add_argument("--llm-width", type=int, default=128)
    parser.add_argument("--llm-layers", type=int, default=2)
    parser.add_argument("--whisper-width", type=int, default=128)
    parser.add_argument("--whisper-layers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    items, output = _read(options.manifest), Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    make_llm(
        output / "tiny_llm",
        task_texts(items, options.languages, options.seed),
        vocab_size=options.vocab_size,
        words=unspaced_words(options.manifest),
        hidden_size=options.llm_width,
        layers=options.llm_layers,
        seed=options.seed,
    )
    make_whisper(
        output / "tiny_whisper",
        width=options.whisper_width,
        encoder_layers=options.whisper_layers,
        seed=options.seed,
    )


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
