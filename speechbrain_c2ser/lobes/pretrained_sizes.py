"""No Hugging Face model is built that is larger than the weights beside it."""

import math
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from speechbrain_c2ser.lobes.pretrained_files import stored_tensors

WHOLE = ("model.safetensors", "model.safetensors.index.json")
# What a model may be larger than its file: a head that shares its numbers
# with the embedding, a Whisper's decoder that was not stored (2.7 times the
# encoder, and more in the smallest), tables of positions.
TIMES, MORE_NUMBERS, MORE_TENSORS = 3, 32_000_000, 1000


def count_stored(folder: str | Path) -> tuple[int, int] | None:
    """Numbers and tensors of a folder's safetensors, by their headers.

    Arguments
    ---------
    folder : str | Path
        Of config.json and weights.

    Returns
    -------
    numbers, tensors : int
        Integers may hold packed weights, and count as numbers of 4 bits.
        None in place of both: transformers would read another kind of file,
        or the source is no folder.

    Raises
    ------
    ValueError
        For a damaged file.

    Example
    -------
    >>> import torch
    >>> from safetensors.torch import save_file
    >>> folder = Path(getfixture("tmpdir"))
    >>> tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(4).byte()}
    >>> save_file(tensors, folder / "model.safetensors")
    >>> count_stored(folder)
    (14, 2)
    """
    folder = Path(folder)
    if not any((folder / name).is_file() for name in WHOLE):
        return None
    numbers = tensors = 0
    for path in sorted(folder.glob("*.safetensors")):
        for kind, shape in stored_tensors(path):
            packed = int(kind[1:]) // 4 if kind[:1] in "IU" else 1
            numbers += packed * math.prod(shape)
            tensors += 1
    return numbers, tensors


@contextmanager
def reading_weights(source: str | Path) -> Iterator[None]:
    """A model is built inside from a folder, and its weights are read.

    A config.json that asks for far more than the safetensors beside it hold
    is refused while transformers builds the model, which it does without
    memory; a folder with other weights, or a name on a hub, has no limit.

    Arguments
    ---------
    source : str | Path
        Folder or hub name.

    Raises
    ------
    ValueError
        For such a configuration, and for a pickle that was not opened.

    Example
    -------
    >>> import torch
    >>> from safetensors.torch import save_file
    >>> folder = Path(getfixture("tmpdir"))
    >>> save_file({"a": torch.zeros(2)}, folder / "model.safetensors")
    >>> with reading_weights(folder):  # doctest: +ELLIPSIS
    ...     torch.nn.Linear(10**6, 10**6, device="meta")
    Traceback (most recent call last):
    ...
    ValueError: The config.json of ... asks for a model of 1000000000000 \
numbers or more, but its weights hold 2: take both from the same model.
    """
    hooks = []
    stored = count_stored(source)
    if stored is not None:
        count = _Count(source, *stored)
        hooks = [
            register_module_parameter_registration_hook(count),
            register_module_buffer_registration_hook(count),
        ]
    try:
        yield
    except Exception as error:
        if _is_of_pickles(error):  # transformers 4 makes another error of it
            raise ValueError(
                f"The weights of {source} are a pickle of more than tensors, "
                "which is never opened: take them as safetensors."
            ) from error
        raise
    finally:
        for hook in hooks:
            hook.remove()


class _Count:
    """Hook that counts what modules register, each name once.

    A name is registered again when its weights take the place of the empty.
    """

    def __init__(self, source, numbers, tensors):
        self.source, self.numbers, self.tensors = source, numbers, tensors
        self.seen, self.count = {}, 0

    def __call__(self, module, name, tensor):
        if tensor is None:
            return
        # The module is kept, lest another gets its id.
        place = id(module), name
        before = self.seen.get(place, (module, 0))[1]
        self.seen[place] = module, tensor.numel()
        self.count += tensor.numel() - before
        for count, held, more, what in (
            (self.count, self.numbers, MORE_NUMBERS, "numbers"),
            (len(self.seen), self.tensors, MORE_TENSORS, "tensors"),
        ):
            if count > TIMES * held + more:
                raise ValueError(
                    f"The config.json of {self.source} asks for a model of "
                    f"{count} {what} or more, but its weights hold {held}: "
                    "take both from the same model."
                )


def _is_of_pickles(error):
    """Whether an error began with a pickle that may not be opened."""
    while error is not None:
        if isinstance(error, pickle.UnpicklingError):
            return True
        error = error.__cause__ or error.__context__
    return False
