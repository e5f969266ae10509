"""Losses on pairs of utterances."""

import logging

import torch
import torch.nn.functional as F
from torch import nn

from speechbrain_c2ser.host import on_host, to_device

logger = logging.getLogger(__name__)


class PairLoss(nn.Module):
    """Supervised contrast: same emotion together, other emotions apart (L_cat).

    With unit rows g and temperature t the similarities are g g^T / t, and the
    wanted distribution of row i is even over the other items of its label
    (the same-label matrix without its diagonal, row-normalized). An item is
    never its own candidate. Both matrices are symmetric, so the two
    directions of a symmetric cross-entropy are equal and one is computed.
    The exact formula of Emotion2Vec-S is not published; this is SupCon.

    Under DDP training the vectors of all ranks are compared, with gradients
    to each.

    Arguments
    ---------
    temperature : float
        Divides the cosine similarities.

    Example
    -------
    >>> loss = PairLoss(temperature=1.0)
    >>> vectors = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    >>> loss(vectors, torch.tensor([0, 0, -1])) # one pair, nothing beside it
    tensor(0.)
    """

    def __init__(self, temperature: float = 0.1):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {temperature}.")
        self.temperature = temperature
        self._warned = False

    def forward(
        self, vectors: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Compare the labelled items of a batch.

        Arguments
        ---------
        vectors : torch.Tensor
            Utterance vectors [N, D], of any length.
        labels : torch.Tensor
            Class indices [N]; -1 = unlabelled, takes no part.

        Returns
        -------
        torch.Tensor
            Scalar: mean over the items that have a positive; a zero that
            still carries a (zero) gradient when none has.
        """
        vectors, labels = gather_rows(vectors.float(), labels)
        labels = on_host(labels)
        places = (labels >= 0).nonzero().squeeze(1)
        known = labels[places]
        if len(known.unique()) == len(known):
            self._warn_once(len(known))
            return vectors.sum() * 0.0
        rows = vectors[to_device(places, vectors.device)]
        return supervised_contrast(rows, known, self.temperature)

    def _warn_once(self, labelled):
        if not self._warned:
            logger.warning(
                "PairLoss: a batch with %d labelled items holds no pair of "
                "one label, so L_cat learns nothing from it: use larger "
                "batches or sampling.PairedBatchSampler (said once).",
                labelled,
            )
            self._warned = True


def supervised_contrast(
    vectors: torch.Tensor, labels: torch.Tensor, temperature: float = 0.1
) -> torch.Tensor:
    """SupCon (Khosla et al. 2020) of labelled items of one process.

    Arguments
    ---------
    vectors : torch.Tensor
        [N, D], of any length.
    labels : torch.Tensor
        Class indices [N], on any device.
    temperature : float
        Divides the cosines.

    Returns
    -------
    torch.Tensor
        Scalar: mean over the items that have a positive; a zero with a
        gradient when none has.

    Example
    -------
    >>> supervised_contrast(torch.eye(3), torch.tensor([0, 0, 1]), 1.0)
    tensor(0.6931)
    """
    vectors = vectors.float()
    labels = on_host(labels)
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    same.fill_diagonal_(False)
    positives = same.sum(1)
    counted = positives > 0
    if not counted.any():
        return vectors.sum() * 0.0
    rows = F.normalize(vectors, dim=-1)
    # bf16 has too few digits for cosines close to 1
    with torch.autocast(rows.device.type, enabled=False):
        logits = rows @ rows.t() / temperature
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    log_probs = logits.masked_fill(itself, float("-inf")).log_softmax(1)
    # -inf on the diagonal times a zero target would be NaN
    others = to_device(~same, rows.device)
    cross = -log_probs.masked_fill(others, 0.0).sum(1)
    places = counted.nonzero().squeeze(1)
    number = to_device(positives[places], rows.device)
    return (cross[to_device(places, rows.device)] / number).mean()


def gather_rows(
    vectors: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Collect the rows of all DDP ranks; gradients reach every rank's own.

    Without gradient, as in a validation that ranks divide, a rank's own are
    all there are.

    Arguments
    ---------
    vectors : torch.Tensor
        Rows [n, D]; n may differ between ranks.
    labels : torch.Tensor
        Integers [n] >= -1.

    Returns
    -------
    vectors : torch.Tensor
        Rows [N, D] of all ranks in order of rank.
    labels : torch.Tensor
        Integers [N].

    Example
    -------
    >>> vectors, labels = gather_rows(torch.ones(2, 3), torch.tensor([0, 1]))
    >>> vectors.shape
    torch.Size([2, 3])
    """
    together = (
        torch.distributed.is_available() and torch.distributed.is_initialized()
    )
    if not together or not torch.is_grad_enabled():
        return vectors, labels
    world = torch.distributed.get_world_size()
    count = torch.tensor([len(labels)], device=labels.device)
    counts = [torch.zeros_like(count) for _ in range(world)]
    torch.distributed.all_gather(counts, count)
    longest = int(torch.stack(counts).max())
    missing = longest - len(labels)
    # collectives need one shape; the filled rows are cut away below
    padded = F.pad(labels, (0, missing), value=-1)
    all_labels = [torch.zeros_like(padded) for _ in range(world)]
    torch.distributed.all_gather(all_labels, padded)
    all_vectors = _GatherWithGradient.apply(F.pad(vectors, (0, 0, 0, missing)))
    counts = [int(c) for c in counts]
    vectors = [v[:n] for v, n in zip(all_vectors, counts, strict=True)]
    labels = [v[:n] for v, n in zip(all_labels, counts, strict=True)]
    return torch.cat(vectors), torch.cat(labels)


def gather_targets(
    values: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and their targets of all DDP ranks, while gradients are taken.

    A loss over a whole batch, such as 1 - CCC, is then that of one process.

    Arguments
    ---------
    values : torch.Tensor
        [n, D]; n may differ between ranks.
    targets : torch.Tensor
        [n, D]; no gradient flows into them.

    Returns
    -------
    values : torch.Tensor
        [N, D] of all ranks in order of rank.
    targets : torch.Tensor
        [N, D].

    Example
    -------
    >>> gather_targets(torch.ones(2, 1), torch.zeros(2, 1))[1].shape
    torch.Size([2, 1])
    """
    both = torch.cat([values, targets], 1)
    nobody = torch.zeros(len(both), dtype=torch.long, device=both.device)
    values, targets = gather_rows(both, nobody)[0].chunk(2, 1)
    return values, targets.detach()


class _GatherWithGradient(torch.autograd.Function):
    """all_gather whose backward sums every rank's gradient for my rows.

    Each rank computes the same global loss, so this sum is world-size times
    the gradient; DDP's mean over ranks brings it back to the exact one.
    """

    @staticmethod
    def forward(ctx, rows):
        world = torch.distributed.get_world_size()
        gathered = [torch.zeros_like(rows) for _ in range(world)]
        torch.distributed.all_gather(gathered, rows.contiguous())
        return torch.stack(gathered)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.contiguous()
        torch.distributed.all_reduce(gradient)
        return gradient[torch.distributed.get_rank()]
