"""Tables of any kind: CSV, TSV, JSON, one a split, and datasets folders."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers import datasets_folder, generic
from speechbrain_c2ser.data.manifest import (
    check_leakage,
    read_manifest,
)
from speechbrain_c2ser.data.sources import source_of
from speechbrain_c2ser.data.splits import folds_by, random_split
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.labels import LabelSpace


@pytest.fixture
def rows(tmp_path):
    """Twelve recordings of six speakers, in tmp_path/corpus."""
    (tmp_path / "corpus/wav").mkdir(parents=True)
    soundfile.write(tmp_path / "corpus/wav/0.wav", np.zeros(1600), 16000)
    made = []
    for index in range(12):
        wav = f"wav/{index}.wav"
        if index:
            shutil.copyfile(
                tmp_path / "corpus/wav/0.wav", tmp_path / "corpus" / wav
            )
        made.append(
            {
                "id": f"u{index}",
                "path": wav,
                "label": "Joy" if index % 2 else "sadness",
                "speaker": f"s{index // 2}",
            }
        )
    return made


def table(rows, delimiter=","):
    lines = [rows[0].keys(), *(row.values() for row in rows)]
    return "\n".join(delimiter.join(line) for line in lines) + "\n"


def items_of(paths):
    return {split: read_manifest(path) for split, path in paths.items()}


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.tsv", lambda rows: table(rows, "\t")),
        ("a.csv", table),
        ("a.json", json.dumps),
        (
            "a.json",
            lambda rows: json.dumps(
                {r["id"]: {k: r[k] for k in r if k != "id"} for r in rows}
            ),
        ),
    ],
)
def test_one_table(rows, tmp_path, name, text):
    (tmp_path / "corpus" / name).write_text(text(rows))
    space = LabelSpace(["happy", "sad"])
    paths = generic.prepare(
        tmp_path / "corpus", tmp_path / "out", label_space=space
    )
    splits = items_of(paths)
    check_leakage(splits)
    assert sum(map(len, splits.values())) == 12
    item = {k: v for s in splits.values() for k, v in s.items()}["u1"]
    assert item["emotion"] == "happy" and item["emotion_raw"] == "Joy"
    assert item["duration"] == 0.1


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_table_a_split(rows, tmp_path, suffix):
    for split, part in (("train", rows[:6]), ("dev", rows[6:8])):
        lines = "\n".join(map(json.dumps, part)) + "\n"
        text = table(part) if suffix == "csv" else lines
        (tmp_path / f"corpus/{split}.{suffix}").write_text(text)
    paths = generic.prepare(tmp_path / "corpus", tmp_path / "out")
    splits = items_of(paths)
    # What is not given is drawn from the training set.
    assert len(splits["valid"]) == 2 and "u6" in splits["valid"]
    assert len(splits["train"]) + len(splits["test"]) == 6
    text = (tmp_path / "out/corpus.json").read_text()
    assert json.loads(text)["classes"]["valid"] == {"joy": 1, "sadness": 1}


def test_bad_json_tables(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": {"wav": "x"}, "a": {"wav": "y"}}')
    with pytest.raises(ManifestError, match="item 'a' is there twice"):
        read_table(path)
    path.write_text("[1]")
    with pytest.raises(ManifestError, match="no JSON objects"):
        read_table(path)


def write_parquet(folder, rows, split):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    names = ["Joy", "sadness"]
    content = (folder.parent / "corpus/wav/0.wav").read_bytes()
    made = pyarrow.Table.from_pylist(
        [
            {
                "audio": {"bytes": content, "path": f"{row['id']}.wav"},
                "emotion": names.index(row["label"]),
                "speaker": row["speaker"],
            }
            for row in rows
        ]
    )
    feature = {"names": names, "_type": "ClassLabel"}
    about = {"info": {"features": {"emotion": feature}}}
    made = made.replace_schema_metadata({"huggingface": json.dumps(about)})
    return pyarrow, parquet, made


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_datasets_tables(rows, tmp_path, form):
    folder = tmp_path / "dataset"
    for split, part in (("train", rows[:8]), ("test", rows[8:])):
        pyarrow, parquet, made = write_parquet(folder, part, split)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / split).mkdir(exist_ok=True)
        if form == "parquet":
            path = folder / f"data/{split}-00000-of-00001.parquet"
            parquet.write_table(made, path)
        else:
            path = folder / f"{split}/data-00000-of-00001.arrow"
            with pyarrow.ipc.new_stream(str(path), made.schema) as stream:
                stream.write_table(made)
    paths = datasets_folder.prepare(folder, tmp_path / "out")
    splits = items_of(paths)
    assert len(splits["test"]) == 4
    assert len(splits["train"]) + len(splits["valid"]) == 8
    check_leakage(splits)
    item = splits["test"]["test-1"]
    # The class as its name, the audio as a file.
    assert item["emotion"] == "sadness" and item["duration"] == 0.1
    assert "out/audio/test/" in item["wav"] and "audio" not in item


def test_datasets_audiofolder(rows, tmp_path):
    folder = tmp_path / "corpus"
    for row in rows:
        row["file_name"] = row.pop("path")
    lines = map(json.dumps, rows)
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    splits = items_of(datasets_folder.prepare(folder, tmp_path / "out"))
    assert sum(map(len, splits.values())) == 12
    check_leakage(splits)
    with pytest.raises(ManifestError, match="Looked for .* in .*nothing"):
        datasets_folder.prepare(tmp_path / "nothing", tmp_path / "no")


def test_parquet_that_is_none(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / "train.parquet").write_bytes(b"not parquet")
    with pytest.raises(ManifestError, match="train.parquet cannot be read"):
        datasets_folder.prepare(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.csv", ",emotion\na.wav,Joy\nb.wav,sadness\n"),
        ("a.json", '{"emotion": {"a.wav": "Joy", "b.wav": "sadness"}}'),
        (
            "a.json",
            '{"columns": ["emotion"], "index": ["a.wav", "b.wav"], '
            '"data": [["Joy"], ["sadness"]]}',
        ),
    ],
)
def test_an_index_of_pandas_is_the_id_where_nothing_else_is(
    tmp_path, name, text
):
    rows = [
        {"id": "a.wav", "emotion": "Joy"},
        {"id": "b.wav", "emotion": "sadness"},
    ]
    (tmp_path / name).write_text(text)
    assert read_table(tmp_path / name) == rows
    # Not where rows are merely counted, or named by a column of their own.
    counted = text.replace("a.wav", "0").replace("b.wav", "1")
    (tmp_path / name).write_text(counted)
    assert read_table(tmp_path / name) == [
        {"emotion": "Joy"},
        {"emotion": "sadness"},
    ]
    (tmp_path / name).write_text(text.replace("emotion", "file"))
    assert read_table(tmp_path / name) == [{"file": "Joy"}, {"file": "sadness"}]


@pytest.mark.parametrize(
    "name, column",
    [
        ("a.parquet", "__index_level_0__"),
        ("a.PARQUET", "id"),
        ("a.feather", "id"),
        ("a.arrow", "id"),
    ],
)
def test_arrow_as_pandas_writes_it(tmp_path, name, column):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import feather, parquet

    made = pyarrow.table({column: ["a", "b"], "emotion": ["Joy", "sadness"]})
    write = parquet.write_table
    if name in ("a.feather", "a.arrow"):
        write = feather.write_feather
    write(made, str(tmp_path / name))
    assert read_table(tmp_path / name) == [
        {"id": "a", "emotion": "Joy"},
        {"id": "b", "emotion": "sadness"},
    ]


def test_sources():
    same = ("CREMA-D", "crema_d", "cremad", "cameo/crema_d", "data/Crema-D/")
    assert {source_of(name) for name in same} == {"cremad"}
    assert source_of("emodb_2s") == source_of("EMO-DB") == "emodb"
    assert source_of("MELD") != source_of("MEAD")
    train = {"a": {"wav": "a", "dataset": "emobox/emodb"}}
    test = {"b": {"wav": "b", "dataset": "EMO-DB"}}
    check_leakage({"train": train, "test": test})
    with pytest.raises(ManifestError, match="dataset 'EMO-DB' .* train"):
        check_leakage({"train": train, "test": test}, ["dataset"])


def test_folds_and_shares():
    items = {
        f"{g}{i}": {"session": g, "emotion": "sad" if i else "happy"}
        for g in "abc"
        for i in range(5)
    }
    folds = folds_by(items, "session")
    assert [set(f["test"]) for f in folds] == [
        {f"{g}{i}" for i in range(5)} for g in "abc"
    ]
    for fold in folds:
        assert sum(map(len, fold.values())) == 15
        check_leakage(fold, ["id"])
    kept, drawn = random_split(items, 0.2, seed=1)
    assert random_split(items, 0.2, seed=1) == (kept, drawn)
    counts = [i["emotion"] for i in drawn.values()]
    assert counts.count("sad") == 2 and counts.count("happy") == 1
    with pytest.raises(ManifestError, match="2 folds cannot be made of 3"):
        folds_by(items, "session", 2)
    with pytest.raises(ManifestError, match="valid split 'none'"):
        folds_by(items, "session", valid="none")
    with pytest.raises(ManifestError, match="no 'speaker' to split by"):
        folds_by(items)
