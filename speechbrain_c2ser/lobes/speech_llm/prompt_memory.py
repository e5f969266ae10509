"""What a language model has read already: KV caches that are read on from."""

import copy
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import Cache, DynamicCache


@dataclass(frozen=True)
class Past:
    """What a language model has read of each item of a batch.

    Arguments
    ---------
    cache : transformers.Cache
        Keys and values of N places of each item.
    mask : torch.Tensor
        [B, N] integers, 1 = a position that was read, in reading order; 0 =
        padding.
    """

    cache: Cache
    mask: torch.Tensor

    def growing(self) -> Cache:
        """A cache to read on with, which may grow: this one stays.

        Returns
        -------
        transformers.Cache
            Of the same tensors: a layer that grows puts new ones together.
        """
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        return cache

    def first(self, counts) -> "Past":
        """The same, as if only each item's first positions had been read.

        Arguments
        ---------
        counts : list[int]
            B numbers of positions.

        Returns
        -------
        Past

        Example
        -------
        >>> mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
        >>> Past(DynamicCache(), mask).first([2, 3]).mask.tolist()
        [[0, 1, 1, 0], [1, 1, 1, 0]]
        """
        limits = torch.tensor(counts, device=self.mask.device)[:, None]
        return Past(self.cache, self.mask * (self.mask.cumsum(1) <= limits))


def out_of_rows(cache, starts, lengths, before) -> Past:
    """What was read of each item, where items shared rows.

    Arguments
    ---------
    cache : transformers.Cache
        Of R rows of N + L places: behind N that are the same in all rows
        (a question), L of several items.
    starts : list[tuple[int, int]]
        B rows of the items, and their first of the L places.
    lengths : list[int]
        B numbers of their places.
    before : int
        N.

    Returns
    -------
    Past
        Of B items, padded on the left: N places, then its own, of each.

    Example
    -------
    >>> rows = torch.arange(5.0).view(1, 1, 5, 1)  # a question of 1, 3 and 1
    >>> cache = DynamicCache()
    >>> _ = cache.update(rows, rows, 0)
    >>> past = out_of_rows(cache, [(0, 0), (0, 3)], [3, 1], before=1)
    >>> past.cache.layers[0].keys[..., 0].tolist(), past.mask.tolist()
    ([[[0.0, 1.0, 2.0, 3.0]], [[0.0, 0.0, 0.0, 4.0]]], [[1, 1, 1, 1], [0, 0,
    1, 1]])
    """
    width = cache.get_seq_length()
    places, masks = [], []
    for (row, column), length in zip(starts, lengths, strict=True):
        own = torch.arange(length) + before + column
        places.append(torch.cat((torch.arange(before), own)) + row * width)
        masks.append(torch.ones_like(places[-1]))
    padding = {"batch_first": True, "padding_side": "left"}
    device = cache.layers[0].keys.device
    places = pad_sequence(places, **padding).to(device)  # [B, W]
    for layer in cache.layers:
        layer.keys, layer.values = (
            # [R, heads, N + L, D] to [B, heads, W, D]
            each.transpose(1, 2).flatten(0, 1)[places].transpose(1, 2)
            for each in (layer.keys, layer.values)
        )
    return Past(cache, pad_sequence(masks, **padding).to(device))


class PromptMemory:
    """Reads a prompt once, until it is told to forget.

    Whoever changes the weights calls :meth:`forget`: no counter tells of
    every change (a fused optimiser raises none).

    Arguments
    ---------
    model : transformers.PreTrainedModel
        A causal language model.

    Example
    -------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_hidden_layers": 1}
    >>> memory = PromptMemory(LlamaForCausalLM(LlamaConfig(**sizes, **heads)))
    >>> memory.read([5, 7, 9], batch=4).mask.shape
    torch.Size([4, 3])
    """

    def __init__(self, model):
        self.model = model
        self.forget()

    def forget(self):
        """Forget what was read: weights have changed, or may have."""
        self._key, self._past = None, None

    @torch.no_grad()
    def read(self, prompt, batch) -> Past:
        """What reading token ids gives, for a batch that begins with them.

        Arguments
        ---------
        prompt : list[int]
            N token ids.
        batch : int
            Number of sequences.

        Returns
        -------
        Past
        """
        embed = self.model.get_input_embeddings()
        weight, kind = embed.weight, embed.weight.device.type
        autocast = torch.is_autocast_enabled(kind)
        precision = autocast and torch.get_autocast_dtype(kind)
        key = (prompt, precision, weight.dtype, weight.device)
        if self._key != key:
            # Without the model's configuration it keeps all positions, also
            # for layers of a sliding window: the mask says what they see.
            cache = DynamicCache()
            self.model.get_decoder()(
                inputs_embeds=embed(torch.tensor([prompt]).to(weight.device)),
                past_key_values=cache,
                use_cache=True,
            )
            mask = torch.ones(1, len(prompt), dtype=torch.long)
            self._key = key
            self._past = Past(cache, mask.to(weight.device))
        cache = self._past.growing()
        cache.batch_repeat_interleave(batch)
        return Past(cache, self._past.mask.expand(batch, -1))
