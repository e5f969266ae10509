"""Sizes and options of the emotion2vec family's published files."""

import ast
import re

# Options that change what is computed, and the only value we compute.
REQUIRED = {
    "extractor_mode": "layer_norm",
    "learned_alibi": False,
}
# Strides leave no trace in shapes; these kernels have always had these.
STRIDES = {10: 5, 3: 2, 2: 2}


def parse_conv_layers(spec: str) -> list[list[int]]:
    """Reads fairseq's way of writing convolutions, without evaluating it.

    Arguments
    ---------
    spec : str
        Such as "[(512, 10, 5)] + [(512, 3, 2)] * 4".

    Returns
    -------
    list of list of int
        Channels, kernel and stride of each layer.

    Raises
    ------
    ValueError
        When it is anything but sums and multiples of lists of integers.

    Example
    -------
    >>> parse_conv_layers("[(8, 10, 5)] + [(8, 3, 2)] * 2")
    [[8, 10, 5], [8, 3, 2], [8, 3, 2]]
    """

    def value(node):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        if isinstance(node, ast.List | ast.Tuple):
            return [value(item) for item in node.elts]
        if isinstance(node, ast.BinOp):
            left, right = value(node.left), value(node.right)
            if isinstance(node.op, ast.Add):
                return left + right
            # Bounded, lest a file asks for all memory.
            if isinstance(node.op, ast.Mult) and right in range(100):
                return left * right
        raise TypeError

    try:
        layers = value(ast.parse(spec.strip(), mode="eval").body)
        if all(len(layer) == 3 for layer in layers):
            return layers
    except (SyntaxError, TypeError):
        pass
    raise ValueError(
        f"feature_encoder_spec {spec!r} is no list of (channels, kernel, "
        "stride)."
    )


def architecture(config: dict) -> dict:
    """Constructor arguments out of an official configuration.

    Arguments
    ---------
    config : dict
        Plain values: the model's options, with "modalities": {"audio": ...}
        (fairseq, FunASR), or {"model": ..., "modalities.audio": ...}.

    Returns
    -------
    dict
        Arguments of `Emotion2VecS`, without those that the configuration does
        not hold.

    Raises
    ------
    ValueError
        When an option asks for something that is not computed here.

    Example
    -------
    >>> architecture({
    ...     "embed_dim": 48, "depth": 2,
    ...     "modalities": {"audio": {"conv_pos_depth": 4}},
    ... })
    {'embed_dim': 48, 'depth': 2, 'conv_pos_depth': 4}
    """
    model = config.get("model", config)
    audio = config.get("modalities.audio") or model["modalities"]["audio"]
    for name, needed in REQUIRED.items():
        value = audio.get(name, needed)
        if value != needed:
            raise ValueError(
                f"The checkpoint's {name} is {value!r}; only {needed!r} is "
                "supported, as in every published checkpoint."
            )
    taken = {
        name: source[official]
        for name, source, official in (
            ("embed_dim", model, "embed_dim"),
            ("num_heads", model, "num_heads"),
            ("prenet_depth", audio, "prenet_depth"),
            ("depth", model, "depth"),
            ("mlp_ratio", model, "mlp_ratio"),
            ("layer_norm_first", model, "layer_norm_first"),
            ("norm_eps", model, "norm_eps"),
            ("norm_affine", model, "norm_affine"),
            ("conv_pos_width", audio, "conv_pos_width"),
            ("conv_pos_depth", audio, "conv_pos_depth"),
            ("conv_pos_groups", audio, "conv_pos_groups"),
            ("conv_pos_pre_norm", audio, "conv_pos_pre_ln"),
            ("num_utterance_tokens", audio, "num_extra_tokens"),
            ("alibi", audio, "use_alibi_encoder"),
            ("alibi_heads", audio, "num_alibi_heads"),
            ("alibi_scale", audio, "alibi_scale"),
            ("alibi_learned_scale", audio, "learned_alibi_scale"),
            ("alibi_scale_per_head", audio, "learned_alibi_scale_per_head"),
            ("alibi_scale_per_layer", audio, "learned_alibi_scale_per_layer"),
            ("dropout", model, "encoder_dropout"),
            ("attention_dropout", model, "attention_dropout"),
            ("activation_dropout", model, "activation_dropout"),
            ("post_mlp_dropout", model, "post_mlp_drop"),
            ("prenet_dropout", audio, "prenet_dropout"),
            ("input_dropout", model, "dropout_input"),
            ("prenet_layerdrop", audio, "prenet_layerdrop"),
            ("layerdrop", model, "layerdrop"),
            ("end_of_block_targets", model, "end_of_block_targets"),
        )
        if source.get(official) is not None
    }
    if audio.get("feature_encoder_spec"):
        taken["conv_layers"] = parse_conv_layers(audio["feature_encoder_spec"])
    # In fairseq the data's task normalizes, in FunASR the model.
    for source in (model, config.get("task") or {}):
        if source.get("normalize") is not None:
            taken["normalize"] = source["normalize"]
    return taken


def architecture_of_shapes(
    tensors: dict, arguments: dict | None = None
) -> dict:
    """Constructor arguments out of renamed tensors' shapes.

    Arguments
    ---------
    tensors : dict
        As returned by `rename`.
    arguments : dict | None
        Arguments that are known already.

    Returns
    -------
    dict
        Arguments of `Emotion2VecS`, the known ones among them.

    Raises
    ------
    ValueError
        When a part of the encoder is not there, or when the shapes do not
        tell a size.
    """
    known = arguments or {}

    def shape(name):
        if name not in tensors:
            raise ValueError(
                "This is not a checkpoint of the emotion2vec family: it has "
                f"nothing for {name}."
            )
        return tensors[name].shape

    def count(prefix):
        pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
        matches = (pattern.match(name) for name in tensors)
        return len({match[1] for match in matches if match})

    embed_dim = shape("projection.weight")[0]
    conv_layers = []
    for i in range(count("front_end.convs")):
        size, kernel, _ = shape(f"front_end.convs.{i}.weight")
        if kernel not in STRIDES and "conv_layers" not in known:
            raise ValueError(
                f"Layer {i} of the front end has a kernel of {kernel}, and "
                "the file does not tell its stride: give conv_layers in "
                "`arguments`."
            )
        conv_layers.append([size, kernel, STRIDES.get(kernel)])
    prenet_depth, depth = count("prenet"), count("blocks")
    conv_pos_depth = count("positions.convs")
    _, kernel, group_size = shape("positions.convs.0.weight")
    settings = {
        "conv_layers": conv_layers,
        "embed_dim": embed_dim,
        "prenet_depth": prenet_depth,
        "depth": depth,
        "mlp_ratio": shape("blocks.0.mlp.0.weight")[0] / embed_dim,
        "layer_norm_first": "norm.weight" in tensors,
        "norm_affine": "blocks.0.norm1.weight" in tensors,
        "conv_pos_width": kernel * conv_pos_depth,
        "conv_pos_depth": conv_pos_depth,
        "conv_pos_groups": embed_dim // group_size,
        "conv_pos_pre_norm": "positions.norm.weight" in tensors,
        "num_utterance_tokens": shape("utterance_tokens")[1],
        "alibi": "alibi_scale" in tensors,
    }
    if "alibi_scale" in tensors:
        layers, heads = shape("alibi_scale")
        settings["alibi_scale_per_layer"] = layers > 1
        settings["alibi_scale_per_head"] = heads > 1
        if heads > 1:
            settings["num_heads"] = heads
    settings.update(known)
    if "num_heads" not in settings:
        raise ValueError(
            "The file does not tell the number of attention heads: give "
            "num_heads in `arguments`."
        )
    return settings
