#!/usr/bin/env python3
"""Have a local language model rephrase the explicit answers of a manifest.

> python recipes/C2SER/rephrase_answers.py STYLE/train.json OUT/train.json \
      --llm FOLDER

The model is told each utterance's true emotion. A text that does not read back
to it, with the same words quoted, is refused: the templates stay, and what was
refused is counted. Writes `explicit_answer`, which the training uses in place
of the templates. An interrupted run leaves nothing.
"""

import argparse

from tqdm import tqdm

from speechbrain_c2ser.chain_of_thought.rephrasing import Rephraser
from speechbrain_c2ser.data.manifest import (
    check_manifest,
    read_manifest,
    write_manifest,
)
from speechbrain_c2ser.inference.text_llm import TextLLM
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.training.one_line import errors_in_one_line


def rephrase_manifest(items, llm, content, max_new_tokens, batch_size):
    """Set the explicit answer of every item where one was kept.

    Arguments
    ---------
    items : dict
        Manifest; the answers that were rephrased go into it.
    llm : TextLLM
        Writes them.
    content : bool
        Whether answers quote the transcript.
    max_new_tokens : int
        Length limit of a text.
    batch_size : int
        Answers that are rephrased together.

    Returns
    -------
    collections.Counter
        What was kept, and why the others were refused.
    """
    rephrase = Rephraser(
        lambda questions: llm.generate(questions, max_new_tokens),
        LabelSpace.from_items(items),
        content,
    )
    keys = list(items)
    for start in tqdm(range(0, len(keys), batch_size), "rephrasing"):
        batch = keys[start : start + batch_size]
        rows = [{**items[key], "id": key} for key in batch]
        for key, answer in zip(batch, rephrase(rows), strict=True):
            items[key].pop("explicit_answer", None)
            if answer is not None:
                items[key]["explicit_answer"] = answer
    return rephrase.counts


def main(argv=None):
    """Read the command line, rephrase, write, and say what was refused."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifest", help="with emotion, style, transcript")
    parser.add_argument("output", help="the manifest that is written")
    parser.add_argument("--llm", required=True, help="Hugging Face folder")
    parser.add_argument("--without-content", action="store_true")
    parser.add_argument("--max-new-tokens", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args(argv)
    items = read_manifest(options.manifest)
    check_manifest(items, ("emotion", "style"), check_audio=False)
    llm = TextLLM(
        options.llm,
        options.device,
        options.dtype,
        options.batch_size,
        progress=False,
    )
    counts = rephrase_manifest(
        items,
        llm,
        not options.without_content,
        options.max_new_tokens,
        options.batch_size,
    )
    write_manifest(items, options.output)
    refused = {k: n for k, n in counts.items() if k != "kept"}
    print(
        f"{counts['kept']} of {len(items)} answers rephrased, "
        f"{sum(refused.values())} refused (the templates stay)"
        + "".join(f"; {name}: {n}" for name, n in sorted(refused.items()))
    )


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
