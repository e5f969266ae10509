"""Optimisers by parts of a model, each with its own rate or weight decay."""

from collections.abc import Callable, Collection

from torch import nn
from torch.optim import Optimizer


def split_by_decay(
    opt_class: Callable, modules: nn.Module, undecayed: Collection[str]
) -> dict[str, Optimizer]:
    """One optimiser for what weight decay draws to zero, one for the rest.

    Biases and the gains of norms are vectors, and work around 0 or 1 as they
    have to; so does what is named. Source: data2vec 2.0.

    Arguments
    ---------
    opt_class : callable
        ``parameters -> optimiser``, with its ``weight_decay``.
    modules : torch.nn.Module
        All that is trained.
    undecayed : collection of str
        Last parts of the names of further tensors without weight decay.

    Returns
    -------
    dict[str, torch.optim.Optimizer]
        "decayed" and "undecayed", for ``Brain.optimizers_dict``.

    Raises
    ------
    ValueError
        When no trained tensor has one of the names.

    Example
    -------
    >>> import torch
    >>> found = split_by_decay(torch.optim.AdamW, torch.nn.Linear(2, 3), [])
    >>> [optimizer.param_groups[0]["weight_decay"] for optimizer in
    ...  found.values()]
    [0.01, 0.0]
    """
    trained = {n: p for n, p in modules.named_parameters() if p.requires_grad}
    lasts = {name.rpartition(".")[2] for name in trained}
    unknown = sorted(set(undecayed) - lasts)
    if unknown:
        raise ValueError(
            f"undecayed names {unknown[0]}, which is not trained: take it out."
        )
    free = {
        name
        for name, tensor in trained.items()
        if tensor.dim() < 2 or name.rpartition(".")[2] in undecayed
    }
    groups = {
        "decayed": {"params": [p for n, p in trained.items() if n not in free]},
        "undecayed": {
            "params": [p for n, p in trained.items() if n in free],
            "weight_decay": 0.0,
        },
    }
    return {n: opt_class([g]) for n, g in groups.items() if g["params"]}


def make_optimizers(opt_class: Callable, parts, modules, factors=()):
    """One optimiser for each part of a model that has something to train.

    Arguments
    ---------
    opt_class : callable
        ``parameters -> optimiser``.
    parts : dict[str, torch.nn.Module | None]
        Name -> module, in the order in which they take their parameters: a
        part that holds another one and comes after it is the rest of it.
        What is None or frozen gets no optimiser.
    modules : torch.nn.Module
        All that is trained.
    factors : collection of str
        Names that have a factor of the learning rate (``lr_factors``).

    Returns
    -------
    dict[str, torch.optim.Optimizer]
        Name -> optimiser, for ``Brain.optimizers_dict``.

    Raises
    ------
    ValueError
        When a trained parameter is in no part, or a factor names none.

    Example
    -------
    >>> import torch
    >>> linear = torch.nn.Linear
    >>> model = torch.nn.Sequential(linear(2, 2), linear(2, 1))
    >>> parts = {"encoder": model[0], "rest": model}
    >>> optimizers = make_optimizers(torch.optim.AdamW, parts, model)
    >>> {k: len(v.param_groups[0]["params"]) for k, v in optimizers.items()}
    {'encoder': 2, 'rest': 2}
    """
    unknown = sorted(set(factors) - set(parts))
    if unknown:
        raise ValueError(
            f"lr_factors names {', '.join(unknown)}, which is no part of "
            f"optimizer_parts: {', '.join(parts)}."
        )
    taken, optimizers = set(), {}
    for name, module in parts.items():
        if module is None:
            continue
        parameters = [
            parameter
            for parameter in module.parameters()
            if parameter.requires_grad and id(parameter) not in taken
        ]
        taken |= {id(parameter) for parameter in parameters}
        if parameters:
            optimizers[name] = opt_class(parameters)
    forgotten = [
        name
        for name, parameter in modules.named_parameters()
        if parameter.requires_grad and id(parameter) not in taken
    ]
    if forgotten:
        raise ValueError(
            f"{len(forgotten)} trained tensors are in no part of "
            f"optimizer_parts ({forgotten[0]}, ...): name the whole model as "
            "the last part."
        )
    return optimizers
