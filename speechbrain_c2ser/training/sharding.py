"""Full fine-tuning over several GPUs: FSDP2 of torch in place of DDP.

Under DDP every rank holds all parameters, gradients and moments: 16 bytes a
parameter in fp32 with AdamW, 122 GB for a language model of 7.6 billion. Here
each rank holds its share of them, and has the whole of one layer while that
layer computes.
"""

import copy
from functools import partial
from types import MethodType

import torch
from safetensors.torch import load_file, save_file
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import if_main_process
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import Parameter

from speechbrain_c2ser.checkpoints.folder import load_strict
from speechbrain_c2ser.training.trained_tensors import TrainedTensors

# torch 2.6 has no events of the processor's streams
SHARDS_ON_CPU = hasattr(torch.cpu.Stream, "record_event")


class FullySharded:
    """A model whose weights are divided among the ranks of torchrun.

    A yaml's ``sharding``; :class:`.TrainingBrain` calls it where it would wrap
    the model in DDP. Without torchrun nothing is divided. Every rank has to
    run the same layers equally often, so validation is repeated on each.
    Source: Zhao et al. 2023, arXiv 2304.11277; torch's ``fully_shard``.

    Arguments
    ---------
    module : torch.nn.Module
        The model; its ``forward`` is what training calls.
    layers_of : torch.nn.Module
        The part of it whose transformer layers are gathered one at a time,
        those that transformers' ``_no_split_modules`` names. All else is
        gathered once for a pass.

    Raises
    ------
    ValueError
        When ``layers_of`` has no such layers.

    Example
    -------
    >>> from transformers import Qwen2Config, Qwen2ForCausalLM
    >>> model = Qwen2ForCausalLM(Qwen2Config(
    ...     vocab_size=8, hidden_size=4, intermediate_size=4,
    ...     num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
    ... ))
    >>> sharded = FullySharded(model, layers_of=model)
    >>> len(sharded.layers), sharded.whole() is model
    (2, True)
    """

    def __init__(self, module: torch.nn.Module, layers_of: torch.nn.Module):
        self.module = module
        names = {
            name
            for part in layers_of.modules()
            for name in getattr(part, "_no_split_modules", None) or ()
        }
        self.layers = [
            part for part in layers_of.modules() if type(part).__name__ in names
        ]
        if not self.layers:
            raise ValueError(
                f"{type(layers_of).__name__} has no layers that could be "
                "gathered one at a time: sharding needs a model of "
                "transformers whose class names _no_split_modules."
            )
        self._twin = None

    def shard(self, modules: dict, device: str) -> None:
        """Divide the weights among all ranks; called by the Brain, once.

        Arguments
        ---------
        modules : dict[str, torch.nn.Module]
            All that the Brain trains.
        device : str
            Where each rank computes.

        Raises
        ------
        ValueError
            When something outside of the model is trained.
        RuntimeError
            On a processor, with a torch that shards on GPUs alone.
        """
        for name, other in modules.items():
            trained = any(p.requires_grad for p in other.parameters())
            if trained and other is not self.module:
                raise ValueError(
                    f"'{name}' has weights of its own, and only those of the "
                    "model can be sharded: leave this term out, or train "
                    "with LoRA under DDP."
                )
        kind = torch.device(device).type
        if kind == "cpu" and not SHARDS_ON_CPU:
            raise RuntimeError(
                f"torch {torch.__version__} shards on GPUs alone: take a newer "
                "one, or leave sharded.yaml out."
            )
        self._twin = _without_weights(self.module)
        mesh = init_device_mesh(kind, (torch.distributed.get_world_size(),))
        for layer in self.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(self.module, mesh=mesh)
        # What calls the model's other methods becomes a forward pass of it.
        self.module.as_forward = MethodType(_call, self.module)
        register_fsdp_forward_method(self.module, "as_forward")

    def recoverable(self, optimizer: torch.optim.Optimizer):
        """What a checkpoint holds of an optimiser of the divided model.

        Arguments
        ---------
        optimizer : torch.optim.Optimizer
            Of this model's parameters.

        Returns
        -------
        ShardedOptimizer
        """
        return ShardedOptimizer(optimizer)

    def run(self, function, *arguments):
        """Call a function that uses the model by other ways than ``forward``.

        Arguments
        ---------
        function : callable
            Such as the evaluation of a batch, without gradient.
        *arguments
            Given to it.

        Returns
        -------
        object
            What it returns.
        """
        if self._twin is None:
            return function(*arguments)
        return self.module.as_forward(partial(function, *arguments))

    def whole(self) -> torch.nn.Module | None:
        """The model with all its weights; every rank has to call this.

        Returns
        -------
        torch.nn.Module | None
            On the main process: a copy on the CPU, or the model itself where
            nothing is divided. On the others: None.
        """
        if self._twin is None:
            return self.module
        gathered = {}
        for parameter in self.module.parameters():
            tensor = whole_tensor(parameter.detach())
            if if_main_process():
                gathered[id(parameter)] = Parameter(
                    tensor.cpu(), parameter.requires_grad
                )
        if not if_main_process():
            return None
        state = dict(self.module.named_buffers(remove_duplicate=False))
        # one object for tied weights, so that they stay tied
        for name, parameter in self.module.named_parameters(
            remove_duplicate=False
        ):
            state[name] = gathered[id(parameter)]
        wanted = self._twin.state_dict().keys()
        self._twin.load_state_dict(
            {k: v for k, v in state.items() if k in wanted}, assign=True
        )
        return self._twin


def whole_tensor(tensor):
    """A tensor with all ranks' shares; every rank has to call this.

    Example
    -------
    >>> whole_tensor(torch.ones(2))
    tensor([1., 1.])
    """
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def divided_like(tensor, parameter):
    """A whole tensor divided among the ranks as a parameter is.

    Example
    -------
    >>> divided_like(torch.ones(2), torch.zeros(2))
    tensor([1., 1.])
    """
    if not isinstance(parameter, DTensor):
        return tensor
    return distribute_tensor(
        tensor.to(parameter.device),
        parameter.device_mesh,
        parameter.placements,
    )


class ShardedTensors(TrainedTensors):
    """:class:`.TrainedTensors` of a sharded model: the same file.

    So a run goes on with any number of ranks, or without sharding.

    Arguments
    ---------
    sharding : FullySharded
        Of the yaml.
    """

    def __init__(self, sharding: FullySharded):
        super().__init__(sharding.module)

    @mark_as_saver
    def _save(self, path):
        gathered = {}
        for name, tensor in self.tensors().items():
            whole = whole_tensor(tensor.detach())  # by all ranks
            if if_main_process():  # which alone keeps it
                gathered[name] = whole.cpu().clone()
        if if_main_process():
            save_file(gathered, path)

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        tensors = self.tensors()
        load_strict(
            self.module,
            {
                name: divided_like(tensor, tensors.get(name))
                for name, tensor in load_file(path).items()
            },
            path,
            elsewhere=lambda key: key not in tensors,
        )


class ShardedOptimizer:
    """Checkpoint of an optimiser whose moments are divided among ranks.

    The file is the one that torch writes for an optimiser of one process.

    Arguments
    ---------
    optimizer : torch.optim.Optimizer
        Of a model that :class:`FullySharded` divides.
    """

    def __init__(self, optimizer: torch.optim.Optimizer):
        self.optimizer = optimizer

    @mark_as_saver
    def _save(self, path):
        state = self.optimizer.state_dict()
        state["state"] = {
            number: {
                name: whole_tensor(value).cpu()
                if isinstance(value, torch.Tensor)
                else value
                for name, value in values.items()
            }
            for number, values in state["state"].items()
        }
        if if_main_process():
            torch.save(state, path)

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        saved = torch.load(path, map_location="cpu", weights_only=True)
        parameters = [
            parameter
            for group in self.optimizer.param_groups
            for parameter in group["params"]
        ]
        for number, values in saved["state"].items():
            parameter = parameters[number]
            for name, value in values.items():
                if name != "step" and isinstance(value, torch.Tensor):
                    values[name] = divided_like(value, parameter)
        self.optimizer.load_state_dict(saved)


for _recoverable in (ShardedTensors, ShardedOptimizer):
    register_checkpoint_hooks(_recoverable, save_on_main_only=False)


def _call(module, function):
    return function()


def _without_weights(module):
    """A copy of a module, its parameters on the meta device."""
    memo = {
        id(parameter): Parameter(
            torch.empty_like(parameter, device="meta"), parameter.requires_grad
        )
        for parameter in module.parameters()
    }
    return copy.deepcopy(module, memo)
