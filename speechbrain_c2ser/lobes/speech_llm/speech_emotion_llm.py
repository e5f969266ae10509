"""C2SER's whole model: perception, then a language model that answers.

The language model reads ``[prompt] [speech-BOS] [speech] [speech-EOS]`` and
continues with the answer and an end token (C2SER paper, section 3).
"""

from dataclasses import dataclass

import torch

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.speech_llm.label_scoring import (
    common_length,
    label_candidates,
    label_probabilities,
)
from speechbrain_c2ser.lobes.speech_llm.merging import (
    Merged,
    Speech,
    merge,
    without_first,
)
from speechbrain_c2ser.lobes.speech_llm.prompt_memory import Past


@dataclass(frozen=True)
class Written:
    """Answers in free text, and what the language model has read for them.

    Arguments
    ---------
    texts : list[str]
        B answers.
    past : Past | None
        Question, speech and answers as far as they were read; None where
        the model keeps no positions.
    ids : list[list[int]]
        B times the tokens of the answer that were read.
    cut : list[bool]
        Whether the length limit ended an answer, and not its end token.
    """

    texts: list[str]
    past: Past | None
    ids: list[list[int]]
    cut: list[bool]


@remember_arguments
class SpeechEmotionLLM(torch.nn.Module):
    """Speech in, words about its emotion out.

    Arguments
    ---------
    perception : torch.nn.Module
        ``(wavs, wav_lens, utterance_vectors) -> (embeddings, lengths)`` in
        the language model's width.
    language_model : speechbrain_c2ser.lobes.LanguageModel
        Writes and weighs the answers.
    lower_case : bool
        Whether answers are lower-cased, as for the published checkpoint.
    end_token_id : int | None
        Token that ends an answer; None = the tokenizer's end of sentence
        (the published checkpoint's is 151643).
    """

    def __init__(
        self, perception, language_model, lower_case=False, end_token_id=None
    ):
        super().__init__()
        if end_token_id is None:
            end_token_id = language_model.tokenizer.eos_token_id
        if end_token_id is None:
            raise ValueError(
                f"The tokenizer of {language_model.source} names no end of "
                "sentence token: set end_token_id."
            )
        width = language_model.hidden_size
        size = getattr(perception, "output_size", width)
        if size != width:
            raise ValueError(
                f"The connector gives {size} values per position, the "
                f"language model embeds in {width}: set the connector's "
                f"output_size to {width}."
            )
        self.perception = perception
        self.language_model = language_model
        self.lower_case = lower_case
        self.end_token_id = end_token_id
        # Rows: speech-BOS, speech-EOS; at the scale of word embeddings.
        self.speech_boundaries = torch.nn.Embedding(2, width)
        torch.nn.init.normal_(self.speech_boundaries.weight, std=0.02)

    def forward(self, wavs, wav_lens, prompts, answers, utterance_vectors=None):
        """:meth:`loss` of what :meth:`listen` gives: what DDP wraps.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] lengths relative to the longest.
        prompts : list[str] | list[list[int]]
            B questions, as text or as token ids.
        answers : list[str] | list[list[int]]
            B answers; the end token is added to text, not to token ids.
        utterance_vectors : torch.Tensor | None
            Cached outputs of the acoustic encoder, which is then not run.

        Returns
        -------
        speechbrain_c2ser.lobes.speech_llm.language_model.AnswerOutput
            With ``speech``, for terms beside the loss.
        """
        speech = self.listen(wavs, wav_lens, utterance_vectors)
        output = self.loss(speech, prompts, answers)
        output.speech = speech
        return output

    def listen(self, wavs, wav_lens=None, utterance_vectors=None) -> Speech:
        """Encode waveforms, once for all that is asked about them.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] lengths relative to the longest.
        utterance_vectors : torch.Tensor | None
            Cached outputs of the acoustic encoder, which is then not run.

        Returns
        -------
        speechbrain_c2ser.lobes.speech_llm.merging.Speech
            For :meth:`loss`, :meth:`generate` and :meth:`score_labels`.
        """
        return Speech(
            *self.perception(
                wavs, wav_lens, utterance_vectors=utterance_vectors
            )
        )

    def loss(self, speech, prompts, answers):
        """Cross-entropy of the answers, given speech and prompts.

        Arguments
        ---------
        speech : speechbrain_c2ser.lobes.speech_llm.merging.Speech
            Of :meth:`listen`.
        prompts : list[str] | list[list[int]]
            B questions, as text or as token ids.
        answers : list[str] | list[list[int]]
            B answers; the end token is added to text, not to token ids.

        Returns
        -------
        speechbrain_c2ser.lobes.speech_llm.language_model.AnswerOutput
        """
        ids = [self.answer_ids(answer) for answer in answers]
        return self.language_model(self.merge(speech, prompts, ids))

    def answer_ids(self, answer, end=True) -> list[int]:
        """Token ids of an answer as the model is trained to write it.

        Arguments
        ---------
        answer : str | list[int]
            Text, or token ids, which are returned as they are.
        end : bool
            Whether the end token is added to a text.

        Returns
        -------
        list[int]
        """
        if not isinstance(answer, str):
            return list(answer)
        answer = answer.lower() if self.lower_case else answer
        ids = self.language_model.tokenize(answer)
        return [*ids, *[self.end_token_id] * end]

    def merge(
        self,
        speech,
        prompts,
        answer_ids=None,
        labels=None,
        padding_side="right",
    ) -> Merged:
        """The language model's input for a batch.

        Arguments
        ---------
        speech : speechbrain_c2ser.lobes.speech_llm.merging.Speech
            Of :meth:`listen`.
        prompts : list[str] | list[list[int]]
            B questions, as text or as token ids.
        answer_ids : list[list[int]] | None
            Token ids behind the speech.
        labels : list[list[int]] | None
            The same with -100 where an id does not count; None = all count.
        padding_side : str
            "right" or "left".

        Returns
        -------
        speechbrain_c2ser.lobes.speech_llm.merging.Merged
        """
        lm = self.language_model
        texts = {p: lm.tokenize(p) for p in set(filter(_is_text, prompts))}
        prompts = [texts[p] if _is_text(p) else list(p) for p in prompts]
        words = lm.embed([*prompts, *(answer_ids or [])])
        # Precision of the words: an autocast must not widen or narrow it.
        dtype = words[0].dtype
        return merge(
            words[: len(prompts)],
            Speech(speech.embeddings.to(dtype), speech.lengths),
            self.speech_boundaries.weight.to(dtype),
            None if answer_ids is None else words[len(prompts) :],
            answer_ids if labels is None else labels,
            padding_side=padding_side,
        )

    @torch.no_grad()
    def generate(
        self,
        speech,
        prompts,
        max_new_tokens=400,
        num_beams=1,
        repetition_penalty=1.0,
    ) -> list[str]:
        """Answer in free text; greedy unless told otherwise.

        Arguments
        ---------
        speech : speechbrain_c2ser.lobes.speech_llm.merging.Speech
            Of :meth:`listen`.
        prompts : list[str] | list[list[int]]
            B questions.
        max_new_tokens : int
            Length limit.
        num_beams : int
            1 = greedy; published: 4.
        repetition_penalty : float
            Published: 1.05.

        Returns
        -------
        list[str]
            B answers.
        """
        return self.write(
            speech, prompts, max_new_tokens, num_beams, repetition_penalty
        ).texts

    @torch.no_grad()
    def write(
        self,
        speech,
        prompts,
        max_new_tokens=400,
        num_beams=1,
        repetition_penalty=1.0,
    ) -> Written:
        """As :meth:`generate`, for labels that are then scored behind it.

        Arguments
        ---------
        speech, prompts, max_new_tokens, num_beams, repetition_penalty
            As in :meth:`generate`.

        Returns
        -------
        Written
            For :meth:`score_labels` of the same speech and prompts.
        """
        question, prompts = self._common_question(prompts)
        ids, past = self.language_model.generate(
            self.merge(speech, prompts, padding_side="left"),
            self.end_token_id,
            prompt=question,
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            repetition_penalty=repetition_penalty,
        )
        texts = self.language_model.tokenizer.batch_decode(
            self._before_end(ids), skip_special_tokens=True
        )
        # An answer's last token was not read, and none that a beam wrote.
        read = ids[:, : 0 if num_beams > 1 else -1].tolist()
        cut = [self.end_token_id not in row for row in ids.tolist()]
        return Written([text.strip() for text in texts], past, read, cut)

    def _before_end(self, ids):
        rows = ids.tolist()
        end = self.end_token_id
        return [r[: r.index(end)] if end in r else r for r in rows]

    @torch.no_grad()
    def score_labels(
        self,
        speech,
        prompts,
        label_answers,
        answer_prefixes=None,
        per_token=False,
        temperature=1.0,
        prior=None,
        written=None,
    ) -> torch.Tensor:
        """Probability of each label of a closed set.

        A label's score is the log of its answers' summed probabilities, each
        that of the whole answer with its end token; a softmax over the labels
        follows.

        Arguments
        ---------
        speech : speechbrain_c2ser.lobes.speech_llm.merging.Speech
            Of :meth:`listen`.
        prompts : list[str] | list[list[int]]
            B questions.
        label_answers : dict | list[dict]
            Label -> list of answers that name it; or one dict per utterance,
            with the same labels in the same order.
        answer_prefixes : list[str] | None
            Text already answered per utterance, which the answers continue;
            its tokens do not count.
        per_token, temperature, prior
            As in :func:`.label_scoring.label_probabilities`.
        written : Written | None
            What :meth:`write` gave for this speech and these prompts: what
            was read for it is not read again.

        Returns
        -------
        torch.Tensor
            [B, L] in float32; rows sum to 1, labels in the dict's order.
        """
        batch = len(prompts)
        if isinstance(label_answers, dict):
            label_answers = [label_answers] * batch
        prefixes = answer_prefixes or [""] * batch
        known = {}
        for answers, prefix in zip(label_answers, prefixes, strict=True):
            key = (id(answers), prefix)
            if key not in known:
                known[key] = self._candidates(answers, prefix)
        candidates = [
            known[id(answers), prefix]
            for answers, prefix in zip(label_answers, prefixes, strict=True)
        ]
        question, past = None, None if written is None else written.past
        if past is None:
            question, prompts = self._common_question(prompts)
        merged = self.merge(
            speech,
            prompts,
            [each.shared for each in candidates],
            [each.shared_labels for each in candidates],
        )
        if past is not None:
            counts = _read_before(merged, candidates, written.ids)
            merged, past = without_first(merged, counts), past.first(counts)
        log_probabilities = self.language_model.score(
            merged, [each.endings for each in candidates], question, past
        )
        return label_probabilities(
            log_probabilities, candidates, per_token, temperature, prior
        )

    def rows_behind(self, output, answers, prefixes):
        """Where each item's answer continues a prefix of it.

        For distillation: the rows of ``output.logits`` and ``output.hidden``
        at which the first token behind the prefix (the emotion) is
        predicted.

        Arguments
        ---------
        output : speechbrain_c2ser.lobes.speech_llm.language_model.AnswerOutput
            What :meth:`forward` gave for the answers.
        answers : list[str]
            The B answers.
        prefixes : list[str]
            A text that each of them starts with.

        Returns
        -------
        torch.Tensor
            [B] row indices.
        """
        starts = output.num_tokens.cumsum(0) - output.num_tokens
        lengths = [
            common_length(
                self.answer_ids(prefix, end=False), self.answer_ids(answer)
            )
            for answer, prefix in zip(answers, prefixes, strict=True)
        ]
        return starts + starts.new_tensor(lengths)

    def _common_question(self, prompts):
        """Token ids of what all are asked, which is read once; what is asked
        of each behind it."""
        lm, batch = self.language_model, len(prompts)
        same = batch > 1 and _is_text(prompts[0]) and len(set(prompts)) == 1
        if same and lm.keeps_positions:
            return lm.tokenize(prompts[0]), [""] * batch
        return None, prompts

    def _candidates(self, label_answers, prefix):
        """Label -> texts behind a prefix as token ids.

        Exact: texts are tokenised whole and compared as token ids.
        """
        ids = {
            label: [self.answer_ids(prefix + text) for text in texts]
            for label, texts in label_answers.items()
        }
        return label_candidates(ids, self.answer_ids(prefix, end=False))


def _is_text(prompt):
    return isinstance(prompt, str)


def _read_before(merged, candidates, written):
    """[B] positions of each sequence that need not be read behind an answer.

    All that question, speech and answer have in common with the sequence,
    up to the first state that predicts a token: that is computed again.
    """
    counts = []
    for length, item, ids in zip(
        merged.lengths, candidates, written, strict=True
    ):
        asked = length - len(item.shared)
        told = min(common_length(ids, item.shared), item.told - 1)
        if not ids:  # nor was the last position before the answer read
            told = -1
        counts.append(asked + told)
    return counts
