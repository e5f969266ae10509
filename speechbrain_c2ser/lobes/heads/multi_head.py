"""Named heads over one utterance vector, for labels that may be missing.

Every head knows its ``key`` in a manifest row, its ``weight`` in the sum of
losses, and which rows have no such label: these take no part in its loss.
"""

from torch import nn

from speechbrain_c2ser.arguments import remember_arguments


@remember_arguments
class MultiHead(nn.Module):
    """Several named heads over one encoder.

    Arguments
    ---------
    heads : dict
        Name → head.

    Example
    -------
    >>> import torch
    >>> from speechbrain_c2ser.lobes import CategoryHead, DimensionHead
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
        frames : torch.Tensor | None
            [B, T, C], for heads over frames.
        lengths : torch.Tensor | None
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
