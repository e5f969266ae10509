"""The KV cache of a question that batch after batch is asked."""

import copy

import torch
from transformers import DynamicCache


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
    >>> memory.read([5, 7, 9], batch=4).get_seq_length()
    3
    """

    def __init__(self, model):
        self.model = model
        self.forget()

    def forget(self):
        """Forget what was read: weights have changed, or may have."""
        self._key, self._cache = None, None

    @torch.no_grad()
    def read(self, prompt, batch) -> DynamicCache:
        """KV cache of token ids, for a batch that begins with them.

        Arguments
        ---------
        prompt : list[int]
            N token ids.
        batch : int
            Number of sequences.

        Returns
        -------
        transformers.Cache
            The caller's own: it may grow.
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
            self._key, self._cache = key, cache
        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(batch)
        return cache
