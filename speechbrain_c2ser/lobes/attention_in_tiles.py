"""Models of transformers attend in whole tiles of keys.

Apart from :mod:`.attention`, so that an encoder of our own does not wait for
the library.
"""

import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from speechbrain_c2ser.lobes.attention import (
    TILE,
    compute_dtype,
    spare_keys,
)

NAME = "sdpa_in_tiles"  # among transformers' attention functions


def use_tiles(model):
    """Let a model of transformers attend so, where it uses torch's attention.

    Arguments
    ---------
    model : transformers.PreTrainedModel

    Returns
    -------
    transformers.PreTrainedModel
        The same.

    Example
    -------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_hidden_layers": 1}
    >>> model = use_tiles(LlamaForCausalLM(LlamaConfig(**sizes, **heads)))
    >>> uses_sdpa(model.config)
    True
    """
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)
    return model


def uses_sdpa(config) -> bool:
    """Whether a model attends by torch's function, in tiles or not.

    Arguments
    ---------
    config : transformers.PretrainedConfig

    Returns
    -------
    bool

    Example
    -------
    >>> from transformers import LlamaConfig
    >>> uses_sdpa(LlamaConfig(attn_implementation="eager"))
    False
    """
    return config._attn_implementation in ("sdpa", NAME)


def _sdpa_in_tiles(module, query, key, value, attention_mask, **options):
    """transformers' `sdpa_attention_forward`, with spare keys [B, H, K, C]."""
    queries, keys = query.shape[2], key.shape[2]
    spare = spare_keys(keys, compute_dtype(query), query.device)
    if spare and queries >= TILE:
        if attention_mask is None:
            seen = torch.ones((1, 1, queries, keys), dtype=torch.bool)
            causal = options.get("is_causal")
            if causal is None:
                causal = getattr(module, "is_causal", True)
            attention_mask = seen.tril() if causal else seen[:, :, :1]
        hidden = False
        if attention_mask.dtype != torch.bool:
            hidden = float("-inf")
        attention_mask = F.pad(attention_mask, (0, spare), value=hidden)
        key = F.pad(key, (0, 0, 0, spare))
        value = F.pad(value, (0, 0, 0, spare))
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, **options
    )


AttentionInterface.register(NAME, _sdpa_in_tiles)
AttentionMaskInterface.register(NAME, sdpa_mask)
