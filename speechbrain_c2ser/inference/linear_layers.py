"""Which linear layers of a model are replaced for another precision."""

from collections.abc import Iterator

from torch import nn

# Left as they are: what reads its layers' weights in fused kernels, adapters
# of low rank, and the words' scores, on which every label hangs and which may
# share their weights with the words' embeddings.
WHOLE = (nn.TransformerEncoderLayer, nn.MultiheadAttention)
LEFT = ("lora_A", "lora_B", "lm_head")


def replaceable(
    model: nn.Module, fp32: bool = True, kind: type = nn.Linear
) -> Iterator[nn.Module]:
    """The linear layers whose weights may be held in another form.

    Arguments
    ---------
    model : nn.Module
        Any.
    fp32 : bool
        Whether those count that a module names in ``in_fp32``, as it runs
        them without autocast.
    kind : type
        Of the layers, where others than linear ones are meant.

    Yields
    ------
    nn.Module
        In the order of the modules.

    Example
    -------
    >>> parts = {"a": nn.Linear(1, 2), "lm_head": nn.Linear(2, 3)}
    >>> list(replaceable(nn.ModuleDict(parts)))
    [Linear(in_features=1, out_features=2, bias=True)]
    """
    for _, _, child in places(model, fp32):
        if type(child) is kind:
            yield child


def places(
    model: nn.Module, fp32: bool = True
) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """The parts of a model that may be replaced, and where they are.

    Arguments
    ---------
    model : nn.Module
        Any.
    fp32 : bool
        As of :func:`replaceable`.

    Yields
    ------
    tuple of (nn.Module, str, nn.Module)
        What holds the part, under which name, and the part.

    Example
    -------
    >>> [name for _, name, _ in places(nn.Sequential(nn.Linear(1, 2)))]
    ['0']
    """
    names = (*LEFT, *(() if fp32 else getattr(model, "in_fp32", ())))
    for name, child in model.named_children():
        if name not in names:
            yield model, name, child
            if not isinstance(child, WHOLE):
                yield from places(child, fp32)
