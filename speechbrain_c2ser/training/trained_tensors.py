"""A training checkpoint of what is trained, and of nothing else."""

from safetensors.torch import load_file, save_file
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from speechbrain_c2ser.checkpoints.folder import load_strict


@register_checkpoint_hooks
class TrainedTensors:
    """Recoverable that holds a module's trained parameters and buffers.

    A frozen 7 B language model under a LoRA of some millions would otherwise
    be written at every checkpoint.

    Arguments
    ---------
    module : torch.nn.Module
        Frozen parameters (``requires_grad`` False) are left out.

    Example
    -------
    >>> import torch
    >>> module = torch.nn.Sequential(
    ...     torch.nn.Linear(2, 2).requires_grad_(False), torch.nn.Linear(2, 1)
    ... )
    >>> sorted(TrainedTensors(module).tensors())
    ['1.bias', '1.weight']
    """

    def __init__(self, module):
        self.module = module

    def tensors(self):
        """Name → tensor of what is trained."""
        # Of a quantised base the state has more than parameters and buffers.
        trained = {
            name
            for name, parameter in self.module.named_parameters(
                remove_duplicate=False
            )
            if parameter.requires_grad
        }
        buffers = dict(self.module.named_buffers(remove_duplicate=False))
        return {
            name: tensor
            for name, tensor in self.module.state_dict().items()
            if name in trained or name in buffers
        }

    @mark_as_saver
    def _save(self, path):
        # clones: tied weights share memory, which safetensors refuses
        save_file(
            {k: v.detach().cpu().clone() for k, v in self.tensors().items()},
            path,
        )

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        trained = self.tensors().keys()
        load_strict(
            self.module,
            load_file(path),
            path,
            elsewhere=lambda key: key not in trained,
        )
