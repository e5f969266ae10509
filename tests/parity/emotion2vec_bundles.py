"""Bundles of Emotion2Vec-S and emotion2vec+, and the full-size key list."""

import torch
from result import Result, close

from speechbrain_c2ser.checkpoints.converters.emotion2vec import build
from speechbrain_c2ser.lobes.emotion2vec.alibi import attention_bias
from speechbrain_c2ser.lobes.padding import masked_mean, normalize

KIND = "emotion2vec"


def _official(spec):
    """The official configuration, or None for another family's bundle."""
    config = spec.get("config", {})
    if "modalities.audio" not in config:
        return config.get("model_conf")
    # The full form also has what the short one leaves out.
    full = config.get("full_official_config", {})
    audio = full.get("modalities", {}).get("audio", {})
    return {
        "model": {**full, **config["model"]},
        "modalities.audio": {**audio, **config["modalities.audio"]},
    }


def understands(name, spec):
    """Whether this module checks a bundle.

    Arguments
    ---------
    name : str
        Stem of the file's name.
    spec : dict
        Its json.

    Returns
    -------
    bool
    """
    return _official(spec) is not None


def check(name, spec, tensors):
    """Runs every case of a bundle.

    Arguments
    ---------
    name : str
        Stem of the file's name.
    spec : dict
        Its json.
    tensors : dict or None
        Its tensors; None for a list of keys.

    Yields
    ------
    Result
        One per output.
    """
    labels = spec["config"].get("labels")
    if tensors is None:
        yield from _check_keys(spec, labels)
        return
    weights = {
        key.removeprefix("weights/"): tensor.float()
        for key, tensor in tensors.items()
        if key.startswith("weights/")
    }
    # Emotion2Vec-S itself does not normalize: its data's task does.
    config = _official(spec)
    normalize = {"normalize": bool(config.get("normalize"))}
    model = build(weights, config, normalize, labels)
    for case, description in spec["cases"].items():
        inputs = {
            key: tensors[value["key"]]
            for key, value in description["inputs"].items()
        }
        reference = {
            key: tensors[value["key"]]
            for key, value in description["outputs"].items()
        }
        with torch.inference_mode():
            yield from _check_case(case, model, inputs, reference, spec)


def _check_keys(spec, labels):
    """Every official key, at full size, is taken or named."""
    with torch.device("meta"):
        official = {k: torch.empty(shape) for k, shape in spec["keys"].items()}
    model = build(official, _official(spec), labels=labels)
    for key, why in model.unused.items():
        yield Result("unused", key, 0.0, why, True)
    taken = len((model.classifier or model.encoder).state_dict())
    complete = taken + len(model.unused) == len(official)
    what = f"{taken} taken + {len(model.unused)} unused = {len(official)}"
    yield Result("keys", "all", 0.0, what, complete)


def _check_case(case, model, inputs, reference, spec):
    allowed = spec.get("tolerance", {})
    atol, rtol = allowed.get("atol", 1e-4), allowed.get("rtol", 1e-4)
    wavs = inputs["waveform"]
    samples = torch.full((len(wavs),), wavs.shape[1])
    if "padding_mask_in" in inputs:
        samples = (~inputs["padding_mask_in"]).sum(1)
    batch = _outputs(model, wavs, samples)
    alone = [
        _outputs(model, wav[None, :count], torch.tensor([count]))
        for wav, count in zip(wavs, samples.tolist(), strict=True)
    ]
    full = samples == wavs.shape[1]
    for output, golden in reference.items():
        if output == "alibi_bias_crop":
            ours = _alibi_crop(model.encoder, golden.shape)
            yield close(case, output, ours, golden, atol, rtol)
        elif output == "logits":
            ours = model.classifier.heads["emotion"](batch["pooled"])
            yield close(case, output, ours, golden, atol, rtol)
        elif output.startswith("single."):
            _, item, what = output.split(".", 2)
            ours, row = alone[int(item)][what], batch[what][int(item)]
            yield _worst(
                case,
                output,
                [
                    close(case, output, ours, golden, atol, rtol),
                    # In the batch as alone: stricter than the golden numbers.
                    close(
                        case, output, row[: ours.shape[1]], ours[0], 1e-5, 1e-5
                    ),
                ],
            )
        elif full.all() or not golden.is_floating_point():
            yield close(case, output, batch[output], golden, atol, rtol)
        else:
            # Where padding alters the official numbers, the item alone is
            # the reference; full items and shapes compare as they are.
            rows = [close(case, output, batch[output], batch[output])]
            if batch[output].shape != golden.shape:
                rows = [close(case, output, batch[output], golden)]
            for i, single in enumerate(alone):
                ours, target = batch[output][i], golden[i]
                if not full[i]:
                    target = reference.get(f"single.{i}.{output}")
                    target = single[output][0] if target is None else target[0]
                    ours = ours[: len(target)]
                rows.append(close(case, output, ours, target, atol, rtol))
            yield _worst(case, output, rows)


def _worst(case, output, results):
    """One line for several comparisons of one output."""
    failed = [result for result in results if not result.passed]
    worst = max(failed or results, key=lambda result: result.difference)
    return worst._replace(case=case, output=output)


def _alibi_crop(encoder, shape):
    """First rows and columns of the bias, as the first block gets it; scales
    of single layers are applied later in the official code."""
    scale = encoder.alibi_scale.clone()
    if len(scale) > 1:
        encoder.alibi_scale.fill_(1.0)
    places = torch.arange(shape[-1])[None]
    bias = attention_bias(
        places,
        None,
        encoder.num_tokens,
        encoder.alibi_slopes,
        encoder.alibi_scale,
    )(0)
    encoder.alibi_scale.copy_(scale)
    return bias[:, : shape[1], : shape[2], : shape[3]]


def _outputs(model, wavs, samples):
    """Everything a bundle may ask for, under its names."""
    encoder, seen = model.encoder, {}
    hooks = [
        encoder.positions.register_forward_hook(
            lambda module, args, x: seen.update(x_pos=x)
        )
    ]
    if encoder.prenet:
        hooks.append(
            encoder.prenet[-1].register_forward_hook(
                lambda module, args, x: seen.update(context_out=x[0])
            )
        )
    # Every item of a batch in one piece, so that padding is really there.
    encoder.max_padding = 1.0
    wav_lens = samples.double() / wavs.shape[1]
    features = encoder.extract(wavs, wav_lens)
    frames, lengths, tokens, _ = features
    for hook in hooks:
        hook.remove()
    local, _ = encoder.frontend(wavs, wav_lens)
    # The official layers have the tokens in front.
    _, _, layers = encoder.contextualise(local, lengths, all_layers=True)
    places = torch.arange(frames.shape[1])
    outputs = {
        **seen,
        **{f"layer_results.{i}": layer for i, layer in enumerate(layers)},
        "x": frames,
        "utt_tokens": tokens,
        "utt_x_released": frames[:, : encoder.num_tokens],
        "padding_mask": places >= lengths.unsqueeze(1),
        "local_features": local,
        "normalised": normalize(wavs, samples),
    }
    outputs["pooled"] = masked_mean(frames, lengths)
    if model.classifier is not None:
        outputs["logits"] = model.classifier.classify(features)["emotion"]
        outputs["probs"] = outputs["logits"].softmax(-1)
    return outputs
