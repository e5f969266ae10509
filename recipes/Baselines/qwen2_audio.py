#!/usr/bin/env python3
"""Qwen2-Audio, asked for the emotion that the voice expresses.

> python recipes/Baselines/qwen2_audio.py test.json predictions.jsonl \
      --model Qwen2-Audio-7B-Instruct --labels emo_emilia --dtype bfloat16

Through transformers, greedy. Its answers are free text: `c2ser evaluate`
reads them strictly, with synonyms and, with --llm, by a language model.
"""

import torch
from baseline import SAMPLE_RATE, command_line, heard, run
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

from speechbrain_c2ser.lobes.pretrained_files import check_pretrained
from speechbrain_c2ser.training.one_line import errors_in_one_line

QUESTION = (
    "Which one of these emotions does the speaker's voice express: {labels}? "
    "Answer with one word."
)


def asker(source, space, device, dtype, max_new_tokens=20):
    """``items -> predictions`` of a Qwen2-Audio folder."""
    check_pretrained(source)
    processor = AutoProcessor.from_pretrained(source, trust_remote_code=False)
    # Generation needs the texts to end together.
    processor.tokenizer.padding_side = "left"
    model = Qwen2AudioForConditionalGeneration.from_pretrained(
        source, dtype=getattr(torch, dtype)
    )
    model = model.to(device).eval()
    labels = ", ".join(space.surface(name) for name in space)
    content = [
        {"type": "audio", "audio": "in the call below"},
        {"type": "text", "text": QUESTION.format(labels=labels)},
    ]
    question = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=False,
    )

    @torch.no_grad()
    def predict(items):
        inputs = processor(
            text=[question] * len(items),
            audio=[heard(item) for item in items],
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            padding=True,
        ).to(model.device)
        inputs["input_features"] = inputs["input_features"].to(model.dtype)
        ids = model.generate(
            **inputs, max_new_tokens=max_new_tokens, do_sample=False
        )
        new = ids[:, inputs["input_ids"].shape[1] :]
        texts = processor.batch_decode(new, skip_special_tokens=True)
        return [{"text": text.strip()} for text in texts]

    return predict


def main(argv=None):
    """Ask, write, score."""
    parser = command_line(__doc__)
    parser.add_argument("--model", required=True, help="folder or hub id")
    options = parser.parse_args(argv)
    return run(
        options,
        lambda space: asker(
            options.model, space, options.device, options.dtype
        ),
    )


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
