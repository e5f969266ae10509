"""Several items of a batch in one row of the language model.

Padding is computed for nothing. Where items differ in length, some of them
share a row instead: each has positions of its own and sees itself alone, by
the mask that transformers makes where positions start again.
"""

import heapq
import math

import torch

from speechbrain_c2ser.lobes.attention_in_tiles import uses_sdpa
from speechbrain_c2ser.lobes.speech_llm.branches import layer_kinds
from speechbrain_c2ser.lobes.speech_llm.merging import Merged

FULL = {"full_attention"}
SAVING = 0.97  # of the padded cost, at most: copying has its price, too
# Seconds of an operation of attention, over those of a projection's: measured
# on a processor in fp32 (1.0 to 1.1) and in bf16 (4 to 6).
DEARER, DEARER_IN_HALF = 1.0, 5.0


class RowPacking:
    """Reads a batch in as few rows as cost least; the states are the same.

    Two items see each other only if a model does not ask transformers for
    its mask. So two made-up items are read first; where the one's states
    depend on the other, every item keeps its row.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        A causal language model.

    Example
    -------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_hidden_layers": 1}
    >>> packing = RowPacking(LlamaForCausalLM(LlamaConfig(**sizes, **heads)))
    >>> packing.keeps_apart, packing.breadth
    (True, 29)
    """

    def __init__(self, model):
        self.model = model
        self._apart = None
        layers = sum(p.numel() for p in model.get_decoder().parameters())
        layers -= model.get_input_embeddings().weight.numel()
        config = model.config.get_text_config(decoder=True)
        # Positions of a row at which attention takes as many operations as
        # the projections: there each position meets all others of its row.
        attention = 2 * config.num_hidden_layers * config.hidden_size
        self.breadth = max(1, layers // attention)

    @property
    def keeps_apart(self) -> bool:
        """Whether items of one row do not see each other, tried once."""
        if self._apart is None:
            self._apart = self._try()
        return self._apart

    def read(self, merged) -> torch.Tensor | None:
        """States of all items, where sharing rows takes less.

        Arguments
        ---------
        merged : speechbrain_c2ser.lobes.speech_llm.merging.Merged
            Of :func:`.merging.merge`.

        Returns
        -------
        torch.Tensor | None
            [B, S, D], undefined where padded; None where rows of their own
            cost less, or the model does not keep items apart.
        """
        # First: ranks that divide the layers have to try them together.
        if not self.keeps_apart or not merged.spans:
            return None
        rows = self.rows(merged.lengths, merged.embeddings)
        if len(rows) == len(merged.lengths):
            return None
        source, position_ids, home = lay_out(merged, rows)
        embeddings = merged.embeddings.flatten(0, 1)  # [B * S, D]
        packed = embeddings.index_select(0, source.flatten())
        states = self._decode(packed.view(*source.shape, -1), position_ids)
        states = states.flatten(0, 1).index_select(0, home)
        return states.view(merged.embeddings.shape)

    def rows(self, lengths, embeddings) -> list[list[int]]:
        """Which items share a row of this model.

        Arguments
        ---------
        lengths : list[int]
            Positions of each item.
        embeddings : torch.Tensor
            Theirs: precision and device tell what attention costs.

        Returns
        -------
        list[list[int]]
            As of :func:`share_rows`.
        """
        return share_rows(lengths, self.breadth / _dearer(embeddings))

    def _decode(self, embeddings, position_ids):
        mask = None
        if takes_masks(self.model):  # transformers has to read the positions
            mask = dict.fromkeys(FULL, own_items(position_ids))
        return self.model.get_decoder()(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=position_ids,
            use_cache=False,
        ).last_hidden_state

    @torch.no_grad()
    def _try(self):
        """Whether another first item leaves the second's states as they are."""
        embed = self.model.get_input_embeddings()
        ids = torch.tensor([[0, 1, 2, 3], [4, 5, 2, 3]])
        ids = ids.to(embed.weight.device) % embed.weight.shape[0]
        positions = torch.tensor([[0, 1, 0, 1]]).to(ids.device)
        modes = [(m, m.training) for m in self.model.modules()]
        self.model.eval()  # nothing is drawn
        kind = ids.device.type
        # Older torch would give a training step, under the same autocast, the
        # weights converted here, which have no gradients.
        uncached = torch.autocast(
            kind,
            torch.get_autocast_dtype(kind),
            torch.is_autocast_enabled(kind),
            cache_enabled=False,
        )
        try:
            with uncached:
                one, two = (
                    self._decode(embed(row[None]), positions)[0, 2:]
                    for row in ids
                )
        finally:
            for module, training in modes:
                module.training = training
        return torch.equal(one, two)


def takes_masks(model) -> bool:
    """Whether all layers take a mask as it is given, and none for "the past".

    Arguments
    ---------
    model : transformers.PreTrainedModel
        A causal language model.

    Returns
    -------
    bool

    Example
    -------
    >>> from transformers import Qwen2Config, Qwen2ForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    >>> layers = {"num_hidden_layers": 1, "attn_implementation": "eager"}
    >>> config = Qwen2Config(**sizes, **heads, **layers)
    >>> takes_masks(Qwen2ForCausalLM(config))
    False
    """
    config = model.config.get_text_config(decoder=True)
    return uses_sdpa(config) and layer_kinds(config) == FULL


def read_whole(model, merged: Merged) -> torch.Tensor:
    """States of whole sequences, of which each has a row.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        A causal language model.
    merged : Merged
        B sequences, padded on either side.

    Returns
    -------
    torch.Tensor
        [B, S, D], undefined where padded.

    Example
    -------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_hidden_layers": 1}
    >>> ones = torch.ones(1, 3, dtype=torch.long)
    >>> merged = Merged(torch.ones(1, 3, 8), ones, ones.cumsum(1) - 1, ones)
    >>> model = LlamaForCausalLM(LlamaConfig(**sizes, **heads))
    >>> read_whole(model, merged).shape
    torch.Size([1, 3, 8])
    """
    mask, positions = merged.attention_mask, merged.position_ids
    if merged.padded_behind and takes_masks(model):
        # Nothing sees padding that comes later. A mask of it would be read
        # by Python, and take slower kernels.
        mask, positions = dict.fromkeys(FULL), None
    return model.get_decoder()(
        inputs_embeds=merged.embeddings,
        attention_mask=mask,
        position_ids=positions,
        use_cache=False,
    ).last_hidden_state


def own_items(position_ids: torch.Tensor) -> torch.Tensor:
    """Which positions see which, where items share rows.

    Arguments
    ---------
    position_ids : torch.Tensor
        [R, L], 0 where an item begins.

    Returns
    -------
    torch.Tensor
        Booleans [R, 1, L, L]: whether a position (row) sees another (column).

    Example
    -------
    >>> own_items(torch.tensor([[0, 1, 0]])).int().tolist()
    [[[[1, 0, 0], [1, 1, 0], [0, 0, 1]]]]
    """
    item = (position_ids == 0).cumsum(1)
    same = item.unsqueeze(2) == item.unsqueeze(1)
    return same.tril().unsqueeze(1)


def _dearer(embeddings):
    half = embeddings.dtype.itemsize < torch.float32.itemsize
    if half or torch.is_autocast_enabled(embeddings.device.type):
        return DEARER_IN_HALF
    return DEARER


def share_rows(lengths: list[int], breadth: float) -> list[list[int]]:
    """Which items share a row, so that the least is computed.

    Arguments
    ---------
    lengths : list[int]
        Positions of each item.
    breadth : float
        Length of a row at which attention, which grows with its square,
        takes as much as all else.

    Returns
    -------
    list[list[int]]
        The items of each row; one in each where sharing saves too little.

    Example
    -------
    >>> share_rows([9, 3, 4, 2], breadth=1000)
    [[0], [2, 1, 3]]
    >>> share_rows([9, 9], breadth=1000)
    [[0], [1]]
    """
    longest = max(lengths)
    best = [[item] for item in range(len(lengths))]
    least = SAVING * _cost(len(lengths), longest, breadth)
    # With more rows the longest item still fills one, and the others less.
    most = math.ceil(sum(lengths) / longest) + 1
    for count in range(1, min(most, len(lengths) - 1) + 1):
        rows, length = _fill(lengths, count)
        cost = _cost(count, length, breadth)
        if cost < least:
            best, least = rows, cost
    return best


def _cost(rows, length, breadth):
    return rows * length * (1 + length / breadth)


def _fill(lengths, count):
    """Longest items first, each into the emptiest row; the fullest's length."""
    rows = [(0, number, []) for number in range(count)]
    for item in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        filled, number, items = rows[0]
        items.append(item)
        heapq.heapreplace(rows, (filled + lengths[item], number, items))
    rows.sort(key=lambda row: row[1])
    return [items for _, _, items in rows], max(row[0] for row in rows)


def lay_out(
    merged: Merged, rows: list[list[int]]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where each position of a batch stands in rows that items share.

    Arguments
    ---------
    merged : Merged
        [B, S] positions, with the items' spans.
    rows : list[list[int]]
        The items of each of R rows.

    Returns
    -------
    source : torch.Tensor
        [R, L] the position, of all B * S, that stands here.
    position_ids : torch.Tensor
        [R, L] from 0 for each item, and for what is left of a row.
    home : torch.Tensor
        [B * S] where each position has gone, of all R * L; 0 for padding.

    Example
    -------
    >>> merged = Merged(
    ...     embeddings=torch.ones(2, 3, 4),
    ...     attention_mask=torch.tensor([[1, 1, 0], [1, 1, 1]]),
    ...     position_ids=torch.tensor([[0, 1, 0], [0, 1, 2]]),
    ...     labels=torch.full((2, 3), -100),
    ...     spans=[(0, 2), (0, 3)],
    ... )
    >>> source, position_ids, home = lay_out(merged, [[1, 0]])
    >>> source.tolist(), position_ids.tolist(), home.tolist()
    ([[3, 4, 5, 0, 1]], [[0, 1, 2, 0, 1]], [3, 4, 0, 0, 1, 2])
    """
    batch, width = merged.embeddings.shape[:2]
    spans = merged.spans
    length = max(sum(spans[i][1] - spans[i][0] for i in row) for row in rows)
    source = torch.zeros(len(rows), length, dtype=torch.long)
    position_ids = torch.zeros_like(source)
    home = torch.zeros(batch * width, dtype=torch.long)
    for number, items in enumerate(rows):
        at = 0
        for item in items:
            start, end = (item * width + place for place in spans[item])
            here = slice(at, at + end - start)
            source[number, here] = torch.arange(start, end)
            position_ids[number, here] = torch.arange(end - start)
            places = torch.arange(here.start, here.stop)
            home[start:end] = number * length + places
            at = here.stop
        position_ids[number, at:] = torch.arange(length - at)
    device = merged.embeddings.device
    return source.to(device), position_ids.to(device), home.to(device)
