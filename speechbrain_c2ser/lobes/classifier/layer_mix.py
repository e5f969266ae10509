"""A learned weighted sum of an encoder's layers."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_c2ser.arguments import remember_arguments


@remember_arguments
class LayerMix(nn.Module):
    """Softmax-weighted sum of layers (ELMo; SUPERB's probes).

    Arguments
    ---------
    num_layers : int
        Layers that the encoder gives.
    normalize : bool
        Layer-norm every frame of every layer first (without parameters), so
        that loud layers do not outweigh quiet ones.

    Raises
    ------
    ValueError
        In ``forward``, for another number of layers.

    Example
    -------
    >>> mix = LayerMix(2)
    >>> mix([torch.zeros(1, 3, 4), torch.ones(1, 3, 4)])[0, 0]
    tensor([0.5000, 0.5000, 0.5000, 0.5000], grad_fn=<SelectBackward0>)
    """

    def __init__(self, num_layers, normalize=False):
        super().__init__()
        self.normalize = normalize
        self.scores = nn.Parameter(torch.zeros(num_layers))

    def forward(self, layers):
        """Mixes layers.

        Arguments
        ---------
        layers : sequence of torch.Tensor
            Each [B, T, C].

        Returns
        -------
        torch.Tensor
            [B, T, C].
        """
        if len(layers) != len(self.scores):
            raise ValueError(
                f"The encoder gave {len(layers)} layers, LayerMix was built "
                f"for {len(self.scores)}: set its num_layers."
            )
        layers = torch.stack(tuple(layers))
        if self.normalize:
            layers = F.layer_norm(layers, layers.shape[-1:])
        weights = self.scores.softmax(0).to(layers.dtype)
        return torch.einsum("l,lbtc->btc", weights, layers)
