"""Answers written behind what a language model has read."""

import torch
from torch.nn.functional import pad

from speechbrain_c2ser.lobes.speech_llm.prompt_memory import Past


def write_behind(model, last, past, settings) -> tuple[torch.Tensor, Past]:
    """Continue sequences of which all but the last position was read.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        A causal language model.
    last : torch.Tensor
        [B, D] the embeddings of the last positions.
    past : Past
        What was read before them, padded on the left.
    settings : transformers.GenerationConfig
        How answers are sought and when they end.

    Returns
    -------
    ids : torch.Tensor
        [B, N] new token ids.
    past : Past
        What was read of the sequences; for a greedy answer also its tokens
        but for the last one. Not what beams wrote: no answer need be theirs.

    Example
    -------
    >>> from transformers import DynamicCache, GenerationConfig
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_hidden_layers": 1}
    >>> model = LlamaForCausalLM(LlamaConfig(**sizes, **heads))
    >>> nothing = Past(DynamicCache(), torch.ones(2, 0, dtype=torch.long))
    >>> settings = GenerationConfig(max_new_tokens=3, eos_token_id=99)
    >>> ids, past = write_behind(model, torch.ones(2, 8), nothing, settings)
    >>> ids.shape, past.mask.shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """
    cache, beams = past.growing(), settings.num_beams or 1
    if beams > 1:
        cache.batch_repeat_interleave(beams)
    before = past.mask.shape[1]
    mask = pad(past.mask, (0, 1), value=1)  # [B, W]
    ids = model.generate(
        # It cuts off what the cache has.
        inputs_embeds=pad(last[:, None], (0, 0, before, 0)),  # [B, W, D]
        attention_mask=mask,
        past_key_values=cache,
        generation_config=settings,
    )
    if beams > 1:
        return ids, past
    written = cache.get_seq_length() - mask.shape[1]
    return ids, Past(cache, pad(mask, (0, written), value=1))
