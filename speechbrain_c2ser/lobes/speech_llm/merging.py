"""Where speech meets text: pure functions that build the LLM's input."""

from dataclasses import dataclass

import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

IGNORED = -100  # the label of a position that is not an answer token


@dataclass
class Merged:
    """A batch of sequences as the language model takes them.

    Arguments
    ---------
    embeddings : torch.Tensor
        [B, S, D], zeros where padded.
    attention_mask : torch.Tensor
        [B, S] integers, 1 = a real position, without holes; or what
        :func:`add_branches` makes of it.
    position_ids : torch.Tensor
        [B, S] integers, 0, 1, 2... from the first real position.
    labels : torch.Tensor
        [B, S] integers: the token at that position where it belongs to the
        answer, -100 elsewhere. Not shifted: the prediction of the label at
        position s is made at s - 1.
    """

    embeddings: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor
    labels: torch.Tensor

    @property
    def answer_positions(self):
        """(items, positions) of the answer tokens, two [N] index tensors."""
        return (self.labels != IGNORED).nonzero(as_tuple=True)


def merge(
    prompts,
    speech,
    speech_lengths,
    boundaries,
    answers=None,
    answer_ids=None,
    padding_side="right",
):
    """Join prompt, speech and answer of each item, then pad the whole.

    Every sequence is ``[prompt] [speech-BOS] [speech] [speech-EOS] [answer]``
    packed without holes, so an item's numbers do not depend on its
    neighbours in the batch.

    Arguments
    ---------
    prompts : list[torch.Tensor]
        B prompts, each [P_i, D] (P_i may be 0).
    speech : torch.Tensor
        [B, T, D] speech vectors, padded on the right.
    speech_lengths : torch.Tensor
        [B] number of valid speech vectors.
    boundaries : torch.Tensor
        [2, D]: speech-BOS and speech-EOS.
    answers : list[torch.Tensor] | None
        B embedded answers, each [A_i, D]; None for generation.
    answer_ids : list[torch.Tensor] | None
        The answers' token ids, each [A_i]; an id of -100 is not a label.
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
    ...     speech=torch.ones(2, 3, 4),
    ...     speech_lengths=torch.tensor([1, 3]),
    ...     boundaries=torch.zeros(2, 4),
    ... )
    >>> merged.embeddings.shape
    torch.Size([2, 6, 4])
    >>> merged.attention_mask.tolist()
    [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]]
    """
    batch = speech.shape[0]
    if padding_side not in ("right", "left"):
        raise ValueError(
            f"padding_side must be 'right' or 'left', not {padding_side!r}."
        )
    if len(prompts) != batch or len(speech_lengths) != batch:
        raise ValueError(
            f"{batch} utterances came with {len(prompts)} prompts and "
            f"{len(speech_lengths)} lengths; give one of each per utterance."
        )
    if answers is None:
        answers = [speech.new_zeros(0, speech.shape[-1])] * batch
        answer_ids = [speech_lengths.new_zeros(0)] * batch
    if [len(a) for a in answers] != [len(ids) for ids in answer_ids]:
        raise ValueError(
            "Each answer needs as many token ids as embeddings, and one "
            "answer per utterance."
        )

    sequences, labels = [], []
    for item, length in enumerate(speech_lengths.tolist()):
        parts = (
            prompts[item],
            boundaries[:1],
            speech[item, :length],
            boundaries[1:],
            answers[item],
        )
        sequences.append(torch.cat(parts))
        ids = answer_ids[item].to(speech.device)
        before = ids.new_full((len(sequences[-1]) - len(ids),), IGNORED)
        labels.append(torch.cat((before, ids)))

    mask = [
        torch.ones(len(s), dtype=torch.long, device=speech.device)
        for s in sequences
    ]
    padding = {"batch_first": True, "padding_side": padding_side}
    attention_mask = pad_sequence(mask, **padding)
    return Merged(
        embeddings=pad_sequence(sequences, **padding),
        attention_mask=attention_mask,
        position_ids=(attention_mask.cumsum(-1) - 1).clamp(min=0),
        labels=pad_sequence(labels, padding_value=IGNORED, **padding),
    )


def add_branches(merged, embeddings, branches, before=0):
    """Put several continuations side by side behind each sequence.

    A branch sees the sequence and itself, not the other branches, and its
    positions count on from the sequence's end: as if it were alone there.

    Arguments
    ---------
    merged : Merged
        Sequences padded on the right.
    embeddings : list[torch.Tensor]
        B tensors [Q_i, D]: the branches' embeddings, one branch after
        another.
    branches : list[torch.Tensor]
        B tensors [Q_i]: the branch (0, 1...) that each position belongs to.
    before : int
        Number N of positions that were read already (a cached prompt): all
        see them, and positions count on from there.

    Returns
    -------
    Merged
        S + Q positions. The mask is additive, [B, 1, S + Q, N + S + Q]: 0
        where a position (row) sees another (column). Branches carry no
        labels.

    Example
    -------
    >>> merged = Merged(
    ...     embeddings=torch.ones(1, 2, 4),
    ...     attention_mask=torch.tensor([[1, 1]]),
    ...     position_ids=torch.tensor([[0, 1]]),
    ...     labels=torch.tensor([[-100, 5]]),
    ... )
    >>> tree = add_branches(
    ...     merged, [torch.ones(3, 4)], [torch.tensor([0, 0, 1])]
    ... )
    >>> tree.position_ids.tolist()
    [[0, 1, 2, 3, 2]]
    >>> (tree.attention_mask[0, 0] == 0).int().tolist()[2:]
    [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]
    """
    mask = merged.attention_mask
    length = mask.shape[1]
    added = pad_sequence(embeddings, batch_first=True)
    # Padding is a branch of its own.
    branch = pad_sequence(branches, batch_first=True, padding_value=-1)
    own = torch.cat((torch.full_like(mask, -2), branch), 1)
    seen = torch.cat((mask.bool(), torch.zeros_like(branch).bool()), 1)
    total = own.shape[1]
    causal = torch.ones(total, total, dtype=torch.bool, device=mask.device)
    same = (own[:, :, None] == own[:, None]) & (own[:, None] != -2)
    allowed = (seen[:, None] | same) & causal.tril()
    lowest = torch.finfo(added.dtype).min
    additive = added.new_zeros(allowed.shape).masked_fill(~allowed, lowest)

    depth = (same[:, length:] & causal.tril()[length:]).sum(-1)
    positions = mask.sum(1, keepdim=True) - 1 + depth
    positions = torch.cat((merged.position_ids, positions), 1)
    unlabelled = torch.full_like(branch, IGNORED)
    return Merged(
        embeddings=torch.cat((merged.embeddings, added), 1),
        attention_mask=pad(additive, (before, 0))[:, None],
        position_ids=positions + before,
        labels=torch.cat((merged.labels, unlabelled), 1),
    )
