"""Named heads over one utterance vector, for labels that may be missing.

Every head knows its ``key`` in a manifest row, its ``weight`` in the sum of
losses, and which rows have no such label: these take no part in its loss.
"""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.lobes.lengths import frame_mask
from speechbrain_c2ser.losses import concordance_loss


@remember_arguments
class CategoryHead(nn.Module):
    """One label of a closed set: the emotion, or another attribute.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : list of str
        The closed set.
    key : str
        Field of the manifest row that holds the label ("emotion", "gender").
    weight : float
        Weight of its loss.
    label_smoothing : float
        Share of the target that is spread over all labels.

    Example
    -------
    >>> head = CategoryHead(4, ["angry", "sad"])
    >>> targets = head.targets([{"emotion": "sad"}, {}])
    >>> targets
    tensor([ 1, -1])
    >>> head.loss(head(torch.rand(2, 4)), targets).shape
    torch.Size([])
    """

    def __init__(
        self, input_size, labels, key="emotion", weight=1.0, label_smoothing=0.0
    ):
        super().__init__()
        self.labels = [str(label) for label in labels]
        self.key = key
        self.weight = weight
        self.label_smoothing = label_smoothing
        self.class_weights = None
        self.linear = nn.Linear(input_size, len(self.labels))

    def weigh_classes(self, rows):
        """Let every label count alike in the loss, however rare it is.

        Arguments
        ---------
        rows : iterable of dict
            The training set's manifest rows.
        """
        targets = self.targets(list(rows))
        counts = torch.bincount(
            targets[targets >= 0], minlength=len(self.labels)
        ).float()
        present = (counts > 0).sum()
        self.class_weights = counts.sum() / present / counts.clamp_min(1)

    def targets(self, rows):
        """Label indices [B] of manifest rows; -1 is missing.

        Raises
        ------
        ValueError
            For a label outside the set; names the row.
        """
        indices = []
        for row in rows:
            label = row.get(self.key)
            if label is not None and label not in self.labels:
                raise ValueError(
                    f"Item {row.get('id')!r}: unknown {self.key} {label!r} "
                    f"(known: {', '.join(self.labels)})."
                )
            indices.append(-1 if label is None else self.labels.index(label))
        return torch.tensor(indices)

    def forward(self, vector, frames=None, lengths=None):
        """Logits [B, labels] of utterance vectors [B, C]."""
        return self.linear(vector)

    def loss(self, logits, targets):
        """Cross-entropy of the labelled items.

        Arguments
        ---------
        logits : torch.Tensor
            [B, labels].
        targets : torch.Tensor
            Indices [B], or distributions [B, labels], all zero where missing.

        Returns
        -------
        torch.Tensor
            Scalar; 0 without a labelled item.
        """
        labelled = targets >= 0 if targets.dim() == 1 else targets.sum(1) > 0
        if not labelled.any():
            return logits.sum() * 0.0
        weights = self.class_weights
        return F.cross_entropy(
            logits[labelled].float(),
            targets[labelled],
            None if weights is None else weights.to(logits.device),
            label_smoothing=self.label_smoothing,
        )

    def predict(self, logits):
        """Probabilities [B, labels]."""
        return logits.float().softmax(-1)


@remember_arguments
class MultiLabelHead(nn.Module):
    """Any number of labels of a set at once, such as mixed emotions.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : list of str
        The set.
    key : str
        Field of the manifest row: a list of labels, or label → votes (> 0
        is a yes).
    weight : float
        Weight of its loss.

    Example
    -------
    >>> head = MultiLabelHead(4, ["angry", "sad"], key="votes")
    >>> head.targets([{"votes": {"sad": 2}}, {}])
    tensor([[0., 1.],
            [nan, nan]])
    """

    def __init__(self, input_size, labels, key="emotions", weight=1.0):
        super().__init__()
        self.labels = [str(label) for label in labels]
        self.key = key
        self.weight = weight
        self.linear = nn.Linear(input_size, len(self.labels))

    def targets(self, rows):
        """0 or 1 for each label [B, labels]; NaN is missing."""
        values = torch.full((len(rows), len(self.labels)), float("nan"))
        for value, row in zip(values, rows, strict=True):
            given = row.get(self.key)
            if given is None:
                continue
            if isinstance(given, dict):
                given = [label for label, votes in given.items() if votes > 0]
            unknown = sorted(set(given) - set(self.labels))
            if unknown:
                raise ValueError(
                    f"Item {row.get('id')!r}: unknown label {unknown[0]!r} in "
                    f"{self.key} (known: {', '.join(self.labels)})."
                )
            value.zero_()
            value[[self.labels.index(label) for label in given]] = 1.0
        return values

    def forward(self, vector, frames=None, lengths=None):
        """Logits [B, labels] of utterance vectors [B, C]."""
        return self.linear(vector)

    def loss(self, logits, targets):
        """Binary cross-entropy of what is labelled; 0 without any."""
        labelled = ~targets.isnan()
        if not labelled.any():
            return logits.sum() * 0.0
        return F.binary_cross_entropy_with_logits(
            logits[labelled].float(), targets[labelled]
        )

    def predict(self, logits):
        """Probability of each label on its own [B, labels]."""
        return logits.float().sigmoid()


@remember_arguments
class DimensionHead(nn.Module):
    """Numbers such as valence, arousal and dominance, trained by their CCC.

    Arguments
    ---------
    input_size : int
        Channels of the utterance vector.
    labels : list of str
        Names of the dimensions, in the order of the row's list.
    key : str
        Field of the manifest row: a list of numbers, None where unknown.
    weight : float
        Weight of its loss.

    Example
    -------
    >>> head = DimensionHead(4)
    >>> head.targets([{"vad": [1, 2, None]}, {}])
    tensor([[1., 2., nan],
            [nan, nan, nan]])
    """

    def __init__(
        self,
        input_size,
        labels=("valence", "arousal", "dominance"),
        key="vad",
        weight=1.0,
    ):
        super().__init__()
        self.labels = list(labels)
        self.key = key
        self.weight = weight
        self.linear = nn.Linear(input_size, len(self.labels))

    def targets(self, rows):
        """Values [B, dimensions]; NaN is missing."""
        values = torch.full((len(rows), len(self.labels)), float("nan"))
        for value, row in zip(values, rows, strict=True):
            given = row.get(self.key)
            if given is None:
                continue
            if len(given) != len(self.labels):
                raise ValueError(
                    f"Item {row.get('id')!r}: {self.key} has {len(given)} "
                    f"values, needed are {', '.join(self.labels)}."
                )
            for place, number in enumerate(given):
                if number is not None:
                    value[place] = float(number)
        return values

    def forward(self, vector, frames=None, lengths=None):
        """Values [B, dimensions] of utterance vectors [B, C]."""
        return self.linear(vector)

    def loss(self, values, targets):
        """1 - CCC, mean over dimensions, over the items that have them."""
        losses = [
            concordance_loss(
                values[:, i], targets[:, i], ~targets[:, i].isnan()
            )
            for i in range(len(self.labels))
        ]
        return torch.stack(losses).mean()

    def predict(self, values):
        """The values [B, dimensions] as they are."""
        return values.float()


@remember_arguments
class FrameHead(nn.Module):
    """A label for every frame, from ``segments`` of a manifest row.

    Arguments
    ---------
    input_size : int
        Channels of the frames.
    labels : list of str
        The closed set.
    frame_rate : float
        Frames per second.
    key : str
        Field of the row: a list of [start (s), end (s), label]. Frames
        outside all segments have no label.
    weight : float
        Weight of its loss.

    Example
    -------
    >>> head = FrameHead(4, ["neutral", "sad"], frame_rate=2)
    >>> head.targets([{"segments": [[0.5, 1.5, "sad"]]}, {}])
    tensor([[-1,  1,  1],
            [-1, -1, -1]])
    """

    def __init__(
        self, input_size, labels, frame_rate=50.0, key="segments", weight=1.0
    ):
        super().__init__()
        self.labels = [str(label) for label in labels]
        self.frame_rate = frame_rate
        self.key = key
        self.weight = weight
        self.linear = nn.Linear(input_size, len(self.labels))

    def targets(self, rows):
        """Label indices [B, T] up to the last segment's end; -1 is missing."""
        segments = [row.get(self.key) or [] for row in rows]
        ends = [end for listed in segments for _, end, _ in listed]
        size = round(max(ends, default=1 / self.frame_rate) * self.frame_rate)
        indices = torch.full((len(rows), max(size, 1)), -1)
        for line, listed, row in zip(indices, segments, rows, strict=True):
            for start, end, label in listed:
                if label not in self.labels:
                    raise ValueError(
                        f"Item {row.get('id')!r}: unknown label {label!r} in "
                        f"{self.key} (known: {', '.join(self.labels)})."
                    )
                first, last = (round(t * self.frame_rate) for t in (start, end))
                line[first:last] = self.labels.index(label)
        return indices

    def forward(self, vector, frames, lengths):
        """Logits [B, T, labels] of frames [B, T, C]; -inf past the end."""
        logits = self.linear(frames)
        valid = frame_mask(lengths, frames.shape[1]).unsqueeze(-1)
        return logits.masked_fill(~valid, float("-inf"))

    def loss(self, logits, targets):
        """Cross-entropy of the labelled frames; 0 without any."""
        size = min(logits.shape[1], targets.shape[1])
        logits, targets = logits[:, :size], targets[:, :size]
        # a segment may end a frame after the frames do
        labelled = (targets >= 0) & logits.isfinite().all(-1)
        if not labelled.any():
            return self.linear.weight.sum() * 0.0
        return F.cross_entropy(logits[labelled].float(), targets[labelled])

    def predict(self, logits):
        """Probabilities [B, T, labels]; 0 past an item's end."""
        return logits.float().softmax(-1).nan_to_num(0.0)


@remember_arguments
class MultiHead(nn.Module):
    """Several named heads over one encoder.

    Arguments
    ---------
    heads : dict
        Name → head.

    Example
    -------
    >>> heads = MultiHead({
    ...     "emotion": CategoryHead(4, ["angry", "sad"]),
    ...     "vad": DimensionHead(4, weight=0.5),
    ... })
    >>> outputs = heads(torch.rand(2, 4))
    >>> rows = [{"emotion": "sad"}, {"emotion": "angry", "vad": [1, 2, 3]}]
    >>> total, parts = heads.loss(outputs, heads.targets(rows))
    >>> sorted(parts)
    ['emotion', 'vad']
    """

    def __init__(self, heads):
        super().__init__()
        if not heads:
            raise ValueError("MultiHead needs at least one head.")
        self.heads = nn.ModuleDict(heads)

    def __getitem__(self, name):
        return self.heads[name]

    def all(self):
        """The heads, in their order."""
        return list(self.heads.values())

    def forward(self, vector, frames=None, lengths=None):
        """Every head's output.

        Arguments
        ---------
        vector : torch.Tensor
            Utterance vectors [B, C].
        frames : torch.Tensor or None
            [B, T, C], for heads over frames.
        lengths : torch.Tensor or None
            Valid frames [B].

        Returns
        -------
        dict
            Name → output, before softmax or sigmoid.
        """
        return {n: h(vector, frames, lengths) for n, h in self.heads.items()}

    def targets(self, rows):
        """Name → targets of manifest rows, missing ones marked."""
        return {n: h.targets(rows) for n, h in self.heads.items()}

    def loss(self, outputs, targets):
        """Weighted sum of the heads' losses.

        Returns
        -------
        total : torch.Tensor
            Scalar.
        parts : dict
            Name → unweighted loss.
        """
        parts = {
            name: head.loss(
                outputs[name], targets[name].to(outputs[name].device)
            )
            for name, head in self.heads.items()
        }
        total = sum(self.heads[name].weight * parts[name] for name in parts)
        return total, parts

    def predict(self, outputs):
        """Name → probabilities or values."""
        return {n: h.predict(outputs[n]) for n, h in self.heads.items()}
