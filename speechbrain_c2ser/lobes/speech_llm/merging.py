"""Where speech meets text: pure functions that build the LLM's input."""

from dataclasses import dataclass, field

import torch
from torch.nn.utils.rnn import pad_sequence

from speechbrain_c2ser.host import on_host

IGNORED = -100  # the label of a position that is not an answer token


@dataclass(frozen=True)
class Speech:
    """What was heard of a batch, as the language model reads it.

    Arguments
    ---------
    embeddings : torch.Tensor
        [B, T, D] speech vectors, padded on the right.
    lengths : torch.Tensor
        [B] number of valid ones.
    """

    embeddings: torch.Tensor
    lengths: torch.Tensor


@dataclass
class Merged:
    """A batch of sequences as the language model takes them.

    Arguments
    ---------
    embeddings : torch.Tensor
        [B, S, D], zeros where padded.
    attention_mask : torch.Tensor
        [B, S] integers, 1 = a real position, without holes.
    position_ids : torch.Tensor
        [B, S] integers, 0, 1, 2... from the first real position.
    labels : torch.Tensor
        [B, S] integers: the token at that position where it belongs to the
        answer, -100 elsewhere. Not shifted: the prediction of the label at
        position s is made at s - 1.
    spans : list[tuple[int, int]]
        B first positions, and those behind the last ones, known on the host;
        none where nobody has counted them.
    host_labels : torch.Tensor | None
        The labels where Python reads them without waiting for a device.
    """

    embeddings: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor
    labels: torch.Tensor
    spans: list[tuple[int, int]] = field(default_factory=list)
    host_labels: torch.Tensor | None = None

    @property
    def answer_positions(self):
        """(items, positions) of the answer tokens, two [N] index tensors."""
        labels = self.labels if self.host_labels is None else self.host_labels
        places = (labels != IGNORED).nonzero()  # [N, 2]
        return places.to(self.labels.device).unbind(1)

    @property
    def padded_behind(self):
        """Whether whole sequences are known to begin at the first position."""
        whole = self.attention_mask.dim() == 2
        return whole and bool(self.spans) and not any(s for s, _ in self.spans)

    @property
    def lengths(self):
        """[B] real positions of each item."""
        if self.spans:
            return [end - start for start, end in self.spans]
        return self.attention_mask.sum(1).tolist()

    @property
    def last(self):
        """[B] columns of the items' last positions."""
        if self.spans:
            return [end - 1 for _, end in self.spans]
        places = torch.arange(self.attention_mask.shape[1])
        return (self.attention_mask.cpu() * places).argmax(1).tolist()


def merge(
    prompts,
    speech,
    boundaries,
    answers=None,
    labels=None,
    padding_side="right",
) -> Merged:
    """Join prompt, speech and answer of each item, then pad the whole.

    Every sequence is ``[prompt] [speech-BOS] [speech] [speech-EOS] [answer]``
    packed without holes, so an item's numbers do not depend on its
    neighbours in the batch.

    Arguments
    ---------
    prompts : list[torch.Tensor]
        B prompts, each [P_i, D] (P_i may be 0).
    speech : Speech
        The speech vectors of each item.
    boundaries : torch.Tensor
        [2, D]: speech-BOS and speech-EOS.
    answers : list[torch.Tensor] | None
        B embedded answers, each [A_i, D]; None for generation.
    labels : list[list[int]] | None
        The answers' token ids, A_i of each; -100 where one does not count.
    padding_side : str
        "right" (training) or "left" (generation: all items end together).

    Returns
    -------
    Merged

    Raises
    ------
    ValueError
        When the parts do not belong together.

    Example
    -------
    >>> merged = merge(
    ...     prompts=[torch.ones(2, 4), torch.ones(1, 4)],
    ...     speech=Speech(torch.ones(2, 3, 4), torch.tensor([1, 3])),
    ...     boundaries=torch.zeros(2, 4),
    ... )
    >>> merged.embeddings.shape
    torch.Size([2, 6, 4])
    >>> merged.attention_mask.tolist()
    [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]]
    """
    embeddings = speech.embeddings
    lengths = on_host(speech.lengths).tolist()
    if padding_side not in ("right", "left"):
        raise ValueError(
            f"padding_side must be 'right' or 'left', not {padding_side!r}."
        )
    if not len(prompts) == len(lengths) == len(embeddings):
        raise ValueError(
            f"{len(embeddings)} utterances came with {len(prompts)} prompts "
            f"and {len(lengths)} lengths; give one of each per utterance."
        )
    if answers is None:
        answers = [embeddings[0, :0]] * len(prompts)
        labels = [[]] * len(prompts)
    if [len(a) for a in answers] != [len(ids) for ids in labels]:
        raise ValueError(
            "Each answer needs as many token ids as embeddings, and one "
            "answer per utterance."
        )

    sequences, targets = [], []
    for item, length in enumerate(lengths):
        parts = (
            prompts[item],
            boundaries[:1],
            embeddings[item, :length],
            boundaries[1:],
            answers[item],
        )
        sequences.append(torch.cat(parts))  # [S_i, D]
        before = len(sequences[-1]) - len(labels[item])
        targets.append(torch.tensor([IGNORED] * before + labels[item]))

    return pad_merged(sequences, targets, padding_side)


def without_last(merged) -> Merged:
    """Sequences padded on either side, without their last position.

    Arguments
    ---------
    merged : Merged
        Of :func:`merge`.

    Returns
    -------
    Merged
        Padded on the right.

    Example
    -------
    >>> merged = merge(
    ...     prompts=[torch.ones(2, 4), torch.ones(1, 4)],
    ...     speech=Speech(torch.ones(2, 3, 4), torch.tensor([1, 3])),
    ...     boundaries=torch.zeros(2, 4),
    ...     padding_side="left",
    ... )
    >>> without_last(merged).attention_mask.tolist()
    [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    """
    ends = zip(merged.last, merged.lengths, strict=True)
    return _cut(merged, [slice(end - length + 1, end) for end, length in ends])


def without_first(merged, counts) -> Merged:
    """Sequences padded on the right, without their first positions.

    Arguments
    ---------
    merged : Merged
        Of :func:`merge`.
    counts : list[int]
        B numbers of positions that are left out, each less than its
        sequence has.

    Returns
    -------
    Merged
        Positions count from 0 again.

    Example
    -------
    >>> merged = merge(
    ...     prompts=[torch.ones(2, 4), torch.ones(1, 4)],
    ...     speech=Speech(torch.ones(2, 3, 4), torch.tensor([1, 3])),
    ...     boundaries=torch.zeros(2, 4),
    ... )
    >>> without_first(merged, [3, 5]).attention_mask.tolist()
    [[1, 1], [1, 0]]
    """
    ends = zip(counts, merged.lengths, strict=True)
    return _cut(merged, [slice(count, length) for count, length in ends])


def _cut(merged, places):
    """What lies at these places of each sequence."""
    labels = merged.labels if merged.host_labels is None else merged.host_labels
    return pad_merged(
        [row[at] for row, at in zip(merged.embeddings, places, strict=True)],
        [row[at] for row, at in zip(labels.cpu(), places, strict=True)],
    )


def pad_merged(
    sequences: list[torch.Tensor],
    targets: list[torch.Tensor],
    padding_side: str = "right",
) -> Merged:
    """Sequences of unlike length as one input of the language model.

    Arguments
    ---------
    sequences : list of torch.Tensor
        Embeddings, B times [S_i, D].
    targets : list of torch.Tensor
        Their labels [S_i], on the host.
    padding_side : str
        "left" where the model is to write on.

    Returns
    -------
    Merged
        [B, S, D] and what belongs to it.

    Example
    -------
    >>> merged = pad_merged(
    ...     [torch.ones(2, 4), torch.ones(3, 4)],
    ...     [torch.tensor([-100, 7]), torch.tensor([-100, 8, 9])],
    ... )
    >>> merged.attention_mask.tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    # Integers are put together on the host and travel once.
    device = sequences[0].device
    padding = {"batch_first": True, "padding_side": padding_side}
    mask = pad_sequence([torch.ones_like(t) for t in targets], **padding)
    empty = [mask.shape[1] - len(t) for t in targets]
    starts = empty if padding_side == "left" else [0] * len(targets)
    spans = [(s, s + len(t)) for s, t in zip(starts, targets, strict=True)]
    targets = pad_sequence(targets, padding_value=IGNORED, **padding)
    return Merged(
        embeddings=pad_sequence(sequences, **padding),
        attention_mask=mask.to(device),
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0).to(device),
        labels=targets.to(device),
        spans=spans,
        host_labels=targets,
    )
