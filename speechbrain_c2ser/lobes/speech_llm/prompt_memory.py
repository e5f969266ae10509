"""What a language model has read already: KV caches that are read on from."""

import copy
from dataclasses import dataclass

import torch
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
