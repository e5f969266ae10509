"""Rows of Parquet and Arrow files, as Hugging Face ``datasets`` write them.

Read batch by batch with pyarrow alone: no code of the data set runs, and the
audio that such files hold as bytes is written to files of its own.
"""

import json
from pathlib import Path

from speechbrain_c2ser.data.arrow_writing import arrow
from speechbrain_c2ser.data.atomic import file_name, written_beside
from speechbrain_c2ser.data.errors import ManifestError

BATCH = 64
# First bytes of an audio file -> its suffix.
MAGIC = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg"}


def read_rows(path, row_group=None):
    """Rows of one file.

    Arguments
    ---------
    path : str | Path
        A .parquet, .arrow or .feather file.
    row_group : int | None
        The only one that is read of a .parquet file.

    Yields
    ------
    dict
        Column -> value; class labels as their names, audio as {"bytes",
        "path"}.

    Raises
    ------
    ManifestError
        If the file cannot be read, or pyarrow is not there.
    """
    pyarrow = arrow()
    path = Path(path)
    try:
        if path.suffix.lower() == ".parquet":
            file = pyarrow.parquet.ParquetFile(path)
            names = _class_names(file.schema_arrow)
            groups = None if row_group is None else [row_group]
            batches = file.iter_batches(BATCH, groups)
        else:
            source = pyarrow.memory_map(str(path))
            if source.read(6) == b"ARROW1":  # Feather
                file = pyarrow.ipc.open_file(source)
                batches = map(file.get_batch, range(file.num_record_batches))
            else:  # what `save_to_disk` writes
                source.seek(0)
                batches = file = pyarrow.ipc.open_stream(source)
            names = _class_names(file.schema)
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH):
                for row in batch.slice(start, BATCH).to_pylist():
                    for column, labels in names.items():
                        if isinstance(row[column], int) and row[column] >= 0:
                            row[column] = labels[row[column]]
                    yield row
    except (pyarrow.ArrowException, OSError) as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error


def save_audio(audio, folder, name):
    """Write the audio of a row to a file of its own.

    Arguments
    ---------
    audio : dict
        "bytes" and "path", as ``datasets`` stores it.
    folder : str | Path
        Where to; made if it is not there. A file of the same size is kept.
    name : str
        Of the file, without suffix; odd characters are replaced.

    Returns
    -------
    Path

    Raises
    ------
    ManifestError
        If the row holds no audio.
    """
    content = (audio or {}).get("bytes")
    if not content:
        raise ManifestError(f"Item {name!r} holds no audio.")
    given = Path((audio or {}).get("path") or "").suffix
    suffix = MAGIC.get(content[:4], given or ".mp3")
    path = Path(folder) / f"{file_name(name)}{suffix}"
    if not path.is_file() or path.stat().st_size != len(content):
        with written_beside(path) as part:
            part.write_bytes(content)
    return path


def _class_names(schema):
    """Column -> names of its classes, which the rows number."""
    about = (schema.metadata or {}).get(b"huggingface")
    if not about:
        return {}
    features = json.loads(about).get("info", {}).get("features", {})
    return {
        column: feature["names"]
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }
