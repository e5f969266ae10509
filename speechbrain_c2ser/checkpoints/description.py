"""Objects written as yaml, under class paths that stay."""

from collections.abc import Callable
from pathlib import Path

import ruamel.yaml
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar

from speechbrain_c2ser import lobes
from speechbrain_c2ser.chain_of_thought import slots
from speechbrain_c2ser.labels import LabelSpace


def class_path(kind: type) -> str:
    """The path under which a class is saved: short for our own.

    A file of ours may move; what was saved must still be read.

    Arguments
    ---------
    kind : type
        A class.

    Returns
    -------
    str

    Example
    -------
    >>> from speechbrain_c2ser.lobes import MaskedMean
    >>> class_path(MaskedMean)
    'speechbrain_c2ser.lobes.MaskedMean'
    """
    if kind is LabelSpace:
        return "speechbrain_c2ser.labels.LabelSpace"
    if slots.PUBLIC.get(kind.__name__) is kind:
        return f"{slots.__name__}.{kind.__name__}"
    place = f"{lobes.__name__}.{lobes.PUBLIC.get(kind.__name__)}"
    if kind.__module__ == place:
        return f"{lobes.__name__}.{kind.__name__}"
    return f"{kind.__module__}.{kind.__name__}"


def describe(
    value: object, name: str = "", adapt: Callable | None = None
) -> object:
    """A value as yaml nodes: plain values as they are, objects as ``!new:``.

    Arguments
    ---------
    value : object
        Number, text, None, list, dict, or an object that remembers its
        arguments (:func:`speechbrain_c2ser.arguments.remember_arguments`).
    name : str
        What the value is called, for messages and for ``adapt``.
    adapt : callable | None
        ``(name, object, arguments) -> arguments``: changes the arguments of
        an object before they are written.

    Returns
    -------
    object
        Something that ruamel.yaml writes.

    Raises
    ------
    ValueError
        For an object that does not remember its arguments.
    """
    plain = bool | int | float | str | TaggedScalar | None
    if isinstance(value, plain):
        return value
    if isinstance(value, dict):
        items = ((k, describe(v, k, adapt)) for k, v in value.items())
        return CommentedMap(items)
    if isinstance(value, list | tuple):
        return CommentedSeq(describe(v, name, adapt) for v in value)
    arguments = getattr(value, "constructor_arguments", None)
    if arguments is None:
        raise ValueError(
            f"{name} is a {type(value).__name__}, which does not remember its "
            "arguments and so cannot be saved: decorate its class with "
            "speechbrain_c2ser.arguments.remember_arguments."
        )
    if adapt is not None:
        arguments = adapt(name, value, dict(arguments))
    block = describe(arguments, name, adapt)
    block.yaml_set_ctag(
        ruamel.yaml.tag.Tag(suffix=f"!new:{class_path(type(value))}")
    )
    return block


def reference(text):
    """A ``!ref`` node, such as ``reference("<folder>/llm")``."""
    return TaggedScalar(text, tag="!ref")


def write_yaml(settings: dict, path: Path) -> None:
    """Write a dict of described values.

    Arguments
    ---------
    settings : dict
        Values from :func:`describe`.
    path : pathlib.Path
        The file.
    """
    yaml = ruamel.yaml.YAML()
    yaml.allow_unicode = True
    yaml.representer.add_representer(
        type(None),
        lambda dumper, _: dumper.represent_scalar(
            "tag:yaml.org,2002:null", "null"
        ),
    )
    with open(path, "w", encoding="utf-8") as file:
        yaml.dump(CommentedMap(settings), file)
