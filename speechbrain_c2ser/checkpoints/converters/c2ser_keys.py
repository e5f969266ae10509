"""Names and sizes of the authors' C2SER file in terms of our modules.

One table says where every official key goes. What has no place is named here
as known and unused; any other key is an error.
"""

import re

import torch

from speechbrain_c2ser.lobes.speech_llm.connectors import STRIDES

# Where the parts live in SpeechEmotionLLM.
SEMANTIC = "perception.semantic_encoder.encoder."
CONNECTOR = "perception.connector."
LANGUAGE_MODEL = "language_model.model."

# Official key -> ours, first match; a layer's inner names come after.
RENAMED = (
    (r"encoder\.embed\.conv\.0\.", SEMANTIC + "conv1."),
    (r"encoder\.embed\.conv\.2\.", SEMANTIC + "conv2."),
    (r"encoder\.embed\.pos_enc\.pe$", SEMANTIC + "embed_positions.weight"),
    (r"encoder\.after_norm\.", SEMANTIC + "layer_norm."),
    (r"encoder\.encoders\.", SEMANTIC + "layers."),
    (r"speech_transformer\.embed\.out\.", CONNECTOR + "input_layer."),
    (r"speech_transformer\.after_norm\.", CONNECTOR + "norm."),
    (r"speech_transformer\.encoders\.", CONNECTOR + "layers."),
    (r"speech_llama_proj\.", CONNECTOR + "projection."),
    (r"speech_token_emded\.weight$", "speech_boundaries.weight"),
    (r"llama_model\.(?:base_model\.model\.)?", LANGUAGE_MODEL),
)
SEMANTIC_LAYER = {
    "self_attn.linear_q": "self_attn.q_proj",
    "self_attn.linear_k": "self_attn.k_proj",
    "self_attn.linear_v": "self_attn.v_proj",
    "self_attn.linear_out": "self_attn.out_proj",
    "feed_forward.w_1": "fc1",
    "feed_forward.w_2": "fc2",
    "norm1": "self_attn_layer_norm",
    "norm2": "final_layer_norm",
}
CONNECTOR_LAYER = {
    "self_attn.linear_out": "self_attn.out_proj",
    "feed_forward.w_1": "linear1",
    "feed_forward.w_2": "linear2",
    "norm1": "norm1",
    "norm2": "norm2",
}
# Regular expressions of keys that take no part in what C2SER computes.
UNUSED = {
    r"ln_speech\..*": "a norm that no path calls",
    r"speaker_head\..*": "the speech-output head of another system",
    r"(embed_tokens|lm_head)\.weight": "copies of the language model's own",
    r"speech_transformer\.embed\.pos_enc\.pe": "positions, computed here",
    r"encoder\.encoders\.\d+\.self_attn\.linear_k\.bias": (
        "no effect: it adds the same to all of a query's scores"
    ),
    r"llama_model\..*rotary_emb\.inv_freq": "positions, computed there",
}


def rename(official: dict) -> tuple[dict, dict]:
    """Official tensors under the names of :class:`SpeechEmotionLLM`.

    Arguments
    ---------
    official : dict
        Official state dict, name -> tensor (on any device, meta too).

    Returns
    -------
    tensors : dict
        Our name -> tensor: semantic encoder, connector, speech boundaries
        and language model, without the acoustic encoder.
    unused : dict
        Official name -> why it has no place.

    Raises
    ------
    ValueError
        When a key is neither known nor known to be unused.

    Example
    -------
    >>> tensors, unused = rename(
    ...     {
    ...         "speech_token_emded.weight": torch.zeros(4099, 8),
    ...         "ln_speech.bias": torch.zeros(8),
    ...     }
    ... )
    >>> tensors["speech_boundaries.weight"].shape, list(unused)
    (torch.Size([2, 8]), ['ln_speech.bias'])
    """
    tensors, unused, unknown, packed = {}, {}, [], {}
    convs = _downsampler_indices(official)
    for key, tensor in official.items():
        why = next((w for p, w in UNUSED.items() if re.fullmatch(p, key)), None)
        if why is not None:
            unused[key] = why
            continue
        conv = re.fullmatch(r"down_sample_2\.conv\.(\d+)\.(.+)", key)
        if conv:
            place = convs.index(int(conv[1]))
            name = f"{CONNECTOR}downsampler.convs.{place}.{conv[2]}"
            tensors[name] = tensor
            continue
        name = _our_name(key)
        qkv = name and re.fullmatch(
            rf"({re.escape(CONNECTOR)}layers\.\d+\.self_attn\.)"
            r"linear_([qkv])\.(\w+)",
            name,
        )
        if name is None:
            unknown.append(key)
        elif qkv:
            parts = packed.setdefault(f"{qkv[1]}in_proj_{qkv[3]}", {})
            parts[qkv[2]] = tensor
        elif key.endswith(".pe"):
            tensors[name] = tensor[0]
        elif name == "speech_boundaries.weight":
            tensors[name] = tensor[-2:]
        else:
            tensors[name] = tensor
    if unknown:
        raise ValueError(
            f"{len(unknown)} keys of the checkpoint are no part of C2SER as "
            f"published: {', '.join(sorted(unknown)[:5])}."
        )
    for name, parts in packed.items():
        if len(parts) != 3:
            raise ValueError(
                f"The checkpoint lacks a part of {name}: queries, keys and "
                f"values are needed, it holds only {sorted(parts)}."
            )
        tensors[name] = torch.cat([parts["q"], parts["k"], parts["v"]])
    return tensors, unused


def _downsampler_indices(official):
    """Places of the downsampler's convolutions in the official Sequential."""
    matches = (re.match(r"down_sample_2\.conv\.(\d+)\.", k) for k in official)
    return sorted({int(match[1]) for match in matches if match})


def _our_name(key):
    for pattern, replacement in RENAMED:
        match = re.match(pattern, key)
        if match:
            name = replacement + key[match.end() :]
            break
    else:
        return None
    layer = re.fullmatch(r"(.+\.layers\.\d+\.)(.+)\.(weight|bias)", name)
    if not layer or name.startswith(LANGUAGE_MODEL):
        return name
    if name.startswith(SEMANTIC):
        inner = SEMANTIC_LAYER.get(layer[2])
    elif re.fullmatch(r"self_attn\.linear_[qkv]", layer[2]):
        inner = layer[2]
    else:
        inner = CONNECTOR_LAYER.get(layer[2])
    return inner and f"{layer[1]}{inner}.{layer[3]}"


def sizes(official: dict) -> dict:
    """Sizes that the shapes of the official tensors tell.

    Attention heads leave no trace in shapes: the caller adds them.

    Arguments
    ---------
    official : dict
        Official state dict, name -> tensor.

    Returns
    -------
    dict
        ``semantic_encoder`` and ``connector``: constructor arguments;
        ``lora_rank``: int, or None without LoRA.

    Raises
    ------
    ValueError
        When a part of the model is not there.
    """

    def shape(name):
        if name not in official:
            raise ValueError(
                f"This is no C2SER checkpoint as published: it has no '{name}'."
            )
        return official[name].shape

    def layers(prefix):
        matches = (
            re.match(rf"{prefix}\.encoders\.(\d+)\.", k) for k in official
        )
        return len({match[1] for match in matches if match})

    size, n_mels, _ = shape("encoder.embed.conv.0.weight")
    ffn_size, _ = shape("encoder.encoders.0.feed_forward.w_1.weight")
    connector_ffn, _ = shape(
        "speech_transformer.encoders.0.feed_forward.w_1.weight"
    )
    rates = {len(strides): rate for rate, strides in STRIDES.items()}
    convs = _downsampler_indices(official)
    ranks = {t.shape[0] for k, t in official.items() if ".lora_A." in k}
    return {
        "semantic_encoder": {
            "num_layers": layers("encoder"),
            "size": size,
            "ffn_size": ffn_size,
            "n_mels": n_mels,
            "max_positions": shape("encoder.embed.pos_enc.pe")[1],
        },
        "connector": {
            "input_size": size,
            "output_size": shape("speech_llama_proj.weight")[0],
            "downsample_rate": rates[len(convs)],
            # A padding layer stands before each convolution, or none does.
            "left_padding": 0 if 0 in convs else 2,
            "num_layers": layers("speech_transformer"),
            "ffn_size": connector_ffn,
        },
        "lora_rank": max(ranks) if ranks else None,
    }
