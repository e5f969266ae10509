"""A training set of any size: rows of an Arrow manifest as they are needed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DataPipeline

from speechbrain_c2ser.data.arrow_manifest import ArrowManifest, RowByRow
from speechbrain_c2ser.data.arrow_writing import MORE, NUMBERS, TEXTS, arrow
from speechbrain_c2ser.data.manifest import check_manifest
from speechbrain_c2ser.data.parts import is_rows, parts_of
from speechbrain_c2ser.data.weak import WEAK


def open_stream(
    source: Any, fields: Sequence[str] | None = None
) -> ArrowManifest | None:
    """An Arrow manifest to be read row by row; None for what is none.

    Arguments
    ---------
    source : object
        A manifest as a yaml names it: one .arrow file, or a folder of them,
        perhaps as ``{manifest: PATH, label: weak}``. Anything else (JSON, a
        pool with shares or maps) is no stream.
    fields : sequence of str | None
        As of :class:`~speechbrain_c2ser.data.arrow_manifest.ArrowManifest`.

    Returns
    -------
    ArrowManifest | None
        None, too, where rows are turns of dialogues: what was said before a
        row is not read with it.

    Raises
    ------
    ManifestError
        If the manifest cannot be read.

    Example
    -------
    >>> open_stream("train.json") is None
    True
    """
    if isinstance(source, list | tuple) or is_rows(source):
        return None
    (part,) = parts_of(source)
    if part.share != 1 or part.places is not None:
        return None
    path = part.path
    if path.suffix != ".arrow" and not any(path.glob("*.arrow")):
        return None
    manifest = ArrowManifest(path, fields=fields, label=part.label)
    if manifest.mentions("dialogue"):
        return None
    if part.label == WEAK:
        manifest.weak_labels()[1].tell(path)
    return manifest


def check_rows(
    manifest: ArrowManifest | dict, need: Sequence[str] = (), label_space=None
) -> None:
    """Check what a recipe needs, but for the audio: a stream's by columns.

    Arguments
    ---------
    manifest : ArrowManifest | dict
        The rows; audio is not opened.
    need : sequence of str
        Fields that each row must have.
    label_space : LabelSpace | sequence[str] | None
        The emotions that may occur; anything with ``.names``.

    Raises
    ------
    ManifestError
        Names the first bad row and what is wrong.

    Example
    -------
    >>> from speechbrain_c2ser.data.arrow_writing import write_arrow_manifest
    >>> path = getfixture("tmpdir") / "train.arrow"
    >>> _ = write_arrow_manifest({"a": {"wav": "a.wav", "duration": 0}}, path)
    >>> check_rows(ArrowManifest(path))
    Traceback (most recent call last):
    speechbrain_c2ser.data.errors.ManifestError: Item 'a': the duration \
0.0 is not a positive number of seconds.
    """
    if not isinstance(manifest, ArrowManifest):
        check_manifest(manifest, need, label_space, check_audio=False)
        return
    durations = durations_of(manifest)
    bad = ~((durations > 0) & (durations < np.inf))
    columns = [name for name in ("wav", *need) if name in (*TEXTS, *NUMBERS)]
    for name in columns:
        bad |= ~_is_there(manifest.column(name))
    names = getattr(label_space, "names", label_space)
    if names is not None:
        there, codes = codes_of(manifest, "emotion")
        known = [name in names for name in there]
        bad |= ~np.array([*known, True])[codes]  # -1 is the last
    for place in np.flatnonzero(bad):
        _check_row(manifest.row(int(place)), need, label_space)
    others = set(need) - set(columns)
    if not others:
        return
    texts = (t for c in manifest.column(MORE).chunks for t in c.to_pylist())
    for number, text in enumerate(texts):
        row = json.loads(text or "{}")
        if any(row.get(field) in (None, "") for field in others):
            _check_row(manifest.row(number), need, label_space)


def _is_there(column):
    """Whether each value is neither missing nor an empty text [N]."""
    import pyarrow.compute as compute

    there = compute.is_valid(column)
    if arrow().types.is_string(column.type):
        there = compute.fill_null(compute.not_equal(column, ""), False)
    return there.to_numpy()


def _check_row(row, need, label_space):
    check_manifest({row["id"]: row}, need, label_space, check_audio=False)


def durations_of(data: Any) -> np.ndarray:
    """Seconds of each item, without its other fields.

    Arguments
    ---------
    data : ArrowManifest | DynamicItemDataset | dict
        The second of :func:`~speechbrain_c2ser.data.dataset.speech_dataset`,
        the last id → row.

    Returns
    -------
    numpy.ndarray
        float64 [N]; NaN where there is none.
    """
    if isinstance(data, StreamedDataset):
        data = data.manifest
    if isinstance(data, ArrowManifest):
        return data.column("duration").to_numpy()
    return np.array([row["duration"] for row in rows_of(data).values()])


def codes_of(data: Any, field: str) -> tuple[list[str], np.ndarray]:
    """A field as numbers: its values, and which of them each item has.

    Arguments
    ---------
    data : ArrowManifest | DynamicItemDataset | dict
        The second of :func:`~speechbrain_c2ser.data.dataset.speech_dataset`,
        the last id → row.
    field : str
        Such as "emotion".

    Returns
    -------
    values : list of str
        Sorted.
    codes : numpy.ndarray
        Places in ``values`` [N], -1 where there is none.

    Example
    -------
    >>> rows = {"a": {"wav": "a.wav", "duration": 1.0, "emotion": "sad"}}
    >>> dataset = DynamicItemDataset({"a": {"row": rows["a"]}})
    >>> codes_of(dataset, "emotion")[0]
    ['sad']
    """
    if isinstance(data, StreamedDataset):
        data = data.manifest
    if isinstance(data, ArrowManifest):
        import pyarrow.compute as compute

        column = data.column(field)
        values = sorted(v for v in compute.unique(column).to_pylist() if v)
        places = compute.index_in(
            column, value_set=arrow().array(values, column.type)
        )
        return values, places.fill_null(-1).to_numpy()
    given = [row.get(field) or None for row in rows_of(data).values()]
    values = sorted({value for value in given if value is not None})
    numbers = {value: number for number, value in enumerate(values)}
    return values, np.array([numbers.get(v, -1) for v in given], np.int32)


def rows_of(data: Any) -> Mapping[str, dict]:
    """Rows with their ids, those of a stream made as they are asked for.

    Arguments
    ---------
    data : ArrowManifest | DynamicItemDataset | dict
        As of :func:`codes_of`.

    Returns
    -------
    Mapping
        Id → row.

    Example
    -------
    >>> rows_of({"a": {"wav": "a.wav"}})["a"]
    {'id': 'a', 'wav': 'a.wav'}
    """
    if isinstance(data, StreamedDataset):
        data = data.manifest
    if isinstance(data, ArrowManifest):
        return _Rows(data)
    if isinstance(data, DynamicItemDataset):
        return {key: data.data[key]["row"] for key in data.data_ids}
    return {key: {"id": key, **row} for key, row in data.items()}


class StreamedDataset(DynamicItemDataset):
    """SpeechBrain's dataset whose rows are made when they are asked for.

    A process of it, such as a worker that is spawned, holds no rows: the file
    is mapped into memory.

    Arguments
    ---------
    manifest : ArrowManifest
        The rows.

    Example
    -------
    >>> from speechbrain_c2ser.data.arrow_writing import write_arrow_manifest
    >>> path = getfixture("tmpdir") / "train.arrow"
    >>> _ = write_arrow_manifest({"a": {"wav": "a.wav", "duration": 1}}, path)
    >>> dataset = StreamedDataset(ArrowManifest(path))
    >>> dataset.set_output_keys(["id", "duration"])
    >>> dataset[0]
    {'id': 'a', 'duration': 1.0}
    """

    def __init__(self, manifest: ArrowManifest):
        # not the parent's, which lists all ids
        self.manifest = manifest
        self.data = _Entries(manifest)
        self.data_ids = _Ids(manifest)
        self.pipeline = DataPipeline(["row", "duration", "id"], [])
        self.set_output_keys([])

    def __getitem__(self, index):
        row = self.manifest.row(range(len(self))[index])
        return self.pipeline.compute_outputs({"id": row["id"], **_entry(row)})


def _entry(row):
    return {"row": row, "duration": row["duration"]}


class _Rows(RowByRow):
    """Id -> row with its id."""

    def __init__(self, manifest):
        self.manifest = manifest

    def __len__(self):
        return len(self.manifest)

    def __iter__(self):
        return iter(self.manifest)

    def __getitem__(self, key):
        return {"id": key, **self.manifest[key]}

    def pairs(self):
        for key, row in self.manifest.pairs():
            yield key, {"id": key, **row}


class _Entries(_Rows):
    """Id -> what a dataset holds of a row."""

    def __getitem__(self, key):
        return _entry(super().__getitem__(key))

    def pairs(self):
        for key, row in super().pairs():
            yield key, _entry(row)


class _Ids(Sequence):
    """The ids in their order."""

    def __init__(self, manifest):
        self.manifest = manifest

    def __len__(self):
        return len(self.manifest)

    def __iter__(self):
        return iter(self.manifest)

    def __getitem__(self, index):
        return self.manifest.row(range(len(self))[index])["id"]
