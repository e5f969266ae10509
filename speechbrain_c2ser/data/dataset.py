"""A manifest as a SpeechBrain dataset, batched by length."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset

from speechbrain_c2ser.audio import read_audio
from speechbrain_c2ser.data.arrow_manifest import ArrowManifest
from speechbrain_c2ser.data.difficulty import EasyFirst, EasyFirstSampler
from speechbrain_c2ser.data.parts import is_rows
from speechbrain_c2ser.data.pools import read_pool
from speechbrain_c2ser.data.sampling import (
    BUCKETS,
    BatchesInTurn,
    PairedBatchSampler,
)
from speechbrain_c2ser.data.streams import (
    StreamedDataset,
    check_rows,
    durations_of,
    open_stream,
    rows_of,
)
from speechbrain_c2ser.data.turns import with_turns
from speechbrain_c2ser.labels import LabelSpace


def speech_dataset(
    manifest: str | Path | list | dict | ArrowManifest,
    need: Sequence[str] = (),
    label_space: LabelSpace | None = None,
    fields: Sequence[str] | None = None,
) -> DynamicItemDataset:
    """Make a dataset of waveforms and their manifest rows.

    Arguments
    ---------
    manifest : str | Path | list | dict | ArrowManifest
        A manifest file, several as of
        :func:`~speechbrain_c2ser.data.parts.parts_of`, or the items already
        read (id → row). Of one Arrow manifest, or a folder of such shards,
        each row is read when it is asked for.
    need : sequence of str
        Fields that every row must carry.
    label_space : LabelSpace | None
        Where given, every ``emotion`` must be one of its names.
    fields : sequence of str | None
        What is read of an Arrow manifest's rows beside id and recording;
        None is everything.

    Returns
    -------
    DynamicItemDataset
        Items with ``id``, ``sig`` (float32 [samples], 16 kHz) and ``item``
        (the row with its id, and what was said ``before`` and ``after`` it
        where it has a ``dialogue`` and a ``turn``).

    Raises
    ------
    ManifestError
        If a row lacks a needed field or has an unknown emotion.

    Example
    -------
    >>> rows = {"a": {"wav": "a.wav", "duration": 1.0, "emotion": "sad"}}
    >>> len(speech_dataset(rows, need=["emotion"]))
    1
    """
    stream = (
        manifest
        if isinstance(manifest, ArrowManifest)
        else open_stream(manifest, fields)
    )
    dataset: DynamicItemDataset
    if stream is not None:
        check_rows(stream, need, label_space)
        dataset = StreamedDataset(stream)
    else:
        items: Any = manifest if is_rows(manifest) else read_pool(manifest)
        check_rows(items, need, label_space)
        dataset = DynamicItemDataset(
            {
                key: {
                    "row": {**row, "id": key},
                    "duration": float(row["duration"]),
                }
                for key, row in with_turns(items).items()
            }
        )
    dataset.add_dynamic_item(read_item, takes="row", provides="sig")
    dataset.add_dynamic_item(_whole, takes="row", provides="item")
    dataset.set_output_keys(["id", "sig", "item"])
    return dataset


def _whole(row):
    """The row itself: a function that has a name reaches spawned workers."""
    return row


def read_item(row: dict):
    """Read the recording, or the part of one, that a manifest row names.

    Arguments
    ---------
    row : dict
        With ``wav`` and perhaps ``start`` and ``stop`` (s).

    Returns
    -------
    torch.Tensor
        float32 [samples], 16 kHz.

    Raises
    ------
    AudioError
        If it cannot be read.
    """
    return read_audio(row["wav"], row.get("start"), row.get("stop"))


def sample_waveforms(dataset: DynamicItemDataset, most: int = 500):
    """Waveforms of a few items, spread evenly over a dataset.

    Arguments
    ---------
    dataset : DynamicItemDataset
        From :func:`speech_dataset`.
    most : int
        How many at most.

    Yields
    ------
    torch.Tensor
        float32 [samples], 16 kHz.
    """
    for number in range(0, len(dataset), 1 + len(dataset) // most):
        with dataset.output_keys_as(["sig"]):
            item = dataset[number]
        yield item["sig"]


def emotions_of(manifest: Any) -> list[str]:
    """The distinct emotions of a manifest, sorted: the classes of a yaml.

    Arguments
    ---------
    manifest : str | Path | dict | list of them
        A manifest file, or a pool as of
        :func:`~speechbrain_c2ser.data.parts.parts_of`.

    Returns
    -------
    list of str

    Raises
    ------
    ManifestError
        If the file cannot be read.
    ValueError
        If no row has an emotion.
    """
    return LabelSpace.from_items(read_pool(manifest, aloud=False)).names


def values_of(manifest: Any, field: str) -> list[str]:
    """The distinct values of a field of a manifest, sorted: a head's labels.

    Arguments
    ---------
    manifest : str | Path | dict | list of them
        As of :func:`emotions_of`.
    field : str
        Such as "speaker".

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If no row has the field, or values are no text.

    Example
    -------
    >>> from speechbrain_c2ser.data.manifest import write_manifest
    >>> path = getfixture("tmpdir") / "train.json"
    >>> row = {"wav": "a.wav", "duration": 1.0}
    >>> write_manifest({"a": {**row, "speaker": "s2"}, "b": row}, path)
    >>> values_of(path, "speaker")
    ['s2']
    """
    rows = read_pool(manifest, aloud=False).values()
    values = {row[field] for row in rows if row.get(field) is not None}
    if not values or not all(isinstance(value, str) for value in values):
        raise ValueError(
            f"No row of {manifest} has a {field} that is a text, of which a "
            "head could learn."
        )
    return sorted(values)


def loader_options(
    dataset: DynamicItemDataset,
    batch_seconds: float,
    num_buckets: int = BUCKETS,
    seed: int = 0,
    shuffle: bool = True,
    easy_first: EasyFirst | None = None,
    **options: Any,
) -> dict:
    """What ``Brain.fit`` needs to load a dataset in batches of like length.

    Arguments
    ---------
    dataset : DynamicItemDataset
        From :func:`speech_dataset`.
    batch_seconds : float
        Audio in a batch, padding counted. A longer item has a batch of its
        own.
    num_buckets : int
        How many shares of like length: more of them waste less on padding,
        fewer give an item more companions by chance. Of no effect without
        ``shuffle``.
    seed : int
        Of the shuffling.
    shuffle : bool
        Whether the order changes from epoch to epoch.
    easy_first : EasyFirst | None
        Whether easy rows come first for some epochs; of no effect without
        ``shuffle``.
    **options : object
        More of torch's ``DataLoader``, such as ``num_workers``.

    Returns
    -------
    dict
        ``train_loader_kwargs`` or ``valid_loader_kwargs``.

    Example
    -------
    >>> rows = {
    ...     str(i): {"wav": "a.wav", "duration": 1.0 + i % 2} for i in range(8)
    ... }
    >>> options = loader_options(speech_dataset(rows), 4.0)
    >>> sorted(len(batch) for batch in options["batch_sampler"])
    [2, 2, 4]
    """
    durations = durations_of(dataset)
    sampler: BatchesInTurn
    if easy_first is not None and shuffle:
        sampler = EasyFirstSampler(
            durations,
            easy_first.divide(rows_of(dataset).values()),
            easy_first.epochs,
            seed,
            max_batch_length=batch_seconds,
            num_buckets=num_buckets,
        )
    else:
        sampler = PairedBatchSampler(
            durations,
            np.full(len(durations), -1),
            max_batch_length=batch_seconds,
            num_buckets=num_buckets,
            shuffle=shuffle,
            seed=seed,
        )
    return {
        "batch_sampler": sampler,
        **options,
        # only waveforms are tensors; rows stay the lists that they are
        "collate_fn": partial(
            PaddedBatch, apply_default_convert=False, nonpadded_stack=False
        ),
    }
