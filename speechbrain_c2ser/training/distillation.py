"""A distillation term beside the implicit stage's cross-entropy.

C2SER's self-distillation is a curriculum of answers and has no such term;
this is what it is compared with. The teacher is the model itself, having
written the explicit answer up to the emotion; the student names the emotion
at once. Both are read where the first token of the emotion is predicted.
"""

import torch

from speechbrain_c2ser.chain_of_thought.answers import split_before_emotion

STATES = ("logits", "hidden")


class EmotionDistillation:
    """Draws what an implicit answer is made from to what an explicit one is.

    Arguments
    ---------
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
        For other states.

    Example
    -------
    >>> from speechbrain_c2ser.losses import hidden_state_loss
    >>> EmotionDistillation("hidden", hidden_state_loss, weight=0.5).weight
    0.5
    """

    def __init__(self, states, loss, weight=1.0):
        if states not in STATES:
            raise ValueError(f"states is one of {STATES}, not {states!r}.")
        self.states = states
        self.loss = loss
        self.weight = weight

    def __call__(self, model, output, batch, explicit, utterance_vectors=None):
        """The weighted term of a batch.

        Arguments
        ---------
        model : speechbrain_c2ser.lobes.SpeechEmotionLLM
            Gives the teacher, in eval mode and without gradient. Not wrapped
            by DDP: the teacher's pass is no part of the backward one.
        output : speechbrain_c2ser.lobes.speech_llm.language_model.AnswerOutput
            Of the batch as it was asked.
        batch : speechbrain.dataio.batch.PaddedBatch
            With ``sig``, ``modes`` and ``answers``.
        explicit : tuple of list of str
            Explicit prompts and answers of the batch's items.
        utterance_vectors : torch.Tensor or None
            Cached outputs [B, N, C] of the acoustic encoder.

        Returns
        -------
        torch.Tensor
            Scalar, mean over the implicit items; 0 where there are none.
        """
        implicit = [i for i, m in enumerate(batch.modes) if m == "implicit"]
        if not implicit:
            return output.loss.new_zeros(())
        wavs, wav_lens = batch.sig
        if utterance_vectors is not None:
            utterance_vectors = utterance_vectors[implicit]
        prompts, answers = ([texts[i] for i in implicit] for texts in explicit)
        teacher = self._teach(
            model,
            wavs[implicit],
            wav_lens[implicit],
            prompts,
            answers,
            utterance_vectors,
        )
        student = self._at_emotion(model, output, batch.answers)[implicit]
        return self.weight * self.loss(student, teacher)

    def _teach(self, model, wavs, wav_lens, prompts, answers, vectors):
        training = model.training
        model.eval()
        with torch.no_grad():
            output = model(
                wavs, wav_lens, prompts, answers, utterance_vectors=vectors
            )
        model.train(training)
        return self._at_emotion(model, output, answers)

    def _at_emotion(self, model, output, answers):
        """States [B, ...] that predict the emotion's first token."""
        prefixes = [split_before_emotion(answer) for answer in answers]
        rows = model.rows_behind(output, answers, prefixes)
        return getattr(output, self.states)[rows]
