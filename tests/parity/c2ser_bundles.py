"""Parity with the authors' C2SER model and log-mel (bundles of numbers).

Everything is built from a bundle's configuration and weights. In a padded
batch the official encoder lets padding leak into valid frames; an item that
was padded is therefore compared with the case of the same item alone.
"""

import json
import re
import tempfile
from pathlib import Path

import torch
from result import Result, close
from tokenizers import Tokenizer, models
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from speechbrain_c2ser.checkpoints.converters.c2ser_keys import rename, sizes
from speechbrain_c2ser.lobes.encoders.features import SpeechFeatures
from speechbrain_c2ser.lobes.encoders.whisper import WhisperEncoder
from speechbrain_c2ser.lobes.speech_llm.connectors import ConnectorTransformer
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel
from speechbrain_c2ser.lobes.speech_llm.perception import ContextualPerception
from speechbrain_c2ser.lobes.speech_llm.speech_emotion_llm import (
    SpeechEmotionLLM,
)

KIND = "c2ser_llm"

# Which mask tells an output's valid positions, and how.
SEGMENT_MASKS = {
    "encoder_out": "encoder_mask",
    "encoder_mask": "encoder_mask",
    "downsampled": "downsampled_mask",
    "downsampled_mask": "downsampled_mask",
    "adapter_in": "speech_masks",
    "adapter_out": "speech_masks",
    "speech_embeds": "speech_masks",
    "speech_masks": "speech_masks",
    "inputs_embeds": "attention_mask",
    "attention_mask": "attention_mask",
    "position_ids": "attention_mask",
    "labels": "attention_mask",
    "logits": "attention_mask",
}


def understands(name, spec):
    """Whether the bundle is C2SER's LLM, its log-mel or its full-size keys."""
    config = spec.get("config", {})
    return (
        "LLMASR_Model" in config
        or {"n_fft", "n_mels"} <= set(config)
        or "encoder_conf" in config
    )


def check(name, spec, tensors):
    """Yields one Result for every output of every case."""
    config = spec["config"]
    with tempfile.TemporaryDirectory() as folder:
        if "encoder_conf" in config:
            yield from check_full_size(spec, folder)
        elif "LLMASR_Model" in config:
            yield from check_model(spec, tensors, folder)
        else:
            yield from check_mel(spec, tensors)


def check_mel(spec, tensors):
    """Log-mel of every waveform."""
    config, tolerance = spec["config"], spec["tolerance"]
    built = {"sample_rate": 16000, "n_fft": 400, "hop_length": 160}
    for key, value in built.items():
        if config.get(key, value) != value:
            raise ValueError(f"{key} = {config[key]}; ours is always {value}.")
    encoder = WhisperEncoder(
        num_layers=1,
        size=8,
        num_heads=1,
        ffn_size=8,
        n_mels=config["n_mels"],
    )
    for case, parts in spec["cases"].items():
        waveform = tensors[f"inputs/{case}/waveform"].float()
        waveform = torch.nn.functional.pad(
            waveform, (0, config.get("padding", 0))
        )
        for output in parts["outputs"]:
            if output != "log_mel":
                raise ValueError(f"{case}: '{output}' is not known.")
            ours, _ = encoder._log_mel(
                waveform.unsqueeze(0), torch.tensor([len(waveform)])
            )
            reference = tensors[f"outputs/{case}/{output}"]
            yield close(
                case,
                output,
                ours[0],
                reference,
                tolerance["atol"],
                tolerance["rtol"],
            )


def check_full_size(spec, folder):
    """Every official key at full size fits our modules, on the meta device."""
    official = {
        key: torch.empty(shape, device="meta")
        for key, shape in spec["keys"].items()
    }
    config = spec["config"]
    tensors, unused = rename(official)
    model = build(
        official,
        encoder_heads=config["encoder_conf"]["attention_heads"],
        connector_heads=4,
        language_model=qwen2_config(tensors),
        lora={
            "rank": config.get("lora_rank", 8),
            "alpha": config.get("lora_alpha", 32),
        },
        folder=folder,
        device="meta",
    )
    wrong = [
        key
        for key, ours in model.state_dict().items()
        if key not in tensors or tensors[key].shape != ours.shape
    ]
    homeless = set(tensors) - set(model.state_dict())
    left = len(official) - len(unused) - _number_taken(tensors)
    for key, why in unused.items():
        yield Result("unused", key, 0.0, why, True)
    for what, count in (
        ("our tensors without a key of their shape", len(wrong)),
        ("official keys without a place", len(homeless)),
        ("keys neither taken nor named unused", left),
    ):
        yield Result("full_size", what, float(count), "0", count == 0)


def _number_taken(tensors):
    """Official keys behind renamed tensors: q, k, v became one in_proj."""
    return sum(3 if ".in_proj_" in key else 1 for key in tensors)


def qwen2_config(tensors):
    """Qwen2 configuration whose shapes are those of the tensors."""

    def shape(name):
        for middle in ("", ".base_layer"):
            key = f"language_model.model.model.{name}{middle}.weight"
            if key in tensors:
                return tensors[key].shape
        raise KeyError(name)

    layer = "layers.0."
    vocabulary, hidden = shape("embed_tokens")
    queries, _ = shape(layer + "self_attn.q_proj")
    keys, _ = shape(layer + "self_attn.k_proj")
    intermediate, _ = shape(layer + "mlp.gate_proj")
    head = 128
    return {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": len(
            {
                key.split(".layers.")[1].split(".")[0]
                for key in tensors
                if key.startswith("language_model.") and ".layers." in key
            }
        ),
        "num_attention_heads": queries // head,
        "num_key_value_heads": keys // head,
    }


class FromMel(torch.nn.Module):
    """A semantic encoder that is given log-mel frames, not waveforms."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder.encoder
        self.encode = encoder._encode

    def extract(self, mel, lengths):
        (frames,) = self.encode(mel, lengths)
        return SpeechFeatures(frames, (lengths + 1) // 2)


def build(
    official,
    encoder_heads,
    connector_heads,
    language_model,
    lora,
    folder,
    device="cpu",
):
    """Model of the official sizes, for log-mel and given utterance vectors."""
    # As transformers 4 reads it, too.
    theta = language_model.get("rope_parameters", {}).get("rope_theta", 1e4)
    language_model = {"rope_theta": theta, **language_model}
    (Path(folder) / "config.json").write_text(json.dumps(language_model))
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    ).save_pretrained(folder)
    numbers = sizes(official)
    with torch.device(device):
        encoder = WhisperEncoder(
            num_heads=encoder_heads, **numbers["semantic_encoder"]
        )
        connector = ConnectorTransformer(
            num_heads=connector_heads,
            utterance_size=numbers["connector"]["input_size"],
            **numbers["connector"],
        )
        model = SpeechEmotionLLM(
            ContextualPerception(
                FromMel(encoder), torch.nn.Identity(), connector
            ),
            LanguageModel(folder, lora=lora, pretrained=False),
            end_token_id=0,
        )
    return model.eval()


def check_model(spec, tensors, folder):
    """Encoder, connector, merged input, logits, loss and generated ids."""
    config = spec["config"]
    official = {
        key.removeprefix("weights/"): value.float()
        for key, value in tensors.items()
        if key.startswith("weights/")
    }
    state, _ = rename(official)
    model = build(
        official,
        encoder_heads=config["encoder (TransformerEncoder)"]["attention_heads"],
        connector_heads=config[
            "speech_transformer (hard-coded in LLMASR_Model)"
        ]["attention_heads"],
        language_model=config["qwen2"],
        lora=_lora(config),
        folder=folder,
    )
    model.load_state_dict(state)

    cases = {
        case: {
            side: {
                name: tensors[f"{side}/{case}/{name}"] for name in parts[side]
            }
            for side in ("inputs", "outputs")
        }
        for case, parts in spec["cases"].items()
    }
    for case, data in cases.items():
        facts = spec["cases"][case].get("facts", {})
        if "generated_ids" in data["outputs"]:
            results = check_generation(model, case, data, facts, spec)
        else:
            results = check_forward(model, case, data, cases, spec)
        yield from results


def _lora(config):
    if not config["LLMASR_Model"]["lora"]:
        return None
    return {
        "rank": config["lora"]["r"],
        "alpha": config["lora"]["lora_alpha"],
        "targets": config["lora"]["target_modules"],
    }


@torch.no_grad()
def run(model, inputs):
    """Ours, per item and unpadded: name -> list of one tensor per item."""
    prompts, answers = [], []
    for i in range(len(inputs["target"])):
        prompt = []
        if "prompt" in inputs:
            prompt = inputs["prompt"][i, : inputs["prompt_lengths"][i]].tolist()
        prompts.append(prompt)
        target = inputs["target"][i, : inputs["target_lengths"][i]]
        answers.append(target.tolist())
    with Intermediates(model) as seen:
        speech = model.listen(*speech_inputs(inputs), **vectors(inputs))
        merged = model.merge(speech, prompts, answers)
    logits = model.language_model.model(
        inputs_embeds=merged.embeddings,
        attention_mask=merged.attention_mask,
        position_ids=merged.position_ids,
    ).logits
    output = model.loss(speech, prompts, answers)

    full = merged.attention_mask.sum(1)
    ours = {
        name: [row[:count] for row, count in zip(rows, counts, strict=True)]
        for name, (rows, counts) in {
            **seen.outputs,
            "inputs_embeds": (merged.embeddings, full),
            "position_ids": (merged.position_ids, full),
            "labels": (merged.labels, full),
            "attention_mask": (merged.attention_mask.bool(), full),
            "logits": (logits, full),
        }.items()
    }
    return ours, output


def speech_inputs(inputs):
    """Log-mel and lengths; what stands for them without a semantic encoder."""
    if "feats" in inputs:
        return inputs["feats"], inputs["feats_lengths"].long()
    return torch.zeros(len(inputs["ssl_vecs"]), 1), None


def vectors(inputs):
    """The utterance vectors as a batch."""
    ssl = inputs["ssl_vecs"]
    return {"utterance_vectors": ssl if ssl.dim() == 3 else ssl.unsqueeze(0)}


class Intermediates:
    """Keeps what passes between the perception's parts."""

    def __init__(self, model):
        self.connector = model.perception.connector
        self.outputs = {}

    def __enter__(self):
        connector = self.connector
        self.hooks = [
            connector.downsampler.register_forward_hook(self._downsampled),
            connector.register_forward_hook(self._connected),
            connector.input_layer.register_forward_pre_hook(
                lambda _, inputs: self._keep("adapter_in", inputs[0])
            ),
            connector.norm.register_forward_hook(
                lambda _, __, output: self._keep("adapter_out", output)
            ),
        ]
        return self

    def __exit__(self, *exception):
        for hook in self.hooks:
            hook.remove()

    def _keep(self, name, rows, counts=None):
        self.outputs[name] = (rows, counts)

    def _mask(self, name, counts, size):
        rows = torch.arange(size) < counts.unsqueeze(1)
        self._keep(name, rows, counts)

    def _downsampled(self, _, inputs, output):
        self._keep("encoder_out", *inputs)
        self._mask("encoder_mask", inputs[1], inputs[0].shape[1])
        self._keep("downsampled", *output)
        self._mask("downsampled_mask", output[1], output[0].shape[1])

    def _connected(self, _, __, output):
        embeddings, lengths = output
        for name in ("adapter_in", "adapter_out"):
            self._keep(name, self.outputs[name][0], lengths)
        self._keep("speech_embeds", embeddings, lengths)
        self._mask("speech_masks", lengths, embeddings.shape[1])


def check_forward(model, case, data, cases, spec):
    """Compares every item at its valid positions, then the loss."""
    atol, rtol = spec["tolerance"]["atol"], spec["tolerance"]["rtol"]
    inputs, outputs = data["inputs"], data["outputs"]
    encoder = model.perception.semantic_encoder
    if "feats" not in inputs:
        # As an ablation's yaml does.
        model.perception.semantic_encoder = None
    ours, answers = run(model, inputs)
    model.perception.semantic_encoder = encoder
    references = [
        _reference(model, case, item, cases)
        for item in range(len(inputs["ssl_vecs"]))
    ]
    for name in outputs:
        if name == "loss":
            continue
        if name not in SEGMENT_MASKS:
            raise ValueError(f"{case}: '{name}' is not known.")
        rows = [_valid(*reference, name) for reference in references]
        yield _close_rows(case, name, ours[name], rows, atol, rtol)
    if "loss" in outputs:
        loss = outputs["loss"]
        if any(reference is not outputs for reference, _ in references):
            loss = _loss(references).view(1)
        # The bundles say: the loss within 2e-4, relative.
        yield close(case, "loss", answers.loss.view(1), loss, 0.0, 2e-4)


def _reference(model, case, item, cases):
    """The outputs, and the row in them, that an item is compared with.

    Its own row if it was not padded, else the case of the same item alone;
    where no case holds it alone, what we compute for it alone.
    """
    inputs, outputs = cases[case]["inputs"], cases[case]["outputs"]
    if "feats" not in inputs:
        return outputs, item
    count = int(inputs["feats_lengths"][item])
    if count == inputs["feats"].shape[1]:
        return outputs, item
    for other in cases.values():
        feats = other["inputs"].get("feats")
        if (
            "target" in other["inputs"]
            and feats is not None
            and feats.shape[:2] == (1, count)
            and torch.equal(feats[0], inputs["feats"][item, :count])
        ):
            return other["outputs"], 0
    single = {name: rows[item : item + 1] for name, rows in inputs.items()}
    single["feats"] = single["feats"][:, :count]
    alone, _ = run(model, single)
    return {name: rows[0].unsqueeze(0) for name, rows in alone.items()}, 0


def _valid(outputs, item, name):
    """Valid positions of one output of an item, one after the other."""
    row = outputs[name][item]
    mask = outputs.get(SEGMENT_MASKS[name])
    if mask is None:
        return row
    mask = mask[item].reshape(-1)
    # Official masks of frames are (B, 1, T).
    return row.reshape(-1)[mask] if row.dtype == torch.bool else row[mask]


def _close_rows(case, name, ours, references, atol, rtol):
    """One Result over all items; shapes must agree item by item."""
    for row, reference in zip(ours, references, strict=True):
        if row.shape != reference.shape:
            return close(case, name, row, reference, atol, rtol)
    return close(
        case, name, torch.cat(list(ours)), torch.cat(references), atol, rtol
    )


def _loss(references):
    """Mean cross-entropy over the answer tokens, from reference logits."""
    logits = [_valid(*reference, "logits")[:-1] for reference in references]
    labels = [_valid(*reference, "labels")[1:] for reference in references]
    return cross_entropy(torch.cat(logits), torch.cat(labels))


@torch.no_grad()
def check_generation(model, case, data, facts, spec):
    """Greedy and beam decoding with the penalties that outputs are named by."""
    inputs, outputs = data["inputs"], data["outputs"]
    prompt = inputs["prompt_ids"].view(-1).tolist()
    speech = model.listen(*speech_inputs(inputs), **vectors(inputs))
    for name, reference in outputs.items():
        merged = model.merge(
            speech,
            [[] if name.endswith("_no_prompt") else prompt],
            padding_side="left",
        )
        if name == "inputs_embeds":
            yield close(
                case,
                name,
                merged.embeddings,
                reference,
                spec["tolerance"]["atol"],
                spec["tolerance"]["rtol"],
            )
            continue
        ids, _ = model.language_model.generate(
            merged,
            facts["eos_token_id"],
            max_new_tokens=facts["max_new_tokens"],
            **_decoding(name),
        )
        yield close(case, name, ids, reference, 0, 0)


def _decoding(name):
    """Decoding settings behind the name of an output."""
    parts = re.fullmatch(
        r"generated_ids(?:_rep(\d+(?:p\d+)?)|_beam(\d+)|_no_prompt)?", name
    )
    if parts is None:
        raise ValueError(f"'{name}' is not known.")
    penalty = (parts[1] or "1p05").replace("p", ".")
    return {
        "repetition_penalty": float(penalty),
        "num_beams": int(parts[2] or 1),
    }
