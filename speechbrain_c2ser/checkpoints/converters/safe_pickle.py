"""Reading checkpoints from strangers: tensors and plain values, no code.

PyTorch checkpoints are pickles, and a pickle may name any function to call.
Here only what rebuilds tensors and plain containers is ever called. Classes of
packages that need not be installed (fairseq, omegaconf) become `Stub`s, which
hold the data and do nothing; anything of Python's own library is refused.
"""

import _compat_pickle
import io
import pickle
import sys
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

ZIP = b"PK\x03\x04"  # what torch takes an archive by
REBUILDERS = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}
# Of Python's library only these become stubs: they carry settings.
HARMLESS = {
    ("argparse", "Namespace"),
    ("collections", "defaultdict"),
    ("builtins", "dict"),
    ("builtins", "list"),
    ("builtins", "int"),
    ("builtins", "str"),
    ("builtins", "float"),
    ("builtins", "bool"),
    ("builtins", "object"),
    ("_codecs", "encode"),
    ("copyreg", "_reconstructor"),
}


class UnsafeCheckpointError(ValueError):
    """A checkpoint asks for something that could run code."""


class Stub:
    """Stands for an object of a class that is not loaded: data, no code.

    Arguments
    ---------
    *arguments : object
        What the object was built from.

    Example
    -------
    >>> Stub("a", 1).arguments
    ('a', 1)
    """

    def __init__(self, *arguments):
        self.__dict__["arguments"] = arguments
        self.__dict__["items"] = {}

    def __new__(cls, *arguments):
        stub = super().__new__(cls)
        stub.__init__(*arguments)
        return stub

    def __setstate__(self, state):
        self.__dict__["state"] = state

    # A pickled dict or list of an unknown class fills itself through these.
    def __setitem__(self, key, value):
        self.items[key] = value

    def append(self, value: object) -> None:
        """Keeps a value of an unknown list.

        Arguments
        ---------
        value : object
            Next value.
        """
        self.items[len(self.items)] = value


def _stub(module, name):
    """A class of its own for every name that is not loaded."""
    return type(name.rpartition(".")[2], (Stub,), {"__module__": module})


class _Unpickler(pickle._Unpickler):
    """The pure Python unpickler, whose every step can be overridden."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module, name):
        # Old protocols write Python 2's names.
        module, name = _compat_pickle.NAME_MAPPING.get(
            (module, name), (module, name)
        )
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        known = REBUILDERS.get((module, name))
        if known is not None:
            return known
        if module == "torch":
            kind = getattr(torch, name, None)
            if isinstance(kind, torch.dtype):
                return kind
            # Before zip files, tensors named their storage's class.
            if name.endswith("Storage") and isinstance(kind, type):
                return kind
        standard = module.partition(".")[0] in sys.stdlib_module_names
        if standard and (module, name) not in HARMLESS:
            raise UnsafeCheckpointError(
                f"The checkpoint asks for {module}.{name}, which could run "
                "code; refused. Get the file from its authors again."
            )
        return _stub(module, name)

    def load_build(self):
        """State goes into stubs only, never into functions or classes."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Stub):
            self.stack[-1].__setstate__(state)

    dispatch[pickle.BUILD[0]] = load_build


def _load(file, **kwargs):
    return _Unpickler(file, **kwargs).load()


# What torch.load takes as its pickle module.
_RESTRICTED = SimpleNamespace(
    __name__="restricted_pickle",
    Unpickler=_Unpickler,
    UnpicklingError=pickle.UnpicklingError,
    load=_load,
    loads=lambda data, **kwargs: _load(io.BytesIO(data), **kwargs),
)


def _refuse_unpacking(path):
    """A zip file that unpacks to more than its own size, as none of PyTorch's.

    Some kilobytes could otherwise fill the memory.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError):
        return  # what follows says that it is damaged
    # Members that share their bytes unpack to more, too.
    unpacked = sum(member.file_size for member in members)
    if unpacked > path.stat().st_size or any(
        member.compress_type != zipfile.ZIP_STORED for member in members
    ):
        raise UnsafeCheckpointError(
            f"{path} is compressed ({unpacked} bytes in it), which no "
            "checkpoint of PyTorch is; refused. Unzip it and zip it anew "
            "without compression (zip -0), or get it from its authors again."
        )


def load_checkpoint(path: str | Path) -> object:
    """Reads a .safetensors file or a PyTorch checkpoint without running code.

    Arguments
    ---------
    path : str | Path
        The file.

    Returns
    -------
    object
        What the file holds, tensors on the CPU; objects of unknown classes
        are `Stub`s.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    UnsafeCheckpointError
        When the file asks for something that could run code.
    ValueError
        When it is no checkpoint, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        if path.is_dir():
            raise FileNotFoundError(
                f"The checkpoint {path} is a folder: give the file in it "
                "(model.pt, checkpoint.pt ...)."
            )
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(
                f"{path} is damaged and cannot be read: {error}."
            ) from error
    if tarfile.is_tarfile(path):
        raise UnsafeCheckpointError(
            f"{path} is a tar archive (PyTorch before 0.1.10); refused. Save "
            "it anew with a current PyTorch."
        )
    _refuse_programs(path)
    _refuse_unpacking(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError):
        # Classes that torch does not know: again, with stubs.
        pass
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} is no PyTorch checkpoint: {error}") from error
    try:
        return torch.load(
            path,
            map_location="cpu",
            weights_only=False,
            pickle_module=_RESTRICTED,
        )
    except UnsafeCheckpointError as error:
        raise UnsafeCheckpointError(f"{path}: {error}") from error
    except Exception as error:
        raise ValueError(
            f"{path} is no PyTorch checkpoint, or a damaged one: {error}"
        ) from error


def _refuse_programs(path):
    """Refuse TorchScript, which torch.load runs whatever it is told.

    By torch's own reader: another one finds other archives in the same bytes
    (it looks for an archive's end elsewhere), and torch's is what counts.
    """
    with open(path, "rb") as file:
        if file.read(len(ZIP)) != ZIP:
            return  # torch takes it for no archive
    try:
        names = torch._C.PyTorchFileReader(str(path)).get_all_records()
    except RuntimeError as error:
        problem = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} is no PyTorch checkpoint, or a damaged one: {problem}"
        ) from error
    if "constants.pkl" in names:
        raise UnsafeCheckpointError(
            f"{path} is a TorchScript program, not a checkpoint; refused."
        )


def plain(value: object) -> object:
    """Settings out of stubs, as dicts, lists, numbers and strings.

    Arguments
    ---------
    value : object
        Part of a loaded checkpoint: an `argparse.Namespace`, an omegaconf
        container, a dataclass or an enumeration, as stubs.

    Returns
    -------
    object
        The same as plain values.

    Example
    -------
    >>> namespace = Stub()
    >>> namespace.__setstate__({"depth": 8, "rates": [0.5]})
    >>> plain(namespace)
    {'depth': 8, 'rates': [0.5]}
    """
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if not isinstance(value, Stub):
        return value
    state = value.__dict__.get("state")
    if isinstance(state, tuple):
        # (dict, slots) of a class with slots.
        state = {k: v for part in state if part for k, v in part.items()}
    if isinstance(state, dict):
        # omegaconf keeps its data in these.
        for name in ("_content", "_val"):
            if name in state:
                return plain(state[name])
        return plain(state)
    if value.items:
        return plain(value.items)
    # An enumeration's member is built from its value.
    return plain(value.arguments[0]) if value.arguments else None
