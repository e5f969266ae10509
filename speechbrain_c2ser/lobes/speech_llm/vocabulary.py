"""From a language model's states to words: losses and log-probabilities.

A row of logits is as long as the vocabulary. Where the projection is a plain
matrix that is not trained, logits are made and used up piece by piece, in a
processor's cache instead of its memory, and none are kept for the backward
pass (cf. Wijmans et al., 2024, arXiv 2411.09009).
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

# Logits that exist at a time, 8 MB in float32; of whole rows at least so many,
# as each piece reads all weights.
LOGITS_AT_A_TIME, FEWEST_ROWS = 1 << 21, 64
# In float32 on a processor: products that are wider take up to twice as long
# (MKL, 48 rows: 456 ms for all words of Qwen2, 318 in pieces).
WORDS_AT_A_TIME = 1024


class Vocabulary:
    """The projection of a causal language model, whatever it is made of.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        Its projection may be replaced later, or adapted.

    Example
    -------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 16}
    >>> heads = {"num_attention_heads": 2, "num_hidden_layers": 1}
    >>> model = LlamaForCausalLM(LlamaConfig(**sizes, **heads))
    >>> Vocabulary(model).logits(torch.randn(3, 8)).shape
    torch.Size([3, 16])
    """

    def __init__(self, model):
        self._model = model

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of all words.

        Arguments
        ---------
        hidden : torch.Tensor
            [N, D] states.

        Returns
        -------
        torch.Tensor
            [N, V] in float32.
        """
        logits = self._model.get_output_embeddings()(hidden).float()
        # What Cohere, Granite and Gemma models do behind the projection.
        config = self._model.config
        if getattr(config, "logit_scale", None):
            logits = logits * config.logit_scale
        if getattr(config, "logits_scaling", None):
            logits = logits / config.logits_scaling
        if getattr(config, "final_logit_softcapping", None):
            cap = config.final_logit_softcapping
            logits = torch.tanh(logits / cap) * cap
        return logits

    def losses(
        self, hidden: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, Callable]:
        """Cross-entropy of words.

        Arguments
        ---------
        hidden : torch.Tensor
            [N, D] the state that predicts each word.
        targets : torch.Tensor
            [N] the words.

        Returns
        -------
        losses : torch.Tensor
            [N] in float32.
        logits : callable
            () -> the logits [N, V], for who needs them all.
        """
        weight = self._plain_matrix()
        if weight is not None:
            losses = _WordLosses.apply(hidden, weight, targets)
            return losses, lambda: self.logits(hidden)
        logits = self.logits(hidden)
        losses = F.cross_entropy(logits, targets, reduction="none")
        return losses, lambda: logits

    @torch.no_grad()
    def log_probs(
        self, states: torch.Tensor, rows: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Log-probabilities of words; several may follow one state.

        Arguments
        ---------
        states : torch.Tensor
            [R, D].
        rows : torch.Tensor
            [N] the state that predicts each word.
        targets : torch.Tensor
            [N] the words.

        Returns
        -------
        torch.Tensor
            [N] in float32; without gradient.
        """
        words, column = targets.unique(return_inverse=True)
        weight = self._plain_matrix()
        if weight is not None:
            size = max(LOGITS_AT_A_TIME // max(len(states), 1), 1)
            if _is_slow_when_wide(states):
                size = min(size, WORDS_AT_A_TIME)
            totals = torch.stack(
                [
                    F.linear(states, block).float().logsumexp(-1)
                    for block in weight.split(size)
                ]
            ).logsumexp(0)  # [R]
            logits = F.linear(states, weight[words]).float()
        else:
            pieces = [self.logits(piece) for piece in states.split(FEWEST_ROWS)]
            totals = torch.cat([piece.logsumexp(-1) for piece in pieces])
            logits = torch.cat([piece[:, words] for piece in pieces])
        return logits[rows, column] - totals[rows]

    def _plain_matrix(self):
        """[V, D] where :meth:`logits` is a product with it alone, and it is
        not trained, quantized, adapted or divided among ranks; or None."""
        head, config = self._model.get_output_embeddings(), self._model.config
        scales = ("logit_scale", "logits_scaling", "final_logit_softcapping")
        plain = (
            type(head) is nn.Linear
            and head.bias is None
            and not head.weight.requires_grad
            and type(head.weight) is nn.Parameter
            and not any(getattr(config, scale, None) for scale in scales)
        )
        return head.weight if plain else None


def _is_slow_when_wide(states):
    """Whether a product of states with all words is better made in pieces."""
    return states.device.type == "cpu" and states.dtype == torch.float32


def _product(states, weight):
    """[N, D] times [V, D] -> [N, V]."""
    if not _is_slow_when_wide(states):
        return F.linear(states, weight)
    blocks = weight.split(WORDS_AT_A_TIME)
    return torch.cat([F.linear(states, block) for block in blocks], -1)


class _WordLosses(torch.autograd.Function):
    """Cross-entropy [N] of words [N] behind states [N, D].

    The gradient of the states is made in the forward pass, from logits that
    are there anyway, and only scaled in the backward one.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        size = max(LOGITS_AT_A_TIME // len(weight), FEWEST_ROWS)
        pieces = max(round(len(targets) / size), 1)  # alike: none of few rows
        losses, gradients = [], []
        for states, words in zip(
            hidden.tensor_split(pieces),
            targets.tensor_split(pieces),
            strict=True,
        ):
            logits = _product(states, weight)
            kind, logits = logits.dtype, logits.float()
            totals = logits.logsumexp(-1, keepdim=True)
            at = words.unsqueeze(1)
            losses.append((totals - logits.gather(1, at)).squeeze(1))
            if ctx.needs_input_grad[0]:
                logits.sub_(totals).exp_()
                logits.scatter_add_(1, at, logits.new_full(at.shape, -1.0))
                gradient = logits.to(kind) @ weight.to(kind)
                gradients.append(gradient.to(hidden.dtype))
        if gradients:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx, outer):
        (gradients,) = ctx.saved_tensors
        return (outer.unsqueeze(1) * gradients).to(gradients.dtype), None, None
