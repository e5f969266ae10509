"""Yaml that strangers wrote: a closed list of tags, read without HyperPyYAML.

HyperPyYAML loads with a loader that can call any Python function. A model
folder needs plain values, ``!ref <folder>`` and ``!new:`` of our own classes;
those are built here, after the whole text was checked, and nothing else is.
"""

import inspect
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import Node

from speechbrain_c2ser import lobes
from speechbrain_c2ser.chain_of_thought import slots
from speechbrain_c2ser.checkpoints.old_blocks import OLD
from speechbrain_c2ser.checkpoints.size_limit import no_larger_than
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes.pretrained_files import check_weights

PLAIN = {
    f"tag:yaml.org,2002:{kind}"
    for kind in ("map", "seq", "str", "int", "float", "bool", "null")
}
STRING = "tag:yaml.org,2002:str"
LOBES = "speechbrain_c2ser.lobes."
LARGEST = 1_000_000  # of sizes: some fill memory without a parameter
# What a constructor may end in, given anything, beside a sentence of ours.
FAILURES = (
    AssertionError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
)
LABELS = "speechbrain_c2ser.labels."
SLOTS = slots.__name__ + "."


def build_yaml(
    root: Node,
    path: str | Path,
    weights: int | None = None,
) -> dict:
    """Build what the checked yaml of a model folder describes.

    Arguments
    ---------
    root : ruamel.yaml.nodes.Node
        From :func:`parse_yaml`: one mapping.
    path : str | Path
        Where it is from, for messages.
    weights : int | None
        Numbers that are to fill the blocks: what is far larger is refused
        before it takes memory. What loads weights of its own may be larger.

    Returns
    -------
    dict
        The values and objects by key.

    Raises
    ------
    ValueError
        For a reference to anything but a plain value at the top, or a class
        that cannot be built as it says.

    Example
    -------
    >>> text = "a: !new:speechbrain_c2ser.lobes.MaskedMean {input_size: 4}"
    >>> build_yaml(parse_yaml(text, "x.yaml"), "x.yaml")["a"].output_size
    4
    """
    top = {
        key.value: value.value
        for key, value in root.value
        if isinstance(value, ScalarNode) and value.tag in PLAIN
    }
    return _Builder(path, top, weights).build(root)


def parse_yaml(
    text: str,
    path: str | Path,
    overrides: dict | None = None,
    allow: Sequence[str] = (),
) -> MappingNode:
    """Check the yaml of a model folder, and change texts in it.

    Arguments
    ---------
    text : str
        The yaml: one mapping.
    path : str | Path
        Where it is from, for messages.
    overrides : dict | None
        Texts that take the place of others, nested as in the yaml.
    allow : Sequence[str]
        As for :func:`refuse_foreign`.

    Returns
    -------
    ruamel.yaml.MappingNode
        For :func:`build_yaml`; nothing was built or imported.

    Raises
    ------
    ValueError
        For anything but plain values, references to them, and the classes of
        ``speechbrain_c2ser.lobes``, of labels and of a prompt's slots.

    Example
    -------
    >>> parse_yaml("a: 1", "x.yaml", {"a": "2"}).value[0][1].value
    '2'
    """
    root = refuse_foreign(text, path, allow)
    if not isinstance(root, MappingNode):
        raise ValueError(f"{path} is no mapping of names to values.")
    _override(root, overrides or {}, path)
    return root


def refuse_foreign(
    text: str, path: str | Path, allow: Sequence[str] = ()
) -> Node:
    """Check that a yaml holds plain values and permitted classes alone.

    Arguments
    ---------
    text : str
        The yaml.
    path : str | Path
        Where it is from, for the message.
    allow : Sequence[str]
        Modules, beside our own, whose classes may be built.

    Returns
    -------
    ruamel.yaml.nodes.Node
        The text as nodes; nothing was built or imported.

    Raises
    ------
    ValueError
        Names what was refused.

    Example
    -------
    >>> refuse_foreign("a: !apply:os.system [date]", "x.yaml")
    Traceback (most recent call last):
    ...
    ValueError: x.yaml wants to build '!apply:os.system', which is ...
    """
    if any(
        line.startswith("%")
        for line in text.removeprefix("\ufeff").splitlines()
    ):
        raise ValueError(
            f"{path} has a yaml directive (a line that begins with %), which "
            "may rename tags; refused."
        )
    try:
        root = YAML().compose(text)
    except (YAMLError, RecursionError) as error:
        problem = str(error).partition("\n")[0]
        raise ValueError(f"{path} is no readable yaml: {problem}") from error
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if node is None:
            continue
        if id(node) in seen:
            raise ValueError(
                f"{path} repeats a part by an alias (*name); refused. Write "
                "it out."
            )
        seen.add(id(node))
        if not _is_permitted(str(node.tag), allow):
            raise ValueError(
                f"{path} wants to build '{node.tag}', which is not part of "
                "this package; refused. If you trust it, name its module in "
                "`allow`, or give its file by --user_modules."
            )
        if isinstance(node, MappingNode):
            if not all(isinstance(key, ScalarNode) for key, _ in node.value):
                raise ValueError(f"{path} has a key that is no text; refused.")
            nodes += [part for pair in node.value for part in pair]
        elif isinstance(node, SequenceNode):
            nodes += node.value
    return root


def _is_permitted(tag: str, allow: Sequence[str]) -> bool:
    if tag in PLAIN or tag == "!ref":
        return True
    if not tag.startswith("!new:"):
        return False
    # Of others a class of one module, or of a file in one package: no deeper
    # attribute, through which whatever the file imports could be reached.
    module, _, name = tag.removeprefix("!new:").rpartition(".")
    allowed = module in allow or module.rpartition(".")[0] in allow
    return _is_ours(module + ".", name) or (allowed and name[:1].isupper())


def _is_ours(module: str, name: str) -> bool:
    """Whether a class is one of our blocks, under today's path or an older."""
    if module.startswith(LABELS):
        return name == "LabelSpace"
    if module == SLOTS:
        return name in slots.PUBLIC
    return module.startswith(LOBES) and (name in lobes.PUBLIC or name in OLD)


def _override(node: Node, changes: dict, path: str | Path) -> None:
    """Replace texts of a mapping; what is not there yet is added."""
    there = {key.value: i for i, (key, _) in enumerate(node.value)}
    for name, change in changes.items():
        key = ScalarNode(STRING, name)
        place = there.get(name)
        if isinstance(change, dict):
            if place is None or not isinstance(
                node.value[place][1], MappingNode
            ):
                raise ValueError(
                    f"{path} has no {name} in which to set {sorted(change)}."
                )
            _override(node.value[place][1], change, path)
        elif place is None:
            node.value.append((key, ScalarNode(STRING, change)))
        else:
            node.value[place] = (key, ScalarNode(STRING, change))


def _too_large(value: Any) -> float | None:
    """The first among plain arguments that is larger than sizes are, or nan."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        found = (_too_large(part) for part in value)
        return next((number for number in found if number is not None), None)
    if not isinstance(value, int | float):
        return None
    return None if value <= LARGEST else value  # nan is not <= any


class _Builder:
    """Checked nodes to values and objects, inner ones first."""

    def __init__(self, path, top, weights):
        self.path, self.top, self.weights = path, top, weights
        self.scalars = YAML(typ="safe", pure=True).constructor

    def build(self, node: Node | None) -> Any:
        if isinstance(node, MappingNode):
            value = {}
            for key, part in node.value:
                name = self.build(key)
                if name in value:
                    raise ValueError(f"{self.path} has {name} twice.")
                value[name] = self.build(part)
        elif isinstance(node, SequenceNode):
            value = [self.build(part) for part in node.value]
        elif node.tag == "!ref":
            return self._referred(node.value)
        elif str(node.tag).startswith("!new:"):
            value = []  # a class without arguments
        else:
            return self._plain(node)
        tag = str(node.tag)
        return self._new(tag, value) if tag.startswith("!new:") else value

    def _plain(self, node: Any) -> Any:
        try:
            return self.scalars.construct_object(node)
        except (ValueError, LookupError, ArithmeticError, YAMLError) as error:
            raise ValueError(
                f"{self.path}: {node.value[:20]!r} is no {node.tag[18:]}."
            ) from error

    def _referred(self, text: str) -> str:
        """``<name>/more`` with the plain value of a top-level name."""
        name, closed, rest = text.removeprefix("<").partition(">")
        if not text.startswith("<") or not closed or name not in self.top:
            raise ValueError(
                f"{self.path} refers to '{text}'; a reference here is "
                "<name>, perhaps with more text behind, of a plain value."
            )
        return self.top[name] + rest

    def _by_name(self, kind: type, name: str, arguments: dict | list) -> dict:
        """Arguments by name, those that are given by their place too."""
        if isinstance(arguments, dict):
            return arguments
        try:
            return inspect.signature(kind).bind_partial(*arguments).arguments
        except TypeError as error:
            raise ValueError(
                f"{self.path}: {name} cannot be built: {error}."
            ) from error

    def _new(self, tag: str, arguments: dict | list) -> Any:
        module, _, name = tag.removeprefix("!new:").rpartition(".")
        if _is_ours(module + ".", name):
            if name in OLD:
                raise ValueError(
                    f"{self.path}: a {name} stands in a model, nowhere else."
                )
            if name == "LabelSpace":
                kind = LabelSpace
            elif module + "." == SLOTS:
                kind = slots.PUBLIC[name]
            else:
                kind = getattr(lobes, name)
        else:
            kind = getattr(import_module(module), name, None)
            # What the module merely imported is not its own.
            if not inspect.isclass(kind) or kind.__module__ != module:
                raise ValueError(f"{self.path}: there is no {module}.{name}.")
        options = self._by_name(kind, name, arguments)
        if options.get("save_path") is not None:
            raise ValueError(
                f"{self.path}: {name} wants to write to "
                f"{options['save_path']!r}; refused."
            )
        if (number := _too_large(arguments)) is not None:
            told = f"{min(number, 1e300):.3g}"  # longer ones are no float
            raise ValueError(
                f"{self.path}: {name} has a number of {told}, which is more "
                "than any size, or no number; refused."
            )
        loads = options.get("source") and options.get("pretrained", True)
        try:
            if loads:
                check_weights(options["source"])
            with no_larger_than(None if loads else self.weights):
                if isinstance(arguments, dict):
                    return kind(**arguments)
                return kind(*arguments)
        except FAILURES as error:
            said = " ".join(str(error).split()).rstrip(".")
            raise ValueError(
                f"{self.path}: {name} cannot be built: {said}."
            ) from error
