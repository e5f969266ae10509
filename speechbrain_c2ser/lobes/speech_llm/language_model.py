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
    GenerationConfig,
)
from transformers.modeling_layers import GradientCheckpointingLayer

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.speech_llm.merging import IGNORED, add_branches
from speechbrain_c2ser.lobes.speech_llm.prompt_memory import PromptMemory

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
        self._memory = PromptMemory(self.model)
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
        return self._integers(ids)

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
        merged : speechbrain_c2ser.lobes.speech_llm.merging.Merged
            Sequences with answers, padded on either side.

        Returns
        -------
        AnswerOutput
        """
        items, positions = merged.answer_positions
        if len(items) == 0:
            raise ValueError("The batch has no answer token to learn from.")
        states = self.decode(merged)
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
        merged : speechbrain_c2ser.lobes.speech_llm.merging.Merged
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
    def score(self, merged, endings, prompt=None):
        """Log-probability of several endings of each sequence.

        What the endings share is read once: they stand side by side behind
        it as branches that see the shared part and themselves, but not each
        other. One pass gives all endings of a batch. What all sequences
        begin with is read once for the whole batch, into the KV cache.

        Arguments
        ---------
        merged : speechbrain_c2ser.lobes.speech_llm.merging.Merged
            Sequences padded on the right. Labelled positions at their ends
            (shared answer tokens) count towards every ending.
        endings : list[list[list[int]]]
            B lists of K token sequences of at least one token.
        prompt : torch.Tensor | None
            [N] token ids that stand before every sequence.

        Returns
        -------
        torch.Tensor
            [B, K] summed log-probabilities, shared tokens included.
        """
        batch, count = len(endings), len(endings[0])
        start = merged.embeddings.shape[1]
        last = (merged.attention_mask.sum(1) - 1).tolist()
        # Each ending's first token is predicted at the sequence's end, the
        # others at the one before them in their branch; the last one is not
        # an input.
        rows, columns, targets, owners = [], [], [], []
        inputs, branches = [], []
        for item, candidates in enumerate(endings):
            tokens, numbers = [], []
            for number, ending in enumerate(candidates):
                first = start + len(tokens)
                columns += [last[item]]
                columns += range(first, first + len(ending) - 1)
                rows += [item] * len(ending)
                owners += [item * count + number] * len(ending)
                targets += ending
                tokens += ending[:-1]
                numbers += [number] * (len(ending) - 1)
            inputs.append(self.embed(self._integers(tokens)))
            branches.append(self._integers(numbers))

        before = 0 if prompt is None else len(prompt)
        cache = self._memory.read(prompt, batch) if before else None
        tree = add_branches(merged, inputs, branches, before)
        states = self.decode(tree, cache)
        items, positions = merged.answer_positions
        rows, columns, targets, owners = map(
            self._integers, (rows, columns, targets, owners)
        )
        # One projection of each state for what the endings share and for
        # themselves; several endings may follow one state.
        places, state = torch.stack(
            (torch.cat((items, rows)), torch.cat((positions - 1, columns)))
        ).unique(dim=1, return_inverse=True)
        logits = self._project(states[places[0], places[1]])
        targets = torch.cat((merged.labels[items, positions], targets))
        log_probs = logits.log_softmax(-1)[state, targets]
        shared, own = log_probs.split((len(items), len(rows)))
        shared = own.new_zeros(batch).index_add(0, items, shared)
        own = own.new_zeros(batch * count).index_add(0, owners, own)
        return shared[:, None] + own.view(batch, count)

    def decode(self, merged, cache=None):
        """States [B, S, D] of whole sequences, without the projection.

        Arguments
        ---------
        merged : speechbrain_c2ser.lobes.speech_llm.merging.Merged
            The sequences.
        cache : transformers.Cache | None
            What was read before them.

        Returns
        -------
        torch.Tensor
        """
        decoder = self.model.get_decoder()
        return decoder(
            inputs_embeds=merged.embeddings,
            attention_mask=merged.attention_mask,
            position_ids=merged.position_ids,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state

    def _integers(self, numbers):
        return torch.tensor(numbers, dtype=torch.long, device=self.device)

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
