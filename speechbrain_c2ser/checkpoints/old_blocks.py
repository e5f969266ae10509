"""Blocks that older versions saved, as those of today.

Once each encoder had a shape of its own and a class around it for classifiers;
emotion2vec+ had a classifier of its own. Their folders are still read.
"""

from collections.abc import Callable

import torch
from ruamel.yaml import YAML, MappingNode, SequenceNode
from ruamel.yaml.nodes import Node

WRAPPERS = ("Emotion2VecFeatures", "WhisperFeatures")
OLD = (*WRAPPERS, "EncoderClassifier", "MeanPoolClassifier")
EMOTION2VEC_PLUS = """
!new:speechbrain_c2ser.lobes.EmotionClassifier
encoder: null
heads: !new:speechbrain_c2ser.lobes.MultiHead
    heads:
        emotion: !new:speechbrain_c2ser.lobes.CategoryHead
            input_size: null
            labels: null
pooling: !new:speechbrain_c2ser.lobes.MaskedMean
    input_size: null
"""
Tensors = dict[str, torch.Tensor]


def modernize(root: MappingNode) -> Callable[[Tensors], Tensors]:
    """Puts blocks of today into the description of a saved ``model``.

    Arguments
    ---------
    root : ruamel.yaml.MappingNode
        A folder's yaml, checked; changed in place.

    Returns
    -------
    Callable
        Saved tensors → the same under the names of today.

    Raises
    ------
    ValueError
        For an old block that lacks an argument.

    Example
    -------
    >>> root = YAML().compose("{model: {encoder: !new:old.WhisperFeatures "
    ...     "{encoder: !new:x.WhisperEncoder {}}}}")
    >>> rename = modernize(root)
    >>> rename({"encoder.encoder.encoder.conv1.bias": 1})
    {'encoder.encoder.conv1.bias': 1}
    """
    # (old prefix, prefix of today, rows that are kept or None for all)
    changes: list[tuple[str, str, list[int] | None]] = []

    def today(node, place):
        name = str(node.tag).rpartition(".")[2]
        if name in WRAPPERS:
            changes.append((f"{place}encoder.", place, None))
            return today(_argument(node, "encoder"), place)
        if name == "EncoderClassifier":
            node, rows = _emotion2vec_plus(node)
            head = f"{place}heads.heads.emotion.linear."
            changes.append((f"{place}head.linear.", head, rows))
        if isinstance(node, MappingNode):
            node.value = [
                (key, today(part, f"{place}{key.value}."))
                for key, part in node.value
            ]
        return node

    def rename(tensors):
        for old, new, rows in changes:
            renamed = {}
            for key, tensor in tensors.items():
                if key.startswith(old):
                    key = new + key.removeprefix(old)
                    tensor = tensor if rows is None else tensor[rows]
                renamed[key] = tensor
            tensors = renamed
        return tensors

    root.value = [
        (key, today(part, "") if key.value == "model" else part)
        for key, part in root.value
    ]
    return rename


def _emotion2vec_plus(node: Node) -> tuple[Node, list[int]]:
    """The classifier of today, and which rows of its head are used."""
    head = _argument(node, "head")
    labels, size = _argument(head, "labels"), _argument(head, "input_size")
    if not isinstance(labels, SequenceNode):
        raise ValueError("A MeanPoolClassifier has no list of labels.")
    rows = [
        number
        for number, label in enumerate(labels.value)
        if not str(label.value).startswith("unuse")
    ]
    labels.value = [labels.value[number] for number in rows]
    given = {
        "encoder": _argument(node, "encoder"),
        "labels": labels,
        "input_size": size,
    }

    def filled(node):
        if isinstance(node, MappingNode):
            node.value = [
                (key, given[key.value] if key.value in given else filled(part))
                for key, part in node.value
            ]
        return node

    return filled(YAML().compose(EMOTION2VEC_PLUS)), rows


def _argument(node: Node, name: str) -> Node:
    """An argument of an old block."""
    if isinstance(node, MappingNode):
        for key, part in node.value:
            if key.value == name:
                return part
    raise ValueError(
        f"A {str(node.tag).rpartition('.')[2]} is saved without its {name}."
    )
