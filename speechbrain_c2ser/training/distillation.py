"""A distillation term beside the cross-entropy of the answers.

C2SER's self-distillation is a curriculum of answers and has no such term;
this is what it is compared with. The teacher is the model itself, having
written the explicit answer up to the emotion; the student names the emotion
at once. Both are read where the first token of the emotion is predicted.
"""

from collections.abc import Callable

import torch

from speechbrain_c2ser.chain_of_thought.answers import split_before_emotion
from speechbrain_c2ser.host import on_both

STATES = ("logits", "hidden")


class EmotionDistillation:
    """Draws what an implicit answer is made from to what an explicit one is.

    A term of a C2SER stage (``terms`` in its yaml). It reads the implicit
    answers of a batch: in stage 1, which has none, it is 0.

    Arguments
    ---------
    answers : speechbrain_c2ser.chain_of_thought.answers.AnswerBuilder
        Writes the explicit answers that the teacher continues.
    states : str
        "logits" [V] of the vocabulary, or "hidden" [D], the last layer's.
    loss : callable
        ``(student [N, ...], teacher [N, ...]) → scalar``, such as
        :func:`speechbrain_c2ser.losses.distillation_loss` (KL divergence) or
        :func:`speechbrain_c2ser.losses.hidden_state_loss`.
    weight : float
        Of the term beside the cross-entropy.

    Raises
    ------
    ValueError
        For other states, or answers with side questions, which name no
        emotion.

    Example
    -------
    >>> from speechbrain_c2ser.losses import hidden_state_loss
    >>> EmotionDistillation(None, "hidden", hidden_state_loss, 0.5).weight
    0.5
    """

    def __init__(
        self, answers, states: str, loss: Callable, weight: float = 1.0
    ):
        if states not in STATES:
            raise ValueError(f"states is one of {STATES}, not {states!r}.")
        if getattr(answers, "side_questions", ()):
            raise ValueError(
                "A distillation term reads the emotion of every answer: take "
                "the side questions out, or the term."
            )
        self.answers = answers
        self.states = states
        self.loss = loss
        self.weight = weight

    def __call__(self, model, output, batch):
        """The term of a batch, without its weight.

        Arguments
        ---------
        model : speechbrain_c2ser.lobes.SpeechEmotionLLM
            Gives the teacher, in eval mode and without gradient. Not wrapped
            by DDP: the teacher's pass is no part of the backward one.
        output : speechbrain_c2ser.lobes.speech_llm.language_model.AnswerOutput
            Of the batch as it was asked.
        batch : speechbrain.dataio.batch.PaddedBatch
            With ``signals`` (waveforms [B, T] and relative lengths, where the
            model is), ``item``, ``modes``, ``answers``, ``moment`` and
            ``vectors`` (cached outputs [B, N, C] of the acoustic encoder, or
            None).

        Returns
        -------
        torch.Tensor
            Scalar, mean over the implicit items; 0 where there are none.
        """
        implicit = [i for i, m in enumerate(batch.modes) if m == "implicit"]
        if not implicit:
            return output.loss.new_zeros(())
        teacher = self._teach(model, batch, implicit)
        student = self._at_emotion(model, output, batch.answers)[implicit]
        return self.loss(student, teacher)

    @torch.no_grad()
    def _teach(self, model, batch, chosen):
        """The teacher's states [N, ...] for the chosen N items of a batch."""
        items = [batch.item[i] for i in chosen]
        prompts, answers = self.answers(
            items, ["explicit"] * len(items), batch.moment
        )
        wavs, wav_lens = batch.signals
        wav_lens = on_both(lambda lengths: lengths[chosen], wav_lens)
        vectors = None if batch.vectors is None else batch.vectors[chosen]
        training = model.training
        model.eval()
        speech = model.listen(wavs[chosen], wav_lens, vectors)
        output = model.loss(speech, prompts, answers)
        model.train(training)
        return self._at_emotion(model, output, answers)

    def _at_emotion(self, model, output, answers):
        """States [B, ...] that predict the emotion's first token."""
        prefixes = [split_before_emotion(answer) for answer in answers]
        rows = model.rows_behind(output, answers, prefixes)
        return getattr(output, self.states)[rows]
