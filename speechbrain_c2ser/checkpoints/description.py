"""Objects written as yaml, and a guard for yaml that strangers wrote."""

import ruamel.yaml
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar

OURS = ("speechbrain_c2ser.lobes", "speechbrain_c2ser.labels")


def describe(value, name="", adapt=None):
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
    kind = type(value)
    block.yaml_set_ctag(
        ruamel.yaml.tag.Tag(suffix=f"!new:{kind.__module__}.{kind.__name__}")
    )
    return block


def reference(text):
    """A ``!ref`` node, such as ``reference("<folder>/llm")``."""
    return TaggedScalar(text, tag="!ref")


def write_yaml(settings, path):
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


def refuse_foreign(text, path, allow=()):
    """Check that a HyperPyYAML text builds nothing but lobes and labels.

    HyperPyYAML can call any Python function; a folder from a stranger must
    not.

    Arguments
    ---------
    text : str
        The yaml.
    path : str | pathlib.Path
        Where it is from, for the message.
    allow : sequence of str
        Further modules whose classes may be built.

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
    try:
        root = ruamel.yaml.YAML().compose(text)
    except ruamel.yaml.error.YAMLError as error:
        raise ValueError(f"{path} is no readable yaml: {error}") from error
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if not _is_harmless(str(node.tag), (*OURS, *allow)):
            raise ValueError(
                f"{path} wants to build '{node.tag}', which is not part of "
                "this package; refused. If you trust it, name its module in "
                "`allow`."
            )
        if isinstance(node, ruamel.yaml.MappingNode):
            nodes += [part for pair in node.value for part in pair]
        elif isinstance(node, ruamel.yaml.SequenceNode):
            nodes += node.value


def _is_harmless(tag, modules):
    if not tag.startswith("!new:"):
        return tag == "!ref" or tag.startswith("tag:yaml.org,2002:")
    # One class of a module or of a file in a package: no deeper attribute,
    # through which anything the file imports could be reached.
    module, _, name = tag[len("!new:") :].rpartition(".")
    package = module.rpartition(".")[0]
    return name[:1].isupper() and (module in modules or package in modules)
