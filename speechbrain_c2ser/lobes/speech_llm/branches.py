"""Endings side by side behind sequences that share rows: indices and masks."""

from dataclasses import dataclass
from inspect import signature

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import Cache


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
        [N] where it is predicted, from the item's first position on.
    targets : list[int]
        [N] its id.
    """

    read: list[list[int]]
    branch: list[list[int]]
    items: list[int]
    endings: list[int]
    positions: list[int]
    targets: list[int]


def branch_out(endings, lengths) -> Branches:
    """Lay endings out behind the sequences of a batch.

    Arguments
    ---------
    endings : list[list[list[int]]]
        B lists of token sequences of at least one token.
    lengths : list[int]
        B lengths of the sequences.

    Returns
    -------
    Branches

    Example
    -------
    >>> branches = branch_out([[[5, 6, 7], [8]]], lengths=[3])
    >>> branches.read, branches.branch
    ([[5, 6]], [[0, 0]])
    >>> branches.targets, branches.positions, branches.endings
    ([5, 6, 7, 8], [2, 3, 4, 2], [0, 0, 0, 1])
    """
    branches = Branches([], [], [], [], [], [])
    for item, (candidates, length) in enumerate(
        zip(endings, lengths, strict=True)
    ):
        read, branch = [], []
        for number, ending in enumerate(candidates):
            first = length + len(read)
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


@dataclass(frozen=True)
class Tree:
    """Rows of sequences, each with its branches behind it.

    Arguments
    ---------
    embeddings : torch.Tensor
        [R, L, D], zeros where padded.
    items : torch.Tensor
        [R, L] integers: the sequence that a position belongs to; -1 is
        padding.
    branches : torch.Tensor
        [R, L] integers: its branch (0, 1...); -1 for the sequence itself.
    position_ids : torch.Tensor
        [R, L] integers: from 0 for each sequence; a branch counts on from its
        sequence's end, as if it were alone there.
    starts : list[tuple[int, int]]
        B rows, and columns, of the sequences' first positions.
    """

    embeddings: torch.Tensor
    items: torch.Tensor
    branches: torch.Tensor
    position_ids: torch.Tensor
    starts: list[tuple[int, int]]


def grow_tree(merged, embeddings, branches, rows=None) -> Tree:
    """Put branches behind their sequences, and these into rows.

    Arguments
    ---------
    merged : Merged
        Sequences padded on the right.
    embeddings : list[torch.Tensor]
        B tensors [Q_i, D]: the branches' embeddings, one branch after
        another.
    branches : list[list[int]]
        B times Q_i: the branch (0, 1...) that each position belongs to.
    rows : list[list[int]] | None
        The sequences of each of R rows; None = each has its own.

    Returns
    -------
    Tree

    Example
    -------
    >>> from speechbrain_c2ser.lobes.speech_llm.merging import Merged
    >>> merged = Merged(
    ...     embeddings=torch.ones(2, 2, 4),
    ...     attention_mask=torch.tensor([[1, 1], [1, 0]]),
    ...     position_ids=torch.tensor([[0, 1], [0, 0]]),
    ...     labels=torch.full((2, 2), -100),
    ... )
    >>> words = [torch.ones(3, 4), torch.ones(1, 4)]
    >>> tree = grow_tree(merged, words, [[0, 0, 1], [0]], rows=[[0, 1]])
    >>> tree.items.tolist(), tree.branches.tolist()
    ([[0, 0, 0, 0, 0, 1, 1]], [[-1, -1, 0, 0, 1, -1, 0]])
    >>> tree.position_ids.tolist(), tree.starts
    ([[0, 1, 2, 3, 2, 0, 1]], [(0, 0), (0, 5)])
    """
    lengths = merged.lengths
    starts = [(0, 0)] * len(lengths)
    words, places = [], []
    for number, items in enumerate(rows or [[i] for i in range(len(lengths))]):
        row, filled = [], []
        for item in items:
            starts[item] = (number, len(filled))
            length = lengths[item]
            row += [merged.embeddings[item, :length], embeddings[item]]
            filled += [(item, -1, position) for position in range(length)]
            first = 0
            for n, branch in enumerate(branches[item]):
                if branch != branches[item][first]:
                    first = n
                filled.append((item, branch, length + n - first))
        words.append(torch.cat(row))
        places.append(torch.tensor(filled))
    # Integers are put together on the host and travel once.
    padding = {"batch_first": True, "padding_value": -1}
    places = pad_sequence(places, **padding).to(merged.embeddings.device)
    return Tree(
        pad_sequence(words, batch_first=True),
        places[..., 0],
        places[..., 1],
        places[..., 2].clamp(min=0),
        starts,
    )


def seen_positions(tree, before=None, window=None) -> torch.Tensor:
    """Which positions each position of a tree sees.

    A sequence sees itself; a branch its sequence and itself, not the other
    branches; neither another sequence of its row. Padding sees padding.

    Arguments
    ---------
    tree : Tree
        R rows of L positions.
    before : torch.Tensor | None
        [R, N] integers of what was read before the rows (a KV cache): 1 = a
        position, which all see; 0 = padding.
    window : int | None
        Number of positions that each sees at most, itself included, counted
        along its own branch.

    Returns
    -------
    torch.Tensor
        [R, L, N + L] booleans: a position (row) sees another (column).

    Example
    -------
    >>> tree = Tree(
    ...     embeddings=torch.ones(1, 5, 4),
    ...     items=torch.zeros(1, 5, dtype=torch.long),
    ...     branches=torch.tensor([[-1, -1, 0, 0, 1]]),
    ...     position_ids=torch.tensor([[0, 1, 2, 3, 2]]),
    ...     starts=[(0, 0)],
    ... )
    >>> seen_positions(tree)[0, 2:].int().tolist()
    [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]
    """
    items, branches, places = tree.items, tree.branches, tree.position_ids
    if before is None:
        before = items[:, :0]
    branch, other = branches[:, :, None], branches[:, None]
    own = items[:, :, None] == items[:, None]
    own &= (other == -1) | (other == branch)
    own = own.tril()  # [R, L, L]
    read = (before == 1)[:, None].expand(-1, own.shape[1], -1)
    seen = torch.cat((read, own), 2)
    if window is None:
        return seen
    queries = places + before.sum(1, keepdim=True)
    keys = torch.cat((before.cumsum(1) - 1, queries), 1)  # [R, N + L]
    return seen & (queries[:, :, None] - keys[:, None] < window)


def layer_kinds(config) -> set[str]:
    """The kinds of layers that a language model has.

    Arguments
    ---------
    config : transformers.PreTrainedConfig
        Of its decoder.

    Returns
    -------
    set[str]
        Such as "full_attention"; empty where the configuration names none.

    Example
    -------
    >>> from transformers import Qwen2Config
    >>> layer_kinds(Qwen2Config(num_hidden_layers=2))
    {'full_attention'}
    """
    return set(getattr(config, "layer_types", None) or ())


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
    kinds = layer_kinds(model.config.get_text_config(decoder=True))
    foreign = sorted(kinds - {"full_attention", "sliding_attention"})
    if not foreign and getattr(model, "_is_stateful", False):
        return "recurrent"
    return ", ".join(foreign)


def layer_masks(tree, model, before=None):
    """The mask of all layers of a model, or one for each kind of layer.

    Arguments
    ---------
    tree : Tree
        R rows of L positions.
    model : transformers.PreTrainedModel
        A causal language model whose layers follow a mask.
    before : torch.Tensor | None
        [R, N] as :func:`seen_positions` takes it.

    Returns
    -------
    torch.Tensor | dict[str, torch.Tensor]
        What its decoder takes: [R, 1, L, N + L], added to the scores.

    Example
    -------
    >>> from transformers import MistralConfig, MistralForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    >>> model = MistralForCausalLM(
    ...     MistralConfig(**sizes, **heads, num_hidden_layers=1)
    ... )
    >>> from speechbrain_c2ser.lobes.speech_llm.merging import Merged
    >>> sequence = Merged(
    ...     embeddings=torch.ones(1, 2, 8),
    ...     attention_mask=torch.tensor([[1, 1]]),
    ...     position_ids=torch.tensor([[0, 1]]),
    ...     labels=torch.tensor([[-100, -100]]),
    ... )
    >>> tree = grow_tree(sequence, [torch.ones(3, 8)], [[0, 0, 1]])
    >>> layer_masks(tree, model).shape
    torch.Size([1, 1, 5, 5])
    """
    config = model.config.get_text_config(decoder=True)
    kinds = layer_kinds(config)
    window = None
    if "sliding_window" in signature(type(config)).parameters:  # its own
        window = config.sliding_window
    if window is None or kinds == {"full_attention"}:
        return _additive(tree, before)
    narrow = _additive(tree, before, window)
    if not kinds:  # all layers have the window, as Mistral's
        return narrow
    full = _additive(tree, before)
    return {"full_attention": full, "sliding_attention": narrow}


def _additive(tree, before, window=None):
    seen = seen_positions(tree, before, window)[:, None]
    mask = tree.embeddings.new_zeros(seen.shape)
    return mask.masked_fill(~seen, torch.finfo(mask.dtype).min)


def read_tree(model, tree, past=None) -> tuple[torch.Tensor, Cache | None]:
    """States of rows behind what was read before them.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        A causal language model.
    tree : Tree
        R rows of L positions.
    past : speechbrain_c2ser.lobes.speech_llm.prompt_memory.Past | None
        What was read of each row; it stays as it is.

    Returns
    -------
    states : torch.Tensor
        [R, L, D].
    cache : transformers.Cache | None
        Of the past and the rows; None without a past.

    Raises
    ------
    ValueError
        For a model whose layers cannot read branches side by side.

    Example
    -------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_hidden_layers": 1}
    >>> tree = Tree(
    ...     embeddings=torch.ones(1, 5, 8),
    ...     items=torch.zeros(1, 5, dtype=torch.long),
    ...     branches=torch.tensor([[-1, -1, 0, 0, 1]]),
    ...     position_ids=torch.tensor([[0, 1, 2, 3, 2]]),
    ...     starts=[(0, 0)],
    ... )
    >>> model = LlamaForCausalLM(LlamaConfig(**sizes, **heads))
    >>> states, _ = read_tree(model, tree)
    >>> states.shape
    torch.Size([1, 5, 8])
    """
    if foreign := layers_without_mask(model):
        raise ValueError(
            f"Labels cannot be scored side by side by {model.name_or_path}: "
            f"its layers ({foreign}) do not follow a mask. Take a model of "
            "full or sliding-window attention."
        )
    before, positions, cache = None, tree.position_ids, None
    if past is not None:
        before, cache = past.mask, past.growing()
        positions = positions + before.sum(1, keepdim=True)
    states = model.get_decoder()(
        inputs_embeds=tree.embeddings,
        attention_mask=layer_masks(tree, model, before),
        position_ids=positions,
        past_key_values=cache,
        use_cache=past is not None,
    ).last_hidden_state
    return states, cache
