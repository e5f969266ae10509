"""C2SER's whole model: perception, then a language model that answers.

The language model reads ``[prompt] [speech-BOS] [speech] [speech-EOS]`` and
continues with the answer and an end token (C2SER paper, section 3).
"""

import torch

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.speech_llm.merging import IGNORED, merge


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
        """Loss of the answers, given speech and prompts.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] lengths relative to the longest.
        prompts : list[str] | list[torch.Tensor]
            B questions, as text or as token ids.
        answers : list[str] | list[torch.Tensor]
            B answers; the end token is added to text, not to token ids.
        utterance_vectors : torch.Tensor | None
            Cached outputs of the acoustic encoder, which is then not run.

        Returns
        -------
        speechbrain_c2ser.lobes.speech_llm.language_model.AnswerOutput
        """
        ids = [self.answer_ids(answer) for answer in answers]
        merged = self.merge(
            wavs, wav_lens, prompts, ids, utterance_vectors=utterance_vectors
        )
        return self.language_model(merged)

    def answer_ids(self, answer, end=True):
        """Token ids of an answer as the model is trained to write it.

        Arguments
        ---------
        answer : str | torch.Tensor
            Text, or token ids, which are returned as they are.
        end : bool
            Whether the end token is added to a text.

        Returns
        -------
        torch.Tensor
            [N] token ids.
        """
        if isinstance(answer, torch.Tensor):
            return answer.to(self.language_model.device)
        answer = answer.lower() if self.lower_case else answer
        ids = self.language_model.tokenize(answer)
        return torch.cat((ids, ids.new_tensor([self.end_token_id] * end)))

    def merge(
        self,
        wavs,
        wav_lens,
        prompts,
        answer_ids=None,
        labels=None,
        padding_side="right",
        utterance_vectors=None,
    ):
        """The language model's input for a batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] lengths relative to the longest.
        prompts : list[str] | list[torch.Tensor]
            B questions, as text or as token ids.
        answer_ids : list[torch.Tensor] | None
            Token ids behind the speech.
        labels : list[torch.Tensor] | None
            The same with -100 where an id does not count; None = all count.
        padding_side : str
            "right" or "left".
        utterance_vectors : torch.Tensor | None
            Cached outputs of the acoustic encoder.

        Returns
        -------
        speechbrain_c2ser.lobes.speech_llm.merging.Merged
        """
        lm = self.language_model
        speech, lengths = self.perception(
            wavs, wav_lens, utterance_vectors=utterance_vectors
        )
        embedded = {}
        for prompt in prompts:
            if isinstance(prompt, str) and prompt not in embedded:
                embedded[prompt] = lm.embed(lm.tokenize(prompt))
        prompts = [
            embedded[p] if isinstance(p, str) else lm.embed(p.to(lm.device))
            for p in prompts
        ]
        answers = None
        if answer_ids is not None:
            answers = [lm.embed(ids) for ids in answer_ids]
        # Precision of the words: an autocast must not widen or narrow it.
        dtype = lm.embed(lengths.new_zeros(1)).dtype
        return merge(
            prompts,
            speech.to(dtype),
            lengths,
            self.speech_boundaries.weight.to(dtype),
            answers,
            labels if labels is not None else answer_ids,
            padding_side=padding_side,
        )

    @torch.no_grad()
    def generate(
        self,
        wavs,
        wav_lens,
        prompts,
        max_new_tokens=400,
        num_beams=1,
        repetition_penalty=1.0,
        utterance_vectors=None,
    ):
        """Answer in free text; greedy unless told otherwise.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] lengths relative to the longest.
        prompts : list[str] | list[torch.Tensor]
            B questions.
        max_new_tokens : int
            Length limit.
        num_beams : int
            1 = greedy; published: 4.
        repetition_penalty : float
            Published: 1.05.
        utterance_vectors : torch.Tensor | None
            Cached outputs of the acoustic encoder.

        Returns
        -------
        list[str]
            B answers.
        """
        merged = self.merge(
            wavs,
            wav_lens,
            prompts,
            padding_side="left",
            utterance_vectors=utterance_vectors,
        )
        ids = self.language_model.generate(
            merged,
            self.end_token_id,
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            repetition_penalty=repetition_penalty,
        )
        texts = self.language_model.tokenizer.batch_decode(
            self._before_end(ids), skip_special_tokens=True
        )
        return [text.strip() for text in texts]

    def _before_end(self, ids):
        rows = ids.tolist()
        end = self.end_token_id
        return [r[: r.index(end)] if end in r else r for r in rows]

    @torch.no_grad()
    def score_labels(
        self,
        wavs,
        wav_lens,
        prompts,
        label_answers,
        answer_prefixes=None,
        utterance_vectors=None,
        length_normalised=True,
        temperature=1.0,
        prior=None,
    ):
        """Probability of each label of a closed set.

        A label's score is the log-probability of its whole answer, end token
        included, per token; a label with several answers gets their sum (of
        probabilities); a softmax over the labels follows.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] lengths relative to the longest.
        prompts : list[str] | list[torch.Tensor]
            B questions.
        label_answers : dict | list[dict]
            Label -> list of answers that name it; or one dict per utterance,
            with the same labels in the same order.
        answer_prefixes : list[str] | None
            Text already answered per utterance, which the answers continue;
            its tokens do not count.
        utterance_vectors : torch.Tensor | None
            Cached outputs of the acoustic encoder.
        length_normalised : bool
            False sums log-probabilities instead of averaging over tokens.
        temperature : float
            Divides the scores before the softmax.
        prior : torch.Tensor | None
            [L] the labels' probabilities without listening, divided out.

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
        candidates = []
        for answers, prefix in zip(label_answers, prefixes, strict=True):
            key = (id(answers), prefix)
            if key not in known:
                known[key] = self._candidates(answers, prefix)
            candidates.append(known[key])
        # A question that all are asked is read once.
        prompt = None
        if batch > 1 and len(set(prompts)) == 1 and isinstance(prompts[0], str):
            prompt = self.language_model.tokenize(prompts[0])
        merged = self.merge(
            wavs,
            wav_lens,
            prompts if prompt is None else [""] * batch,
            [c["shared"] for c in candidates],
            [c["labels"] for c in candidates],
            utterance_vectors=utterance_vectors,
        )
        # Items may differ in the number of answers: fill up, then ignore.
        most = max(len(c["endings"]) for c in candidates)
        endings = [
            c["endings"] + [c["endings"][0]] * (most - len(c["endings"]))
            for c in candidates
        ]
        log_probabilities = self.language_model.score(merged, endings, prompt)

        scores = []
        for row, candidate in zip(log_probabilities, candidates, strict=True):
            row = row[: len(candidate["endings"])]
            if length_normalised:
                row = row / row.new_tensor(candidate["counts"])
            forms = row.split(candidate["forms"])
            scores.append(torch.stack([f.logsumexp(0) for f in forms]))
        scores = torch.stack(scores)
        if prior is not None:
            scores = scores - torch.as_tensor(prior).to(scores).log()
        return (scores / temperature).softmax(-1)

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
            _common_length(
                self.answer_ids(prefix, end=False).tolist(),
                self.answer_ids(answer).tolist(),
            )
            for answer, prefix in zip(answers, prefixes, strict=True)
        ]
        return starts + starts.new_tensor(lengths)

    def _candidates(self, label_answers, prefix):
        """Split one item's label answers into what they share and the rest.

        Exact: texts are tokenised whole and compared as token ids.
        """
        known = self.answer_ids(prefix, end=False).tolist()
        answers, forms = [], []
        for label, texts in label_answers.items():
            if not texts:
                raise ValueError(f"Label {label!r} has no answer to score.")
            forms.append(len(texts))
            answers += [self.answer_ids(prefix + t).tolist() for t in texts]
        # At least one token is left to each answer.
        limit = min(map(len, answers)) - 1
        shared = 0
        while shared < limit and len({a[shared] for a in answers}) == 1:
            shared += 1
        told = min(_common_length(known, answers[0]), shared)
        device = self.language_model.device
        ids = torch.tensor(answers[0][:shared], device=device).long()
        labels = ids.clone()
        labels[:told] = IGNORED
        return {
            "shared": ids,
            "labels": labels,
            "endings": [a[shared:] for a in answers],
            "counts": [len(a) - told for a in answers],
            "forms": forms,
        }


def _common_length(prefix, ids):
    """Number of tokens that a text and a prefix of it begin with.

    The prefix's last token may merge with what follows: it is not common.
    """
    length = 0
    for ours, theirs in zip(prefix, ids, strict=False):
        if ours != theirs:
            break
        length += 1
    return length
