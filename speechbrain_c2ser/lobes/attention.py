"""Attention of transformers' models on a processor, where heads share keys and
where it is trained in half precision."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from speechbrain_c2ser.lobes.exporting import is_exporting

NAME = "shared_heads"
# What models hand on that the mask has already, or that tells nothing here;
# whatever else says something is transformers' to do.
KNOWN = {"is_causal", "sliding_window", "position_ids", "use_cache"}


def use_shared_heads(model: nn.Module) -> None:
    """Give a model this attention, where it has torch's own.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        Left as it is where it has another attention, as it may have to.

    Example
    -------
    >>> from transformers import LlamaConfig, LlamaModel
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_hidden_layers": 1}
    >>> model = LlamaModel(LlamaConfig(**sizes, **heads))
    >>> use_shared_heads(model)
    >>> model.config._attn_implementation
    'shared_heads'
    """
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


def shared_heads(
    module, query, key, value, attention_mask, scaling=None, dropout=0.0, **more
):
    """Attention in transformers' form: query [B, H, T, D], key and value [B,
    K, S, D] -> [B, T, H, D].

    Several heads of queries share one of keys (grouped-query attention), which
    transformers copies for each of them. In half precision torch's fused
    backward pass takes several times as long as plain products.
    """
    causal = more.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    causal = causal and attention_mask is None
    time, special = query.shape[2], set(more) - KNOWN
    if (
        is_exporting()
        or query.device.type != "cpu"
        or dropout
        or any(more[n] is not None and more[n] is not False for n in special)
        or time == 1
        or (causal and time != key.shape[2])
        or query.shape[-1] != value.shape[-1]
    ):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout,
            scaling=scaling, **more,
        )  # fmt: skip
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    kind = query.dtype
    if torch.is_autocast_enabled("cpu"):
        kind = torch.get_autocast_dtype("cpu")
    trained = torch.is_grad_enabled() and (
        query.requires_grad or key.requires_grad or value.requires_grad
    )
    if trained and kind != torch.float32:
        if causal:
            attention_mask = torch.ones(1, 1, time, time).tril().bool()
        with torch.autocast("cpu", enabled=False):
            y = _Products.apply(
                *(x.to(kind) for x in (query, key, value)),
                attention_mask,
                scale,
            )
    else:
        y = F.scaled_dot_product_attention(
            query, key, value, attention_mask, is_causal=causal, scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
    return y.transpose(1, 2).contiguous(), None


class _Products(torch.autograd.Function):
    """Plain products, the heads that share keys in one."""

    @staticmethod
    def forward(ctx, query, key, value, mask, scale):
        batch, heads, time, size = query.shape
        shared = key.shape[1]
        groups = batch * shared
        q = (query * scale).reshape(groups, -1, size)  # [B K, H / K T, D]
        k, v = (x.reshape(groups, -1, size) for x in (key, value))
        scores = torch.bmm(q, k.transpose(1, 2))
        if mask is not None:
            if mask.dtype == torch.bool:
                lowest = torch.finfo(q.dtype).min
                mask = torch.zeros(mask.shape, dtype=q.dtype).masked_fill(
                    ~mask, lowest
                )
            # [B, K, H / K, T, S] and a mask [1 or B, 1, 1 or T, S]
            each = scores.view(batch, shared, -1, time, k.shape[1])
            each += mask.unsqueeze(2).to(q.dtype)
        weights = scores.softmax(-1)
        ctx.save_for_backward(q, k, v, weights)
        ctx.scale, ctx.shapes = scale, (query.shape, key.shape)
        return torch.bmm(weights, v).view(query.shape)

    @staticmethod
    def backward(ctx, gradient):
        q, k, v, weights = ctx.saved_tensors
        gradient = gradient.to(q.dtype).reshape(q.shape)
        into_v = torch.bmm(weights.transpose(1, 2), gradient)
        into_weights = torch.bmm(gradient, v.transpose(1, 2))
        into_scores = torch._softmax_backward_data(
            into_weights, weights, -1, weights.dtype
        )
        into_q = torch.bmm(into_scores, k) * ctx.scale
        into_k = torch.bmm(into_scores.transpose(1, 2), q)
        whole, shared = ctx.shapes
        return (
            into_q.view(whole), into_k.view(shared), into_v.view(shared),
            None, None,
        )  # fmt: skip


AttentionInterface.register(NAME, shared_heads)
AttentionMaskInterface.register(NAME, sdpa_mask)
