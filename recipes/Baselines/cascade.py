#!/usr/bin/env python3
"""Whisper writes what is said, a text LLM guesses the emotion from it.

> python recipes/Baselines/cascade.py test.json predictions.jsonl \
      --whisper WHISPER --llm LLM --labels emo_emilia

Nothing of the voice but its words reaches the language model. It answers in
free text (`text`), and weighs the closed set of labels (`probabilities`).
Without --whisper the manifest's own transcripts are read: what perfect speech
recognition would give.
"""

import torch
from baseline import SAMPLE_RATE, command_line, heard, run
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

from speechbrain_c2ser.inference.text_llm import TextLLM
from speechbrain_c2ser.lobes.pretrained_files import check_pretrained
from speechbrain_c2ser.training.one_line import errors_in_one_line

QUESTION = (
    'Someone says: "{transcript}"\nWhich one of these emotions does the '
    "speaker most likely feel: {labels}? Answer with one word."
)


def transcriber(source, device, dtype):
    """``items -> transcripts`` of a Hugging Face Whisper folder."""
    check_pretrained(source)
    processor = AutoProcessor.from_pretrained(source, trust_remote_code=False)
    model = AutoModelForSpeechSeq2Seq.from_pretrained(
        source, dtype=getattr(torch, dtype), trust_remote_code=False
    )
    model = model.to(device).eval()

    @torch.no_grad()
    def transcribe(items):
        inputs = processor(
            [heard(item) for item in items],
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            return_attention_mask=True,
        )
        ids = model.generate(
            inputs["input_features"].to(model.device, model.dtype),
            attention_mask=inputs["attention_mask"].to(model.device),
        )
        texts = processor.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    return transcribe


def read_transcripts(items):
    """The manifest's own transcripts."""
    without = [item["wav"] for item in items if not item.get("transcript")]
    if without:
        raise ValueError(
            f"{without[0]} has no transcript: give --whisper, to write one."
        )
    return [item["transcript"] for item in items]


def cascade(transcribe, llm, space, max_new_tokens=20):
    """``items -> predictions`` of a transcriber and a text LLM."""
    answers = {name: [space.surface(name)] for name in space}
    labels = ", ".join(space.surface(name) for name in space)

    def predict(items):
        transcripts = transcribe(items)
        questions = [
            QUESTION.format(transcript=transcript, labels=labels)
            for transcript in transcripts
        ]
        texts = llm.generate(questions, max_new_tokens)
        scores = llm.score(questions, answers)
        return [
            {
                "text": text,
                "probabilities": probabilities,
                "transcript_asr": transcript,
            }
            for text, probabilities, transcript in zip(
                texts, scores, transcripts, strict=True
            )
        ]

    return predict


def main(argv=None):
    """Transcribe, ask, write, score."""
    parser = command_line(__doc__)
    parser.add_argument("--whisper", help="folder of a Hugging Face Whisper")
    parser.add_argument("--llm", required=True, help="Hugging Face folder")
    options = parser.parse_args(argv)

    def build(space):
        transcribe = read_transcripts
        if options.whisper:
            transcribe = transcriber(
                options.whisper, options.device, options.dtype
            )
        llm = TextLLM(
            options.llm,
            options.device,
            options.dtype,
            options.batch_size,
            progress=False,
        )
        return cascade(transcribe, llm, space)

    return run(options, build)


if __name__ == "__main__":
    with errors_in_one_line(__file__):
        main()
