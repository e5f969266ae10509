"""Optimisers by the parts of a model, so that each may have its own rate."""

from collections.abc import Callable


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
