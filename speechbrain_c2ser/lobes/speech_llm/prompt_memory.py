"""The KV cache of a question that batch after batch is asked."""

import copy

import torch
from transformers import DynamicCache


class PromptMemory:
    """Reads a prompt once for as long as prompt and weights stay the same.

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
    >>> memory.read(torch.tensor([5, 7, 9]), batch=4).get_seq_length()
    3
    """

    def __init__(self, model):
        self.model = model
        self._key, self._cache = None, None

    @torch.no_grad()
    def read(self, prompt, batch):
        """KV cache of token ids, for a batch that begins with them.

        Arguments
        ---------
        prompt : torch.Tensor
            [N] token ids.
        batch : int
            Number of sequences.

        Returns
        -------
        transformers.Cache
            The caller's own: it may grow.
        """
        key = self._state(prompt)
        if self._key != key:
            cache = DynamicCache(config=self.model.config)
            self.model.get_decoder()(
                inputs_embeds=self.model.get_input_embeddings()(prompt)[None],
                past_key_values=cache,
                use_cache=True,
            )
            self._key, self._cache = key, cache
        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(batch)
        return cache

    def _state(self, prompt):
        """All that the cache depends on."""
        kind = self.model.device.type
        return (
            prompt.tolist(),
            torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind),
            [
                # torch counts the changes of a tensor, but for inference ones
                (p.data_ptr(), 0 if p.is_inference() else p._version)
                for p in self.model.parameters()
            ],
        )
