"""Attention in half precision on a processor, quick at any length.

The fused kernel multiplies keys in tiles of 16. At a length that is no
multiple of it, torch 2.13 takes up to twice the time; some keys more, which
nothing attends to, cost less.
"""

import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from speechbrain_c2ser.lobes.exporting import is_exporting

TILE = 16
NAME = "sdpa_in_tiles"  # among transformers' attention functions


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """What attention computes in: autocast's choice, or the tensor's own.

    Arguments
    ---------
    x : torch.Tensor
        Queries, or what they are made of.

    Returns
    -------
    torch.dtype

    Example
    -------
    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     compute_dtype(torch.ones(1))
    torch.bfloat16
    """
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def spare_keys(keys: int, dtype: torch.dtype, device: torch.device) -> int:
    """How many keys had better be added.

    Arguments
    ---------
    keys : int
        That there are.
    dtype : torch.dtype
        What attention computes in.
    device : torch.device
        Where.

    Returns
    -------
    int
        0 where the kernels do not mind: on another device, in float32, or
        where gradients are wanted.

    Example
    -------
    >>> with torch.no_grad():
    ...     spare_keys(309, torch.bfloat16, torch.device("cpu"))
    11
    """
    half = dtype.itemsize == 2 and device.type == "cpu"
    if not half or torch.is_grad_enabled() or is_exporting():
        return 0
    return -keys % TILE


def attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    bias: torch.Tensor | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Scaled-dot-product attention; keys are added up to the bias's width.

    Arguments
    ---------
    queries : torch.Tensor
        [B, heads, Q, C].
    keys, values : torch.Tensor
        [B, heads, K, C].
    bias : torch.Tensor | None
        Added to the scores, broadcastable to [B, heads, Q, K or more]; minus
        infinity from K on.
    dropout : float
        On the attention's weights.

    Returns
    -------
    torch.Tensor
        [B, heads, Q, C].

    Example
    -------
    >>> q, k, v = torch.randn(3, 2, 4, 5, 8)
    >>> wide = F.pad(torch.zeros(5, 5), (0, 3), value=float("-inf"))
    >>> torch.allclose(attend(q, k, v, wide), attend(q, k, v), atol=1e-6)
    True
    """
    spare = 0 if bias is None else bias.shape[-1] - keys.shape[2]
    if spare > 0:
        keys = F.pad(keys, (0, 0, 0, spare))
        values = F.pad(values, (0, 0, 0, spare))
    return F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=bias, dropout_p=dropout
    )


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
