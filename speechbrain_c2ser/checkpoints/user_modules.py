"""Blocks of a user's own, from one file: named in yamls, kept with models.

A file that is given (``--user_modules my_blocks.py``) is imported under its
own name, so that a yaml may say ``!new:my_blocks.MyHead``. A model that is
built of it takes a copy along, with its hash. Nothing is imported out of a
model's folder unless its module is named in ``allow``.
"""

import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import SourceLoader
from pathlib import Path
from types import ModuleType

from ruamel.yaml.nodes import MappingNode

FOLDER = "user_modules"  # in a model's folder, and the name of its settings
LARGEST = 300_000  # bytes of a file
NAMED = re.compile(r"!(?:new|name|apply|module):([A-Za-z_][\w.]*)")
# Module -> (file, its content), in the order in which they were given.
_loaded: dict[str, tuple[Path, bytes]] = {}


class _Source(SourceLoader):
    """The bytes that were looked at, whatever the file has become since."""

    def __init__(self, path: Path, source: bytes):
        self.path, self.source = path, source

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: str) -> bytes:  # type: ignore[override]
        return self.source


def load_user_module(path: str | Path) -> ModuleType:
    """Import a file of the user's, from now on known by its name.

    Arguments
    ---------
    path : str | Path
        Such as ``my_blocks.py``, which becomes the module ``my_blocks``.

    Returns
    -------
    ModuleType

    Raises
    ------
    ValueError
        For a file that is not there, cannot be imported, or has the name of
        another module.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "my_example_blocks.py"
    >>> _ = path.write_text("class Loudness:\\n    pass\\n")
    >>> load_user_module(path).Loudness.__module__
    'my_example_blocks'
    """
    path = Path(path)
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(
            f"There is no file {path} of your own modules: give a .py file."
        )
    return _load(path, _read(path))


def loaded_modules() -> list[str]:
    """Names of the modules that :func:`load_user_module` has imported.

    Example
    -------
    >>> "os" in loaded_modules()
    False
    """
    return list(_loaded)


def hashes() -> dict[str, str]:
    """Module -> hash of its file, of those that were given.

    Example
    -------
    >>> "os" in hashes()
    False
    """
    return {name: _hash(source) for name, (_, source) in _loaded.items()}


def check_named(text: str, where: str | Path) -> None:
    """Refuse a yaml that names a module which Python does not have.

    Arguments
    ---------
    text : str
        A yaml; nothing of it is built or imported.
    where : str | Path
        Its name, for the message.

    Raises
    ------
    ValueError
        Names the class, and what to give.

    Example
    -------
    >>> check_named("head: !new:my_lost_blocks.MyHead", "mine.yaml")
    Traceback (most recent call last):
    ...
    ValueError: mine.yaml names my_lost_blocks.MyHead, but there is no module
    my_lost_blocks: give its file by --user_modules my_lost_blocks.py.
    """
    for path in NAMED.findall(text):
        module, _, name = path.partition(".")
        if module in _loaded:
            own = sys.modules[module]
            if not hasattr(own, name.partition(".")[0]):
                has = [n for n in vars(own) if not n.startswith("_")]
                raise ValueError(
                    f"{where} names {path}, but {_loaded[module][0]} has no "
                    f"{name} (it has {', '.join(has)})."
                )
        elif module not in sys.modules and not importlib.util.find_spec(module):
            raise ValueError(
                f"{where} names {path}, but there is no module {module}: give "
                f"its file by --user_modules {module}.py."
            )


def write_user_modules(text: str, folder: Path) -> dict[str, str] | None:
    """Copy what a model's settings name of the user's modules.

    Arguments
    ---------
    text : str
        The settings.
    folder : Path
        The model's; gets ``user_modules/NAME.py``.

    Returns
    -------
    dict | None
        Module -> hash of its file; None where none is named. Of several files
        all are kept, as one may import another.

    Example
    -------
    >>> write_user_modules("a: 1", Path("nowhere"))
    """
    named = {path.partition(".")[0] for path in NAMED.findall(text)}
    if not named & set(_loaded):
        return None
    (folder / FOLDER).mkdir()
    for name, (_, source) in _loaded.items():
        (folder / FOLDER / f"{name}.py").write_bytes(source)
    return hashes()


def load_kept_modules(
    root: MappingNode, folder: Path, allow: Sequence[str]
) -> None:
    """Import the user modules of a model's folder that ``allow`` names.

    Arguments
    ---------
    root : ruamel.yaml.MappingNode
        The folder's settings, checked.
    folder : Path
        The model's.
    allow : sequence of str
        Names of modules; no other is imported.

    Raises
    ------
    ValueError
        Where a file is not the one that the settings tell, or Python has
        another module of its name.
    """
    for name, digest in _told(root):
        kept = folder / FOLDER / f"{name}.py"
        if name in _loaded:
            path, source = _loaded[name]
            if _hash(source) != digest:
                raise ValueError(
                    f"{path} is not the file that {folder} was saved with: "
                    f"give its copy, --user_modules {kept}."
                )
        elif name in allow:
            if not name.isidentifier() or not kept.is_file():
                raise ValueError(f"{folder} has no user module {kept.name}.")
            source = _read(kept)
            if _hash(source) != digest:
                raise ValueError(
                    f"{kept} is not the file that the model was saved with: "
                    "its hash is another."
                )
            _load(kept, source)


def _told(root: MappingNode) -> Iterable[tuple[str, str]]:
    """(module, hash), as settings tell them."""
    for key, value in root.value:
        if key.value == FOLDER and isinstance(value, MappingNode):
            yield from ((k.value, str(v.value)) for k, v in value.value)


def _read(path):
    if path.stat().st_size > LARGEST:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes, more than a file of "
            "blocks."
        )
    return path.read_bytes()


def _hash(source):
    return hashlib.sha256(source).hexdigest()


def _load(path, source):
    name = path.stem
    if name in _loaded:
        if _loaded[name][1] != source:
            raise ValueError(
                f"{path} and {_loaded[name][0]} are different files of one "
                "name: rename one, or start anew."
            )
        return sys.modules[name]
    _check_name(name, path, source)
    loader = _Source(path.resolve(), source)
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    # whatever a file of the user's may do
    except Exception as error:
        del sys.modules[name]
        words = " ".join(str(error).split())
        raise ValueError(
            f"{path} cannot be imported: {type(error).__name__}: {words}"
        ) from error
    _loaded[name] = (path, source)
    return module


def _check_name(name, path, source):
    """Refuse a name that another module has."""
    if not name.isidentifier():
        raise ValueError(
            f"{path} cannot be a module: call it by letters, digits and _, "
            "such as my_blocks.py."
        )
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module that was made by hand
        spec = None
    other = spec.origin if spec else None
    if name in sys.modules or spec is not None:
        same = other and Path(other).is_file()
        if not same or Path(other).read_bytes() != source:
            raise ValueError(
                f"{path} has the name of another module ({other or name}): "
                "rename it."
            )
