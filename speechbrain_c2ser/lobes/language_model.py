"""Any Hugging Face causal language model that continues embeddings.

It learns answers (full training or LoRA), writes them (``generate``), and
weighs a closed set of them (``score``) with one pass over what they share.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    DynamicCache,
    GenerationConfig,
)
from transformers.modeling_layers import GradientCheckpointingLayer

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.merging import IGNORED

# C2SER's choice: all projections of a layer but ``up_proj``.
LORA_TARGETS = (
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "down_proj",
)


@dataclass
class AnswerOutput:
    """What the language model makes of a batch of answers of N tokens in all.

    Arguments
    ---------
    loss : torch.Tensor
        Cross-entropy, mean over the N tokens.
    item_loss : torch.Tensor
        [B] mean over each item's tokens; 0 for an item without any.
    num_tokens : torch.Tensor
        [B] number of answer tokens of each item.
    logits : torch.Tensor
        [N, V] predictions of the answer tokens, in float32.
    hidden : torch.Tensor
        [N, D] the last layer's states they were made from.
    targets : torch.Tensor
        [N] the answer tokens' ids.
    items : torch.Tensor
        [N] the item each token belongs to; tokens are in reading order.
    """

    loss: torch.Tensor
    item_loss: torch.Tensor
    num_tokens: torch.Tensor
    logits: torch.Tensor
    hidden: torch.Tensor
    targets: torch.Tensor
    items: torch.Tensor


@remember_arguments
class LanguageModel(torch.nn.Module):
    """Causal language model with its tokenizer, trained whole, by LoRA or not.

    Arguments
    ---------
    source : str
        Folder or hub id of a Hugging Face causal LM with its tokenizer.
    lora : dict | None
        ``{"rank", "alpha", "dropout", "targets"}`` adds LoRA to a frozen
        base; what is left out is C2SER's: 8, 32, 0.1, all but ``up_proj``.
    freeze : bool
        Whether the base stays as it is (and in eval mode, always).
    dtype : str
        Type of the base's weights: "float32", "bfloat16" or "float16".
        LoRA's stay in float32.
    quantize : str | None
        "nf4" holds a frozen base in 4 bits; needs CUDA and bitsandbytes.
    gradient_checkpointing : bool
        Recompute layers in the backward pass to save memory.
    pretrained : bool
        False builds the architecture from the configuration alone, with
        random weights (or none, under ``torch.device("meta")``).

    Raises
    ------
    ValueError
        For a folder without a tokenizer, weights that do not fit, or
        arguments that contradict each other.
    """

    def __init__(
        self,
        source,
        lora=None,
        freeze=True,
        dtype="float32",
        quantize=None,
        gradient_checkpointing=False,
        pretrained=True,
    ):
        super().__init__()
        if lora is not None and not freeze:
            raise ValueError(
                "LoRA adapts a frozen language model: set freeze: True, or "
                "lora: null to train the whole model."
            )
        self.source = str(source)
        self.frozen = freeze
        self.tokenizer = _load_tokenizer(self.source)
        self.model = _load_model(self.source, dtype, quantize, pretrained)
        # Sampling defaults of chat models must not leak into our decoding.
        self.model.generation_config = GenerationConfig()
        rows = self.model.get_input_embeddings().weight.shape[0]
        if len(self.tokenizer) > rows:
            raise ValueError(
                f"The tokenizer of {self.source} has {len(self.tokenizer)} "
                f"tokens, its model embeds only {rows}; they do not belong "
                "together."
            )
        if freeze:
            self.model.requires_grad_(False)
        if lora is not None:
            _add_lora(self.model, **lora)
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.gradient_checkpointing = gradient_checkpointing
        self.train(self.training)

    @property
    def hidden_size(self):
        """Width D of the embeddings."""
        return self.model.get_input_embeddings().weight.shape[1]

    def train(self, mode=True):
        """Training mode; a frozen base stays in eval, LoRA's dropout follows.

        Arguments
        ---------
        mode : bool
            True for training.

        Returns
        -------
        LanguageModel
        """
        super().train(mode)
        if self.frozen:
            self.model.eval()
            for module in self.model.modules():
                if isinstance(module, LoraLayer):
                    module.lora_dropout.train(mode)
                # A layer recomputes only if its own flag (not its
                # children's, which hold the dropouts) says training.
                if isinstance(module, GradientCheckpointingLayer):
                    module.training = mode and self.gradient_checkpointing
        return self

    def tokenize(self, text):
        """Token ids of a text, without special tokens.

        Arguments
        ---------
        text : str

        Returns
        -------
        torch.Tensor
            [N] integers, on the model's device.
        """
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return torch.tensor(ids, dtype=torch.long, device=self.device)

    @property
    def device(self):
        """Where the embeddings are."""
        return self.model.get_input_embeddings().weight.device

    def embed(self, ids):
        """Embeddings [N, D] of token ids [N]."""
        return self.model.get_input_embeddings()(ids)

    def forward(self, merged):
        """Predict the answers; the vocabulary is projected to only there.

        Arguments
        ---------
        merged : speechbrain_c2ser.lobes.merging.Merged
            Sequences with answers, padded on either side.

        Returns
        -------
        AnswerOutput
        """
        items, positions = merged.answer_positions
        if len(items) == 0:
            raise ValueError("The batch has no answer token to learn from.")
        states = self.decode(merged).last_hidden_state
        hidden = states[items, positions - 1]
        targets = merged.labels[items, positions]
        logits = self._project(hidden)
        losses = torch.nn.functional.cross_entropy(
            logits, targets, reduction="none"
        )
        num_tokens = (merged.labels != IGNORED).sum(1)
        totals = losses.new_zeros(len(num_tokens)).index_add(0, items, losses)
        return AnswerOutput(
            loss=losses.mean(),
            item_loss=totals / num_tokens.clamp(min=1),
            num_tokens=num_tokens,
            logits=logits,
            hidden=hidden,
            targets=targets,
            items=items,
        )

    @torch.no_grad()
    def generate(
        self,
        merged,
        end_token_id,
        max_new_tokens=400,
        num_beams=1,
        repetition_penalty=1.0,
        min_new_tokens=0,
    ):
        """Continue the sequences, greedily or by beam search.

        Arguments
        ---------
        merged : speechbrain_c2ser.lobes.merging.Merged
            Sequences padded on the left.
        end_token_id : int
            Token that ends an answer.
        max_new_tokens : int
            Length limit.
        num_beams : int
            1 = greedy.
        repetition_penalty : float
            Over 1 discourages tokens already written (only new ones count).
        min_new_tokens : int
            The end is not allowed before so many tokens.

        Returns
        -------
        torch.Tensor
            [B, N] new token ids; after its end an answer is filled with
            ``end_token_id``.
        """
        return self.model.generate(
            inputs_embeds=merged.embeddings,
            attention_mask=merged.attention_mask,
            generation_config=GenerationConfig(
                max_new_tokens=max_new_tokens,
                min_new_tokens=min_new_tokens,
                num_beams=num_beams,
                repetition_penalty=repetition_penalty,
                do_sample=False,
                eos_token_id=end_token_id,
                pad_token_id=end_token_id,
            ),
        )

    @torch.no_grad()
    def score(self, merged, endings):
        """Log-probability of several endings of each sequence.

        The sequences, with the answer tokens that all endings share, are
        read once; their KV cache is repeated and all endings of the batch
        go through the model together.

        Arguments
        ---------
        merged : speechbrain_c2ser.lobes.merging.Merged
            Sequences padded on the left. Labelled positions at their ends
            (shared answer tokens) count towards every ending.
        endings : list[list[list[int]]]
            B lists of K token sequences of at least one token.

        Returns
        -------
        torch.Tensor
            [B, K] summed log-probabilities, shared tokens included.
        """
        cache = DynamicCache(config=self.model.config)
        states = self.decode(merged, cache).last_hidden_state
        items, positions = merged.answer_positions
        batch, count = len(endings), len(endings[0])

        rows = [torch.tensor(e) for ending in endings for e in ending]
        tokens = torch.nn.utils.rnn.pad_sequence(
            rows, batch_first=True, padding_value=IGNORED
        ).to(self.device)
        valid = tokens != IGNORED
        tokens = tokens.clamp(min=0)

        # One projection for the shared tokens and the first of each ending.
        logits = self._project(
            torch.cat((states[items, positions - 1], states[:, -1]))
        ).log_softmax(-1)
        shared, first = logits.split((len(items), batch))
        targets = merged.labels[items, positions]
        total = shared.new_zeros(batch).index_add(
            0, items, shared.gather(1, targets[:, None])[:, 0]
        )
        first = first.gather(1, tokens[:, 0].view(batch, count))
        total = (total[:, None] + first).flatten()

        if tokens.shape[1] > 1:
            cache.batch_repeat_interleave(count)
            mask = merged.attention_mask.repeat_interleave(count, 0)
            start = merged.position_ids[:, -1:].repeat_interleave(count, 0)
            steps = torch.arange(1, tokens.shape[1], device=self.device)
            states = self._base(
                inputs_embeds=self.embed(tokens[:, :-1]),
                attention_mask=torch.cat((mask, valid[:, :-1].long()), 1),
                position_ids=start + steps,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
            valid = valid[:, 1:]
            logits = self._project(states[valid]).log_softmax(-1)
            rows = valid.nonzero(as_tuple=True)[0]
            rest = logits.gather(1, tokens[:, 1:][valid][:, None])[:, 0]
            total = total.index_add(0, rows, rest)
        return total.view(batch, count)

    def decode(self, merged, cache=None):
        """Read whole sequences.

        Arguments
        ---------
        merged : speechbrain_c2ser.lobes.merging.Merged
            The sequences.
        cache : transformers.Cache | None
            Filled with their keys and values.

        Returns
        -------
        transformers.modeling_outputs.BaseModelOutputWithPast
            ``last_hidden_state`` is [B, S, D].
        """
        return self._base(
            inputs_embeds=merged.embeddings,
            attention_mask=merged.attention_mask,
            position_ids=merged.position_ids,
            past_key_values=cache,
            use_cache=cache is not None,
        )

    @property
    def _base(self):
        """The model without its vocabulary projection."""
        return self.model.get_decoder()

    def _project(self, hidden):
        """Logits [N, V] in float32 of states [N, D]."""
        logits = self.model.get_output_embeddings()(hidden).float()
        # What Cohere, Granite and Gemma models do behind the projection.
        config = self.model.config
        if getattr(config, "logit_scale", None):
            logits = logits * config.logit_scale
        if getattr(config, "logits_scaling", None):
            logits = logits / config.logits_scaling
        if getattr(config, "final_logit_softcapping", None):
            cap = config.final_logit_softcapping
            logits = torch.tanh(logits / cap) * cap
        return logits


def _load_tokenizer(source):
    problem = (
        f"{source} holds no tokenizer that can be read: put the language "
        "model's tokenizer files (tokenizer.json, tokenizer_config.json) "
        "beside its config.json."
    )
    # Without tokenizer files transformers may build an empty tokenizer.
    files = ("tokenizer.json", "vocab.json", "tokenizer.model", "vocab.txt")
    folder = Path(source)
    if folder.is_dir() and not any((folder / f).is_file() for f in files):
        raise ValueError(problem)
    try:
        return AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{problem} ({error})") from error


def _load_model(source, dtype, quantize, pretrained):
    dtype = getattr(torch, dtype)
    if quantize not in (None, "nf4"):
        raise ValueError(f"quantize must be null or 'nf4', not {quantize!r}.")
    if not pretrained:
        config = AutoConfig.from_pretrained(source)
        return AutoModelForCausalLM.from_config(config, dtype=dtype)
    options = {}
    if quantize is not None:
        if not torch.cuda.is_available():
            raise RuntimeError(
                "quantize: nf4 needs a CUDA device; set quantize: null here."
            )
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
        )
    model, info = AutoModelForCausalLM.from_pretrained(
        source, dtype=dtype, output_loading_info=True, **options
    )
    problems = {k: sorted(map(str, v)) for k, v in info.items() if v}
    if problems:
        raise ValueError(
            f"The weights of {source} do not fit its config.json: {problems}."
        )
    return model


def _add_lora(model, rank=8, alpha=32, dropout=0.1, targets=LORA_TARGETS):
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(targets),
    )
    inject_adapter_in_model(config, model)
    # Small updates would be lost in a base's half precision.
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
