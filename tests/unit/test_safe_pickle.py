"""A checkpoint never runs code, whatever is in it."""

import argparse
import enum
import os
import pickle
import subprocess
import sys
import tarfile
import types
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from speechbrain_c2ser.checkpoints.converters.safe_pickle import (
    Stub,
    UnsafeCheckpointError,
    load_checkpoint,
    plain,
)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Chain:
    """getattr(module, name)(*arguments), without naming the function."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return getattr, self.call


@pytest.fixture
def stranger():
    """A module that exists when pickling and is gone when loading."""
    module = types.ModuleType("stranger_package.models")

    class Config:
        def __init__(self):
            self.depth = 8
            self.modalities = {"audio": [1, 2]}

    class Modality(enum.Enum):
        AUDIO = 1

    for kind in (Config, Modality):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    sys.modules["stranger_package"] = types.ModuleType("stranger_package")
    sys.modules[module.__name__] = module
    yield module
    sys.modules.pop("stranger_package", None)
    sys.modules.pop(module.__name__, None)


def forget(module):
    """Makes sure that loading cannot import a module."""
    del sys.modules[module.__name__], sys.modules["stranger_package"]


@pytest.mark.parametrize("zipped", [True, False])
def test_unknown_classes_become_inert_stubs(tmp_path, stranger, zipped):
    path = tmp_path / "checkpoint.pt"
    tensors = OrderedDict(
        weight=torch.arange(4.0),
        half=torch.ones(2, 3, dtype=torch.float16),
        parameter=torch.nn.Parameter(torch.zeros(2)),
    )
    content = {
        "model": tensors,
        "cfg": {"model": stranger.Config(), "type": stranger.Modality.AUDIO},
        "args": argparse.Namespace(lr=0.1, model=stranger.Config()),
    }
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    forget(stranger)
    loaded = load_checkpoint(path)
    for name, tensor in tensors.items():
        assert torch.equal(loaded["model"][name], tensor)
        assert loaded["model"][name].dtype == tensor.dtype
    assert isinstance(loaded["cfg"]["model"], Stub)
    config = {"depth": 8, "modalities": {"audio": [1, 2]}}
    assert plain(loaded["cfg"]) == {"model": config, "type": 1}
    assert plain(loaded["args"]) == {"lr": 0.1, "model": config}
    assert "stranger_package" not in sys.modules


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "function, arguments",
    [
        (os.system, ["touch {}"]),
        (subprocess.call, [["touch", "{}"]]),
        (eval, ["open('{}', 'w')"]),
        (exec, ["open('{}', 'w')"]),
        (open, ["{}", "w"]),
        (__import__, ["this"]),
        (getattr, [os, "system"]),
        (pickle.loads, [b"N."]),
    ],
)
def test_a_malicious_file_is_refused(
    tmp_path, zipped, protocol, function, arguments
):
    path, trace = tmp_path / "checkpoint.pt", tmp_path / "trace"

    def fill(value):
        if isinstance(value, list):
            return [fill(item) for item in value]
        return value.format(trace) if isinstance(value, str) else value

    bad = Call(function, *fill(arguments))
    if arguments[0] is os:
        bad = Chain(("text", "upper"))
    for place in (bad, {"model": {"weight": torch.ones(2)}, "extra": bad}):
        torch.save(
            place,
            path,
            pickle_protocol=protocol,
            _use_new_zipfile_serialization=zipped,
        )
        with pytest.raises(UnsafeCheckpointError, match="could run code"):
            load_checkpoint(path)
    assert not trace.exists()


def test_a_raw_pickle_is_refused(tmp_path):
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Call(os.system, f"touch {trace}")))
    with pytest.raises(ValueError):
        load_checkpoint(path)
    assert not trace.exists()


def opcodes(path, program):
    """Writes a hand-made pickle program as a PyTorch zip file."""
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        files = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            new = program if name.endswith("data.pkl") else data
            archive.writestr(name, new)


def test_state_never_reaches_functions_or_classes(tmp_path):
    # BUILD with slots would set attributes of what the allow list names.
    path = tmp_path / "checkpoint.pt"
    for name in (b"collections\nOrderedDict", b"torch._utils\n_rebuild_tensor"):
        opcodes(
            path,
            b"\x80\x02c" + name + b"\n(N}X\x04\x00\x00\x00evilK\x01stb.",
        )
        try:
            load_checkpoint(path)
        except ValueError:
            pass
    assert not hasattr(OrderedDict, "evil")
    assert not hasattr(torch._utils._rebuild_tensor, "evil")


def test_stubs_cannot_be_called_into_life(tmp_path):
    # An unknown class's "method" is a stub too: stranger.Shell("...").
    path, trace = tmp_path / "checkpoint.pt", tmp_path / "trace"
    command = f"touch {trace}".encode()
    opcodes(
        path,
        b"\x80\x02cstranger\nShell.run\nX"
        + len(command).to_bytes(4, "little")
        + command
        + b"\x85R.",
    )
    assert plain(load_checkpoint(path)) == command.decode()
    assert not trace.exists()


def test_other_kinds_of_files_are_refused(tmp_path):
    script = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 1)), script)
    with pytest.raises(UnsafeCheckpointError, match="TorchScript"):
        load_checkpoint(script)
    # Python's zipfile looks for the end of an archive in its last 64 kB,
    # torch in some more.
    script.write_bytes(script.read_bytes() + bytes(68_000))
    with pytest.raises(UnsafeCheckpointError, match="TorchScript"):
        load_checkpoint(script)
    tar = tmp_path / "old.pt"
    with tarfile.open(tar, "w") as archive:
        archive.add(script, "pickle")
    with pytest.raises(UnsafeCheckpointError, match="tar archive"):
        load_checkpoint(tar)
    with pytest.raises(FileNotFoundError, match="nowhere.pt"):
        load_checkpoint(tmp_path / "nowhere.pt")
    for name in ("text.pt", "text.safetensors"):
        (tmp_path / name).write_text("no checkpoint at all")
        with pytest.raises(ValueError, match=name):
            load_checkpoint(tmp_path / name)
    (tmp_path / "cut.pt").write_bytes(script.read_bytes()[:300])
    with pytest.raises(ValueError, match="cut.pt"):
        load_checkpoint(tmp_path / "cut.pt")


@pytest.mark.parametrize("kind", ["deflated", "bzip2", "shared"])
def test_what_unpacks_to_more_is_refused(tmp_path, kind):
    whole, path = tmp_path / "whole.pt", tmp_path / "packed.pt"
    torch.save({"a": torch.zeros(1000), "b": torch.ones(1000)}, whole)
    assert load_checkpoint(whole)["b"].sum() == 1000
    method = {"deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name), method.get(kind, 0))
        if kind == "shared":  # many names of one member's bytes
            large = max(new.infolist(), key=lambda member: member.file_size)
            new.filelist += [large] * 20
    # What torch itself cannot unpack is no checkpoint anyway.
    said = "no PyTorch checkpoint" if kind == "bzip2" else "compressed"
    with pytest.raises(ValueError, match=f"packed.pt is {said}"):
        load_checkpoint(path)


def test_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.arange(3.0)}, path)
    assert load_checkpoint(path)["weight"].tolist() == [0.0, 1.0, 2.0]
