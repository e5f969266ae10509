"""Endings side by side behind the sequences of a batch: indices and masks."""

from dataclasses import dataclass
from inspect import signature

import torch
from torch.nn.utils.rnn import pad_sequence

from speechbrain_c2ser.lobes.speech_llm.merging import IGNORED, Merged


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


def add_branches(merged, embeddings, branches, before=None) -> Merged:
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
    before : torch.Tensor | None
        [B, N] integers of what was read already (a KV cache): 1 = a position
        that all see, and behind which positions count on; 0 = padding.

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
    if before is not None:
        unseen = (before == 0)[:, None].expand(-1, total, -1)
        read = added.new_zeros(unseen.shape).masked_fill(unseen, lowest)
        additive = torch.cat((read, additive), 2)  # [B, S + Q, N + S + Q]
        positions = positions + before.sum(1, keepdim=True)
    unlabelled = torch.full_like(branch, IGNORED)
    return Merged(
        embeddings=torch.cat((merged.embeddings, added), 1),
        attention_mask=additive[:, None],
        position_ids=positions,
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
    # What was read before is seen by the first position, all but its padding.
    read = (mask[:, 0, 0, :before] == 0).cumsum(-1) - 1  # [B, N]
    keys = torch.cat((read, queries), 1)
    far = queries[:, :, None] - keys[:, None] >= window  # [B, S + Q, N + S + Q]
    return mask.masked_fill(far[:, None], torch.finfo(mask.dtype).min)


def layers_without_mask(model) -> str:
    """The kinds of a language model's layers that follow no mask.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        A causal language model.

    Returns
    -------
    str
        Their names; empty where all layers attend, at most over a window.

    Example
    -------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_hidden_layers": 1}
    >>> layers_without_mask(LlamaForCausalLM(LlamaConfig(**sizes, **heads)))
    ''
    """
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ())
    foreign = sorted(kinds - {"full_attention", "sliding_attention"})
    if not foreign and getattr(model, "_is_stateful", False):
        return "recurrent"
    return ", ".join(foreign)


def layer_masks(tree, model):
    """The mask of all layers of a model, or one for each kind of layer.

    Arguments
    ---------
    tree : Merged
        Of :func:`add_branches`.
    model : transformers.PreTrainedModel
        A causal language model whose layers follow a mask.

    Returns
    -------
    torch.Tensor | dict[str, torch.Tensor]
        What its decoder takes.

    Example
    -------
    >>> from transformers import MistralConfig, MistralForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    >>> model = MistralForCausalLM(
    ...     MistralConfig(**sizes, **heads, num_hidden_layers=1)
    ... )
    >>> sequence = Merged(
    ...     embeddings=torch.ones(1, 2, 8),
    ...     attention_mask=torch.tensor([[1, 1]]),
    ...     position_ids=torch.tensor([[0, 1]]),
    ...     labels=torch.tensor([[-100, -100]]),
    ... )
    >>> tree = add_branches(sequence, [torch.ones(3, 8)], [[0, 0, 1]])
    >>> layer_masks(tree, model).shape
    torch.Size([1, 1, 5, 5])
    """
    mask = tree.attention_mask
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ())
    window = None
    if "sliding_window" in signature(type(config)).parameters:  # its own
        window = config.sliding_window
    if window is None or kinds == {"full_attention"}:
        return mask
    narrow = within_window(tree, window)
    if not kinds:  # all layers have the window, as Mistral's
        return narrow
    return {"full_attention": mask, "sliding_attention": narrow}
