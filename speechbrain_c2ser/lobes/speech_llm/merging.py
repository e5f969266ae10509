"""Where speech meets text: pure functions that build the LLM's input."""

from dataclasses import dataclass, field

import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

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
        [B, S] integers, 1 = a real position, without holes; or what
        :func:`add_branches` makes of it.
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
    def lengths(self):
        """[B] real positions of each item."""
        if self.spans:
            return [end - start for start, end in self.spans]
        return self.attention_mask.sum(1).tolist()


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
    embeddings, lengths = speech.embeddings, speech.lengths.tolist()
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

    # Integers are put together on the host and travel once.
    padding = {"batch_first": True, "padding_side": padding_side}
    mask = pad_sequence([torch.ones_like(t) for t in targets], **padding)
    empty = [mask.shape[1] - len(t) for t in targets]
    starts = empty if padding_side == "left" else [0] * len(targets)
    spans = [(s, s + len(t)) for s, t in zip(starts, targets, strict=True)]
    targets = pad_sequence(targets, padding_value=IGNORED, **padding)
    return Merged(
        embeddings=pad_sequence(sequences, **padding),
        attention_mask=mask.to(embeddings.device),
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0).to(embeddings.device),
        labels=targets.to(embeddings.device),
        spans=spans,
        host_labels=targets,
    )


@dataclass(frozen=True)
class Branches:
    """Endings side by side behind the sequences they continue, as indices.

    An ending's first token is predicted at its sequence's end, each further
    one at the token before it; so all its tokens but the last are read.

    Arguments
    ---------
    read : list[list[int]]
        B times Q_i token ids to read, one ending after another.
    branch : list[list[int]]
        B times Q_i: the ending (0, 1...) that each of them belongs to.
    items : list[int]
        [N] the item of each predicted token.
    endings : list[int]
        [N] the ending that it belongs to.
    positions : list[int]
        [N] where it is predicted.
    targets : list[int]
        [N] its id.
    """

    read: list[list[int]]
    branch: list[list[int]]
    items: list[int]
    endings: list[int]
    positions: list[int]
    targets: list[int]


def branch_out(endings, lengths, start) -> Branches:
    """Lay endings out behind the sequences of a batch.

    Arguments
    ---------
    endings : list[list[list[int]]]
        B lists of token sequences of at least one token.
    lengths : list[int]
        B lengths of the sequences.
    start : int
        Position of the first token read behind the (padded) sequences.

    Returns
    -------
    Branches

    Example
    -------
    >>> branches = branch_out([[[5, 6, 7], [8]]], lengths=[3], start=4)
    >>> branches.read, branches.branch
    ([[5, 6]], [[0, 0]])
    >>> branches.targets, branches.positions, branches.endings
    ([5, 6, 7, 8], [2, 4, 5, 2], [0, 0, 0, 1])
    """
    branches = Branches([], [], [], [], [], [])
    for item, (candidates, length) in enumerate(
        zip(endings, lengths, strict=True)
    ):
        read, branch = [], []
        for number, ending in enumerate(candidates):
            first = start + len(read)
            branches.positions.append(length - 1)
            branches.positions.extend(range(first, first + len(ending) - 1))
            branches.items.extend([item] * len(ending))
            branches.endings.extend([number] * len(ending))
            branches.targets.extend(ending)
            read += ending[:-1]
            branch += [number] * (len(ending) - 1)
        branches.read.append(read)
        branches.branch.append(branch)
    return branches


def add_branches(merged, embeddings, branches, before=0) -> Merged:
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
    branches : list[list[int]]
        B times Q_i: the branch (0, 1...) that each position belongs to.
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
    ...     merged, [torch.ones(3, 4)], [[0, 0, 1]]
    ... )
    >>> tree.position_ids.tolist()
    [[0, 1, 2, 3, 2]]
    >>> (tree.attention_mask[0, 0] == 0).int().tolist()[2:]
    [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]
    """
    mask = merged.attention_mask  # [B, S]
    length = mask.shape[1]
    added = pad_sequence(embeddings, batch_first=True)  # [B, Q, D]
    # Padding is a branch of its own.
    branch = pad_sequence(
        [torch.tensor(each, dtype=torch.long) for each in branches],
        batch_first=True,
        padding_value=-1,
    ).to(mask.device)  # [B, Q]
    branch_owners = torch.cat(
        (torch.full_like(mask, -2), branch), 1
    )  # [B, S + Q]
    seen = torch.cat((mask.bool(), torch.zeros_like(branch).bool()), 1)
    total = branch_owners.shape[1]
    causal = torch.ones(total, total, dtype=torch.bool, device=mask.device)
    same = (branch_owners[:, :, None] == branch_owners[:, None]) & (
        branch_owners[:, None] != -2
    )
    allowed = (seen[:, None] | same) & causal.tril()  # [B, S + Q, S + Q]
    lowest = torch.finfo(added.dtype).min
    additive = added.new_zeros(allowed.shape).masked_fill(~allowed, lowest)

    depth = (same[:, length:] & causal.tril()[length:]).sum(-1)  # [B, Q]
    positions = mask.sum(1, keepdim=True) - 1 + depth
    positions = torch.cat((merged.position_ids, positions), 1)
    unlabelled = torch.full_like(branch, IGNORED)
    return Merged(
        embeddings=torch.cat((merged.embeddings, added), 1),
        attention_mask=pad(additive, (before, 0))[:, None],
        position_ids=positions + before,
        labels=torch.cat((merged.labels, unlabelled), 1),
    )


def within_window(tree, window) -> torch.Tensor:
    """The mask of a tree of branches, for a layer that sees a window only.

    Arguments
    ---------
    tree : Merged
        Of :func:`add_branches`; N positions were read before it.
    window : int
        Number of positions that each sees, itself included, counted along
        its own branch.

    Returns
    -------
    torch.Tensor
        [B, 1, S + Q, N + S + Q], additive.

    Example
    -------
    >>> merged = Merged(
    ...     embeddings=torch.ones(1, 2, 4),
    ...     attention_mask=torch.tensor([[1, 1]]),
    ...     position_ids=torch.tensor([[0, 1]]),
    ...     labels=torch.tensor([[-100, -100]]),
    ... )
    >>> tree = add_branches(merged, [torch.ones(3, 4)], [[0, 0, 1]])
    >>> (within_window(tree, 2)[0, 0] == 0).int().tolist()[2:]
    [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 1, 0, 0, 1]]
    """
    mask, queries = tree.attention_mask, tree.position_ids  # [B, S + Q]
    before = mask.shape[-1] - queries.shape[1]
    read = torch.arange(before, device=queries.device)
    keys = torch.cat((read.expand(len(queries), -1), queries), 1)
    far = queries[:, :, None] - keys[:, None] >= window  # [B, S + Q, N + S + Q]
    return mask.masked_fill(far[:, None], torch.finfo(mask.dtype).min)
