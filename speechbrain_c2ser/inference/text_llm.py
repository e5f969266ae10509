"""A local language model that reads and writes text, without listening."""

import torch
from tqdm import tqdm

from speechbrain_c2ser.lobes.speech_llm.label_scoring import (
    label_candidates,
    label_probabilities,
)
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.merging import IGNORED, pad_merged


class TextLLM:
    """Any Hugging Face causal LM: writes answers, weighs closed sets of them.

    A tokenizer with a chat template gets its questions through it.

    Arguments
    ---------
    source : str or Path
        Folder (or hub id) of the model with its tokenizer.
    device : str | None
        "cpu", "cuda" ...; None takes a GPU where there is one.
    dtype : str
        Type of the weights: "float32", "bfloat16" or "float16".
    batch_size : int
        Questions that are run together.
    progress : bool
        Whether to show progress bars.

    Raises
    ------
    ValueError
        If the folder holds no tokenizer.
    """

    def __init__(
        self,
        source,
        device=None,
        dtype="float32",
        batch_size=8,
        progress=True,
    ):
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = LanguageModel(str(source), dtype=dtype).to(device).eval()
        self.batch_size = batch_size
        self.progress = progress
        self.end_token_id = self.model.tokenizer.eos_token_id
        if self.end_token_id is None:
            raise ValueError(
                f"The tokenizer of {source} names no end of sentence token."
            )

    def generate(self, questions, max_new_tokens=100):
        """Answers in free text, greedily.

        Arguments
        ---------
        questions : list of str
        max_new_tokens : int
            Length limit of an answer.

        Returns
        -------
        list of str
        """
        answers = []
        for batch in self._batches(questions, "answers"):
            ids, _ = self.model.generate(
                self._read(batch, "left"),
                self.end_token_id,
                max_new_tokens=max_new_tokens,
            )
            end = self.end_token_id
            ids = [r[: r.index(end)] if end in r else r for r in ids.tolist()]
            texts = self.model.tokenizer.batch_decode(
                ids, skip_special_tokens=True
            )
            answers += [text.strip() for text in texts]
        return answers

    @torch.no_grad()
    def score(self, questions, label_answers):
        """Probability of each label of a closed set as the answer.

        A label's score is the log of its answers' summed probabilities, each
        that of the whole answer with its end token; a softmax follows.

        Arguments
        ---------
        questions : list of str
        label_answers : dict
            Label -> list of answers that name it.

        Returns
        -------
        list of dict
            Label -> probability, for each question.
        """
        candidates = label_candidates(
            {
                label: [
                    [*self.model.tokenize(text), self.end_token_id]
                    for text in texts
                ]
                for label, texts in label_answers.items()
            }
        )
        rows = []
        for batch in self._batches(questions, "scores"):
            scores = self.model.score(
                self._read(batch, "right", candidates.shared),
                [candidates.endings] * len(batch),
            )
            probabilities = label_probabilities(
                scores, [candidates] * len(batch)
            )
            rows += [
                dict(zip(label_answers, row, strict=True))
                for row in probabilities.tolist()
            ]
        return rows

    def _batches(self, questions, words):
        starts = range(0, len(questions), self.batch_size)
        for start in tqdm(starts, words, disable=not self.progress):
            yield questions[start : start + self.batch_size]

    def _read(self, questions, padding_side, answer=()):
        """The model's input for questions and what each answer begins with."""
        model = self.model
        ids = [model.tokenize(self._framed(text)) for text in questions]
        if not all(ids):
            raise ValueError("A question is empty.")
        labels = [
            torch.tensor([*[IGNORED] * len(each), *answer]) for each in ids
        ]
        embeddings = model.embed([[*each, *answer] for each in ids])
        return pad_merged(embeddings, labels, padding_side)

    def _framed(self, question):
        tokenizer = self.model.tokenizer
        if not tokenizer.chat_template:
            return f"{question}\n"
        return tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            tokenize=False,
            add_generation_prompt=True,
        )


JUDGE = (
    "This was said about how a speaker sounds:\n{text}\n"
    "Which one of these emotions is meant: {labels}? Answer with one word."
)


def label_judge(llm, space):
    """A reader of free text: which label of the set does it mean?

    Arguments
    ---------
    llm : TextLLM
        Weighs the labels.
    space : LabelSpace
        The closed set; one of it is always chosen.

    Returns
    -------
    callable
        ``texts -> labels``, for
        :func:`speechbrain_c2ser.evaluation.scoring.evaluate`.
    """
    labels = ", ".join(space.surface(name) for name in space)
    answers = {name: [space.surface(name)] for name in space}

    def judge(texts):
        questions = [JUDGE.format(text=text, labels=labels) for text in texts]
        rows = llm.score(questions, answers)
        return [max(row, key=row.get) for row in rows]

    return judge
