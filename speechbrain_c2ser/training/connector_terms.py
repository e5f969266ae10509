"""Terms of the loss that teach the connector, beside the answers'.

Two are BLSP-Emo's (arXiv 2406.03872): the emotion is to be read from the
connector's outputs alone, and the language model is to answer to speech as it
does to the words. The third takes any head of a classifier.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from speechbrain_c2ser.lobes.padding import masked_mean
from speechbrain_c2ser.lobes.speech_llm.merging import Speech
from speechbrain_c2ser.losses import distillation_loss


class ConnectorCrossEntropy(nn.Module):
    """The emotion from the mean of the connector's outputs, linearly.

    A term of a C2SER stage (``terms`` in its yaml), with weights of its own:
    the yaml also names it in ``modules``, ``optimizer_parts`` and the
    checkpointer's ``recoverables``. They are not part of the model folder.

    Arguments
    ---------
    label_space : speechbrain_c2ser.labels.LabelSpace
        The emotions.
    input_size : int
        Width of the connector's outputs.
    weight : float
        Of the term beside the cross-entropy of the answers.

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> term = ConnectorCrossEntropy(LabelSpace(["angry", "sad"]), 8)
    >>> speech = Speech(torch.zeros(2, 3, 8), torch.tensor([3, 1]))
    >>> term.loss(speech, ["sad", "angry"]).item()  # doctest: +ELLIPSIS
    0.693...
    """

    def __init__(self, label_space, input_size: int, weight: float = 1.0):
        super().__init__()
        self.label_space = label_space
        self.weight = weight
        self.linear = nn.Linear(input_size, len(label_space), bias=False)

    def forward(self, model, output, batch) -> torch.Tensor:
        """The term of a batch, without its weight.

        Arguments
        ---------
        model : speechbrain_c2ser.lobes.SpeechEmotionLLM
            Not used: what it heard comes with the output.
        output : speechbrain_c2ser.lobes.speech_llm.language_model.AnswerOutput
            With ``speech``, as ``SpeechEmotionLLM.forward`` gives it.
        batch : speechbrain.dataio.batch.PaddedBatch
            With ``item``.

        Returns
        -------
        torch.Tensor
            Scalar.
        """
        return self.loss(output.speech, [row["emotion"] for row in batch.item])

    def loss(self, speech: Speech, emotions: list[str]) -> torch.Tensor:
        """Cross-entropy, mean over the batch.

        Arguments
        ---------
        speech : Speech
            Outputs of the connector.
        emotions : list of str
            Labels.

        Returns
        -------
        torch.Tensor
        """
        means = masked_mean(speech.embeddings.float(), speech.lengths)
        targets = [self.label_space.index(emotion) for emotion in emotions]
        return nn.functional.cross_entropy(
            self.linear(means), torch.tensor(targets, device=means.device)
        )


class HeadTerm(nn.Module):
    """Any head of a classifier over the mean of the connector's outputs.

    Such as supervised contrast between the emotions of a batch (EmoQ),
    valence and arousal, or a speaker to be forgotten. A term of a C2SER stage
    with weights of its own, named in the yaml as ``ConnectorCrossEntropy`` is;
    a row without what the head predicts takes no part.

    Arguments
    ---------
    head : speechbrain_c2ser.lobes.Head
        Over utterance vectors; its ``weight`` is the term's.

    Raises
    ------
    ValueError
        For a head that takes frames or words.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import ContrastHead
    >>> term = HeadTerm(ContrastHead(8, ["angry", "sad"], weight=0.5))
    >>> speech = Speech(torch.randn(2, 3, 8), torch.tensor([3, 1]))
    >>> term.loss(speech, [{"emotion": "sad"}, {"emotion": "sad"}]).item()
    0.0
    >>> term.weight
    0.5
    """

    def __init__(self, head):
        super().__init__()
        if head.needs_frames or head.needs_words:
            raise ValueError(
                f"A {type(head).__name__} takes frames or words, and a term "
                "sees the mean of the connector's outputs: give another head."
            )
        self.head = head
        self.weight = head.weight

    def forward(self, model, output, batch) -> torch.Tensor:
        """The term of a batch, without its weight.

        Arguments
        ---------
        model : speechbrain_c2ser.lobes.SpeechEmotionLLM
            Not used: what it heard comes with the output.
        output : speechbrain_c2ser.lobes.speech_llm.language_model.AnswerOutput
            With ``speech``.
        batch : speechbrain.dataio.batch.PaddedBatch
            With ``item``.

        Returns
        -------
        torch.Tensor
            Scalar.
        """
        return self.loss(output.speech, batch.item)

    def loss(self, speech: Speech, rows: list[dict]) -> torch.Tensor:
        """The head's loss.

        Arguments
        ---------
        speech : Speech
            Outputs of the connector.
        rows : list of dict
            Manifest rows.

        Returns
        -------
        torch.Tensor
        """
        means = masked_mean(speech.embeddings.float(), speech.lengths)
        targets = self.head.targets(rows).to(means.device)
        return self.head.loss(self.head(means), targets)


class TranscriptTeacher:
    """Draws answers to the speech to those of the same model to its words.

    A term of a C2SER stage. The teacher reads the embedded transcript where
    the student reads the speech, behind the same prompt; the term is the KL
    divergence from the student's distribution to the teacher's at every token
    of the answer.

    Arguments
    ---------
    key : str
        Field of a row: "transcript", or "transcript_asr".
    temperature : float
        Softens both distributions.
    weight : float
        Of the term beside the cross-entropy.

    Example
    -------
    >>> TranscriptTeacher(weight=0.5).weight
    0.5
    """

    def __init__(
        self,
        key: str = "transcript",
        temperature: float = 1.0,
        weight: float = 1.0,
    ):
        self.key = key
        self.temperature = temperature
        self.weight = weight

    def __call__(self, model, output, batch) -> torch.Tensor:
        """The term of a batch, without its weight.

        Arguments
        ---------
        model : speechbrain_c2ser.lobes.SpeechEmotionLLM
            Gives the teacher, in eval mode and without gradient.
        output : speechbrain_c2ser.lobes.speech_llm.language_model.AnswerOutput
            Of the batch as it was asked.
        batch : speechbrain.dataio.batch.PaddedBatch
            With ``item``, ``prompts`` and ``answers``.

        Returns
        -------
        torch.Tensor
            Scalar, mean over the answer tokens.

        Raises
        ------
        ValueError
            If a row has no transcript; names it.
        """
        for row in batch.item:
            if not row.get(self.key):
                raise ValueError(
                    f"Item {row.get('id')!r} has no {self.key}, which the "
                    "transcript teacher reads: give one, or leave the item "
                    "out."
                )
        teacher = self._teach(model, batch)
        return distillation_loss(
            output.logits, teacher.logits, self.temperature
        )

    @torch.no_grad()
    def _teach(self, model, batch):
        lm = model.language_model
        training = model.training
        model.eval()
        words = lm.embed([lm.tokenize(row[self.key]) for row in batch.item])
        speech = Speech(
            pad_sequence(list(words), batch_first=True),
            torch.tensor([len(each) for each in words]),
        )
        output = model.loss(speech, batch.prompts, batch.answers)
        model.train(training)
        return output
