"""Losses on distances between vectors: anchors, pairs of two streams, ranks."""

import torch
import torch.nn.functional as F


def anchor_loss(
    vectors: torch.Tensor,
    labels: torch.Tensor,
    anchors: torch.Tensor,
    temperature: float = 0.1,
    angle: float = 0.0,
) -> torch.Tensor:
    """Supervised contrast in which each label's anchor takes part.

    After "Emotion-Anchored Contrastive Learning" (Yu et al. 2024): of an
    item, the other items and all anchors are candidates, those of its label
    the wanted ones. The angle term keeps anchors apart: the mean over anchors
    of the cosine to the nearest other one (theirs is an arc).

    Arguments
    ---------
    vectors : torch.Tensor
        [N, D], of any length.
    labels : torch.Tensor
        Indices [N].
    anchors : torch.Tensor
        [L, D], one a label.
    temperature : float
        Divides the cosines.
    angle : float
        Weight of the angle term.

    Returns
    -------
    torch.Tensor
        Scalar: mean over the items, plus the angle term.

    Example
    -------
    >>> anchors = torch.eye(2)
    >>> anchor_loss(torch.eye(2) * 5, torch.tensor([0, 1]), anchors, 1.0)
    tensor(0.5514)
    """
    rows = F.normalize(vectors.float(), dim=-1)
    anchors = F.normalize(anchors.float(), dim=-1)
    places = torch.arange(len(anchors), device=labels.device)
    everything = torch.cat([rows, anchors])
    same = labels.unsqueeze(1) == torch.cat([labels, places]).unsqueeze(0)
    itself = torch.eye(len(rows), len(everything), device=labels.device).bool()
    same = same & ~itself
    with torch.autocast(rows.device.type, enabled=False):
        logits = rows @ everything.t() / temperature
        nearness = anchors @ anchors.t()
    log_probs = logits.masked_fill(itself, float("-inf")).log_softmax(1)
    cross = -log_probs.masked_fill(~same, 0.0).sum(1) / same.sum(1)
    own = torch.eye(len(anchors), device=anchors.device).bool()
    nearest = nearness.masked_fill(own, -1.0).max(1).values
    return cross.mean() + angle * nearest.mean()


def info_nce(
    first: torch.Tensor, second: torch.Tensor, temperature: float = 0.07
) -> torch.Tensor:
    """Symmetric contrast of two views of the same items (as in CLIP).

    Arguments
    ---------
    first, second : torch.Tensor
        [N, D]: row i of one belongs to row i of the other.
    temperature : float
        Divides the cosines.

    Returns
    -------
    torch.Tensor
        Scalar: mean of both directions.

    Example
    -------
    >>> info_nce(torch.eye(2), torch.eye(2), temperature=1.0)
    tensor(0.3133)
    """
    first = F.normalize(first.float(), dim=-1)
    second = F.normalize(second.float(), dim=-1)
    with torch.autocast(first.device.type, enabled=False):
        logits = first @ second.t() / temperature
    places = torch.arange(len(first), device=first.device)
    there = F.cross_entropy(logits, places)
    return (there + F.cross_entropy(logits.t(), places)) / 2


def margin_loss(
    vectors: torch.Tensor, labels: torch.Tensor, margin: float = 0.5
) -> torch.Tensor:
    """Triplets of the hardest pairs in a batch (Hermans et al. 2017).

    Arguments
    ---------
    vectors : torch.Tensor
        [N, D]; their directions count.
    labels : torch.Tensor
        Indices [N].
    margin : float
        By which the farthest item of the label must be nearer than the
        nearest of another; distances of unit vectors are 0 to 2.

    Returns
    -------
    torch.Tensor
        Scalar: mean over the items that have both; a zero with a gradient
        where none has.

    Example
    -------
    >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> margin_loss(vectors, torch.tensor([0, 0, 1]), margin=0.5)
    tensor(0.2500)
    """
    rows = F.normalize(vectors.float(), dim=-1)
    distances = _distances(rows)
    itself = torch.eye(len(rows), device=labels.device).bool()
    same = (labels.unsqueeze(0) == labels.unsqueeze(1)) & ~itself
    other = labels.unsqueeze(0) != labels.unsqueeze(1)
    counted = same.any(1) & other.any(1)
    if not counted.any():
        return vectors.sum() * 0.0
    far = distances.masked_fill(~same, float("-inf")).max(1).values
    near = distances.masked_fill(~other, float("inf")).min(1).values
    return (far - near + margin)[counted].clamp_min(0).mean()


def rank_contrast_loss(
    vectors: torch.Tensor, values: torch.Tensor, temperature: float = 0.5
) -> torch.Tensor:
    """Rank-N-Contrast: as far apart as their values are (Zha et al. 2023).

    Of an item and another, those that are at least as far from it in value
    are the candidates. Similarity is the negative distance of unit vectors.

    Arguments
    ---------
    vectors : torch.Tensor
        [N, D]; their directions count.
    values : torch.Tensor
        [N, K], such as valence and arousal; distances are Euclidean.
    temperature : float
        Divides the similarities.

    Returns
    -------
    torch.Tensor
        Scalar: mean over all ordered pairs; a zero with a gradient where
        there are fewer than two items.

    Example
    -------
    >>> values = torch.tensor([[0.0], [0.5], [1.0]])
    >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> right = rank_contrast_loss(vectors, values)
    >>> bool(right < rank_contrast_loss(vectors, values[[1, 0, 2]]))
    True
    """
    size = len(vectors)
    if size < 2:
        return vectors.sum() * 0.0
    rows = F.normalize(vectors.float(), dim=-1)
    logits = -_distances(rows) / temperature
    away = torch.cdist(values.float(), values.float())
    itself = torch.eye(size, device=values.device).bool()
    # [i, j, k]: of the pair i, j, whether k is a candidate
    candidates = away.unsqueeze(1) >= away.unsqueeze(2) - 1e-9
    candidates = candidates & ~itself.unsqueeze(1)
    spread = logits.unsqueeze(1).masked_fill(~candidates, float("-inf"))
    cross = spread.logsumexp(2) - logits
    return cross[~itself].mean()


def _distances(rows):
    """Between rows; a gradient also where two are the same."""
    squares = (rows.unsqueeze(1) - rows.unsqueeze(0)).square().sum(-1)
    return (squares + 1e-12).sqrt()
