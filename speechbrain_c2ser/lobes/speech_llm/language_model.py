"""Any Hugging Face causal language model that continues embeddings.

It learns answers (full training or LoRA), writes them (``generate``), and
weighs a closed set of them (``score``) with one pass over what they share.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from transformers import DynamicCache, GenerationConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.attention_in_tiles import use_tiles
from speechbrain_c2ser.lobes.lora import (
    add_lora,
    leave_types_to_autocast,
    train_adapters,
)
from speechbrain_c2ser.lobes.speech_llm.branches import (
    branch_out,
    grow_tree,
    layers_without_mask,
    read_tree,
)
from speechbrain_c2ser.lobes.speech_llm.llm_loading import (
    load_model,
    load_tokenizer,
    narrow_base,
    type_to_hold,
)
from speechbrain_c2ser.lobes.speech_llm.merging import (
    IGNORED,
    Speech,
    without_last,
)
from speechbrain_c2ser.lobes.speech_llm.packing import RowPacking, read_whole
from speechbrain_c2ser.lobes.speech_llm.prompt_memory import (
    Past,
    PromptMemory,
    out_of_rows,
)
from speechbrain_c2ser.lobes.speech_llm.vocabulary import Vocabulary
from speechbrain_c2ser.lobes.speech_llm.writing import write_behind


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
    make_logits : Callable
        () -> the logits [N, V].
    hidden : torch.Tensor
        [N, D] the last layer's states that predict the answer tokens.
    targets : torch.Tensor
        [N] the answer tokens' ids.
    items : torch.Tensor
        [N] the item each token belongs to; tokens are in reading order.
    speech : speechbrain_c2ser.lobes.speech_llm.merging.Speech | None
        What the answers are about, where the caller kept it.
    """

    loss: torch.Tensor
    item_loss: torch.Tensor
    num_tokens: torch.Tensor
    make_logits: Callable
    hidden: torch.Tensor
    targets: torch.Tensor
    items: torch.Tensor
    speech: Speech | None = None

    @cached_property
    def logits(self):
        """[N, V] predictions of the answer tokens, in float32; made when they
        are first asked for: the loss does without."""
        return self.make_logits()


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
    device : str | None
        Device that pre-trained weights are read straight onto, so that no
        process holds a copy on the host; "auto" is CUDA's current one where
        there is one. None = the host: the weights move with the module.
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
        device=None,
        pretrained=True,
    ):
        super().__init__()
        if lora is not None and not freeze:
            raise ValueError(
                "LoRA adapts a frozen language model: set freeze: True, or "
                "lora: null to train the whole model."
            )
        self.source = str(source)
        self.frozen, self._held = freeze, False
        self.tokenizer = load_tokenizer(self.source)
        self.model = use_tiles(
            load_model(self.source, dtype, quantize, device, pretrained)
        )
        # The first step of a generation projects a slice of the states, and
        # for a slice torch copies the projection [V, D] once for each item.
        self.model.get_output_embeddings().register_forward_pre_hook(
            _contiguous
        )
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
            add_lora(self.model, **lora)
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.gradient_checkpointing = gradient_checkpointing
        self._memory = PromptMemory(self.model)
        self._packing = RowPacking(self.model)
        self._vocabulary = Vocabulary(self.model)
        self.model.register_load_state_dict_post_hook(
            lambda *_: self._memory.forget()
        )
        self.train(self.training)

    @property
    def hidden_size(self):
        """Width D of the embeddings."""
        return self.model.get_input_embeddings().weight.shape[1]

    def train(self, mode=True):
        """Training mode; a frozen base stays in eval, LoRA's dropout follows.

        What :meth:`score` remembers of prompts is forgotten: an epoch and a
        validation both begin with this call.

        Arguments
        ---------
        mode : bool
            True for training.

        Returns
        -------
        LanguageModel
        """
        super().train(mode)
        self._memory.forget()
        if self.frozen:
            self.model.eval()
            train_adapters(self.model, mode)
            # validation has a precision of its own, often without autocast
            leave_types_to_autocast(self.model, mode and self._held)
            for module in self.model.modules():
                # A layer recomputes only if its own flag (not its
                # children's, which hold the dropouts) says training.
                if isinstance(module, GradientCheckpointingLayer):
                    module.training = mode and self.gradient_checkpointing
        return self

    def hold_for(self, dtype) -> None:
        """Keep the base in :func:`.llm_loading.type_to_hold`'s type, to be
        trained under autocast alone; LoRA stays in float32."""
        held = type_to_hold(self.model, dtype)
        if held is not None:
            narrow_base(self.model, held)
            self._held = True
            self.train(self.training)

    def tokenize(self, text) -> list[int]:
        """Token ids of a text, without special tokens.

        Arguments
        ---------
        text : str

        Returns
        -------
        list[int]
        """
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    @property
    def keeps_positions(self):
        """Whether what was read can be read on from at any position."""
        return not layers_without_mask(self.model)

    @property
    def device(self):
        """Where the embeddings are."""
        return self.model.get_input_embeddings().weight.device

    def embed(self, sequences) -> tuple[torch.Tensor, ...]:
        """Embeddings of several sequences of tokens, in one look-up.

        Arguments
        ---------
        sequences : list[list[int]]
            B lists of N_i token ids.

        Returns
        -------
        tuple[torch.Tensor, ...]
            B tensors [N_i, D].
        """
        ids = self._integers([token for each in sequences for token in each])
        embeddings = self.model.get_input_embeddings()(ids)
        return embeddings.split([len(each) for each in sequences])

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
        packed = self._packing.read(merged)
        states = self.decode(merged) if packed is None else packed
        hidden = states[items, positions - 1]
        targets = merged.labels[items, positions]
        losses, make_logits = self._vocabulary.losses(hidden, targets)
        num_tokens = (merged.labels != IGNORED).sum(1)
        totals = losses.new_zeros(len(num_tokens)).index_add(0, items, losses)
        return AnswerOutput(
            loss=losses.mean(),
            item_loss=totals / num_tokens.clamp(min=1),
            num_tokens=num_tokens,
            make_logits=make_logits,
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
        prompt=None,
    ):
        """Continue the sequences, greedily or by beam search.

        As for :meth:`score`, sequences of unlike length share rows as they
        are read, and what all begin with is read once for all batches.

        Arguments
        ---------
        merged : speechbrain_c2ser.lobes.speech_llm.merging.Merged
            Sequences padded on the left, of at least two positions.
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
        prompt : list[int] | None
            Token ids that stand before every sequence; not for a model that
            keeps no positions.

        Returns
        -------
        ids : torch.Tensor
            [B, N] new token ids; after its end an answer is filled with
            ``end_token_id``.
        past : Past | None
            As of :func:`.writing.write_behind`; None where the model keeps no
            positions.
        """
        settings = GenerationConfig(
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
            num_beams=num_beams,
            repetition_penalty=repetition_penalty,
            do_sample=False,
            eos_token_id=end_token_id,
            pad_token_id=end_token_id,
        )
        if not self.keeps_positions:
            if prompt:
                raise ValueError(f"{self.source} cannot remember a prompt.")
            ids = self.model.generate(
                inputs_embeds=merged.embeddings,
                attention_mask=merged.attention_mask,
                generation_config=settings,
            )
            return ids, None
        start = without_last(merged)
        rows = self._packing.rows(start.lengths, start.embeddings)
        if prompt:
            past = self._memory.read(prompt, len(rows))
        else:
            nothing = start.attention_mask[: len(rows), :0]
            past = Past(DynamicCache(), nothing)
        nobody = [[]] * len(start.lengths)
        tree = grow_tree(start, self.embed(nobody), nobody, rows)
        _, cache = read_tree(self.model, tree, past)
        past = out_of_rows(
            cache, tree.starts, start.lengths, past.mask.shape[1]
        )
        last = merged.embeddings[range(len(merged.last)), merged.last]
        return write_behind(self.model, last, past, settings)

    @torch.no_grad()
    def score(self, merged, endings, prompt=None, past=None) -> torch.Tensor:
        """Log-probability of several endings of each sequence.

        What the endings share is read once: they stand side by side behind
        it as branches that see the shared part and themselves, but not each
        other. One pass gives all endings of a batch; sequences of unlike
        length share rows. What all begin with is read once for all batches.

        Arguments
        ---------
        merged : speechbrain_c2ser.lobes.speech_llm.merging.Merged
            Sequences padded on the right. Labelled positions at their ends
            (shared answer tokens) count towards every ending.
        endings : list[list[list[int]]]
            B lists of up to K token sequences of at least one token.
        prompt : list[int] | None
            Token ids that stand before every sequence.
        past : Past | None
            What was read before each sequence; it stays as it is. Then no
            prompt stands before them.

        Returns
        -------
        torch.Tensor
            [B, K] summed log-probabilities, shared tokens included; minus
            infinity where an item has fewer endings.

        Raises
        ------
        ValueError
            For a model whose layers cannot read branches side by side.
        """
        shape = len(endings), max(map(len, endings))  # B, K
        branches = branch_out(endings, merged.lengths)
        rows = None
        if past is None:
            pairs = zip(merged.lengths, branches.read, strict=True)
            lengths = [length + len(read) for length, read in pairs]
            rows = self._packing.rows(lengths, merged.embeddings)
            past = self._memory.read(prompt, len(rows)) if prompt else None
        words = self.embed(branches.read)
        tree = grow_tree(merged, words, branches.branch, rows)
        states, _ = read_tree(self.model, tree, past)  # [R, L, D]

        items, positions = merged.answer_positions  # [M] of shared tokens
        owners = self._integers((branches.items, branches.endings))  # [2, N]
        places = self._integers((branches.items, branches.positions))
        places = torch.cat((torch.stack((items, positions - 1)), places), 1)
        # Row and column of each.
        starts = self._integers(tree.starts)[places[0]].T  # [2, M + N]
        places = torch.stack((starts[0], starts[1] + places[1]))
        targets = self._integers(branches.targets)
        targets = torch.cat((merged.labels[items, positions], targets))
        # Several tokens may follow one state, which is projected once.
        places, rows = places.unique(dim=1, return_inverse=True)
        log_probs = self._vocabulary.log_probs(
            states[places[0], places[1]], rows, targets
        )  # [M + N]

        scores = log_probs.new_full(shape, -torch.inf)
        scores[owners[0], owners[1]] = 0.0
        shared, branch_log_probs = log_probs.split(
            (len(items), owners.shape[1])
        )
        scores.index_put_(
            (owners[0], owners[1]), branch_log_probs, accumulate=True
        )
        return scores.index_add(0, items, shared[:, None].expand(-1, shape[1]))

    def decode(self, merged):
        """States [B, S, D] of whole sequences, as :func:`.read_whole`."""
        return read_whole(self.model, merged)

    def _integers(self, numbers):
        return torch.tensor(numbers, dtype=torch.long, device=self.device)


def _contiguous(module, inputs):
    return tuple(x.contiguous() for x in inputs)
