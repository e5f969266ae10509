"""Quotation marks that stand in texts, and tables as R and pandas show them."""

import json

import pytest

from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.evaluation.references import read_references

WAVS = ["a.wav", "b.wav", "c.wav", "d.wav"]
QUOTING = [
    ['"Hello', "fine", '"Bye', "ok"],  # two swallow what is between them
    ["Hello", '"fine', "Bye", "ok"],  # one swallows the rest
    ['"Hello', "fine", 'Bye"', "ok"],  # as of one quoted cell
]


def lines_of(texts, sign):
    rows = zip(WAVS, texts, ["sad", "happy", "sad", "angry"], strict=True)
    lines = [("path", "sentence", "emotion"), *rows]
    return "".join(sign.join(cells) + "\n" for cells in lines)


@pytest.mark.parametrize("texts", QUOTING)
@pytest.mark.parametrize("sign", ["\t", "|"])
def test_a_mark_of_quotation_swallows_no_row(tmp_path, sign, texts):
    path = tmp_path / "cv.tsv"
    path.write_text(lines_of(texts, sign))
    rows = read_table(path)
    assert [row["path"] for row in rows] == WAVS
    assert [row["sentence"] for row in rows] == texts


@pytest.mark.parametrize(
    "sign, texts", [(",", QUOTING[0]), (",", QUOTING[1]), (";", QUOTING[0])]
)
def test_a_mark_that_is_not_closed_is_told(tmp_path, sign, texts):
    path = tmp_path / "a.csv"
    path.write_text(lines_of(texts, sign))
    with pytest.raises(ManifestError, match="never closed.*row '[ab].wav'"):
        read_table(path)


def test_rows_that_a_mark_swallows_and_do_not_fit_are_told(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(lines_of(QUOTING[0], "\t") + "e.wav\tx\ty\tz\n")
    with pytest.raises(ManifestError, match="never closed.*row 'a.wav'"):
        read_table(path)


@pytest.mark.parametrize("sign", [",", "\t", "|"])
def test_texts_of_several_lines_stay_whole(tmp_path, sign):
    text = f"I hear{sign} well\nit is{sign} I think{sign} sad"
    path = tmp_path / "a.csv"
    path.write_text(f'id{sign}text\na{sign}"{text}"\nb{sign}"x"\n')
    assert read_table(path) == [
        {"id": "a", "text": text},
        {"id": "b", "text": "x"},
    ]


R = '"file" "emotion"\n"1" "a.wav" "sad"\n"2" "b.wav" "very happy"\n'


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.csv", R.replace('" "', '","')),
        ("a.tsv", R.replace('" "', '"\t"')),
        ("a.txt", R),
        ("a.txt", R.replace('"1" ', "").replace('"2" ', "")),
        ("a.csv", "file，emotion\na.wav，sad\nb.wav，very happy\n"),
    ],
)
def test_tables_of_r(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_table(tmp_path / name) == [
        {"file": "a.wav", "emotion": "sad"},
        {"file": "b.wav", "emotion": "very happy"},
    ]


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.csv", '"emotion","p"\n"a","sad",0\n"b","angry",1\n'),
        ("a.txt", '"emotion" "p"\n"a" "sad" 0\n"b" "angry" 1\n'),
        ("a.txt", "   emotion  p\na      sad  0\nb    angry  1\n"),
    ],
)
def test_row_names_are_ids_where_no_column_is(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_table(tmp_path / name) == [
        {"id": "a", "emotion": "sad", "p": "0"},
        {"id": "b", "emotion": "angry", "p": "1"},
    ]


def test_printed_tables(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("    file emotion\n0  a.wav     sad\n1  b.wav   angry\n")
    assert read_table(path) == [
        {"file": "a.wav", "emotion": "sad"},
        {"file": "b.wav", "emotion": "angry"},
    ]
    path.write_text("id angry happy\nu0 0.1 0.9\n")
    assert read_table(path) == [{"id": "u0", "angry": "0.1", "happy": "0.9"}]


def test_a_text_in_which_a_delimiter_stands_is_no_row_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,one, two\n2,one, two\n")
    with pytest.raises(ManifestError, match="quotes, and name each column"):
        read_table(path)
    # A delimiter behind the last cell makes no column.
    path.write_text('"id","label"\n"a","sad",\n')
    assert read_table(path) == [{"id": "a", "label": "sad"}]


@pytest.mark.parametrize("sign", [" ", "\t"])
def test_labels_of_kaldi(tmp_path, sign):
    (tmp_path / "utt2emo").write_text(f"u0{sign}angry\nu1{sign}sad\n")
    rows = read_references(tmp_path / "utt2emo")
    assert {key: row["emotion"] for key, row in rows.items()} == {
        "u0": "angry",
        "u1": "sad",
    }
    (tmp_path / "text").write_text("u0\tWell, hello\nu1\tBye\n")
    assert read_table(tmp_path / "text")[0] == {
        "id": "u0",
        "text": "Well, hello",
    }


def test_json_lines_that_end_as_on_old_computers(tmp_path):
    rows = [{"id": "a", "label": "sad"}, {"id": "b", "label": "angry"}]
    path = tmp_path / "a.jsonl"
    path.write_bytes("\r".join(map(json.dumps, rows)).encode())
    assert read_table(path) == rows


@pytest.mark.parametrize(
    "row, last",
    [
        ('a,"line one, more\nline two" ,sad\n', "x"),
        ('a,"line one, more\nline two",sad\n', '"He said "no" to me"'),
        ('a,"one, two, three\nfour, five" ,sad\n', "x"),
        ('a,"one, two\nfour, five" ,sad\n', '"He said "no" to me"'),
    ],
)
def test_a_cell_of_several_lines_is_closed(tmp_path, row, last):
    path = tmp_path / "a.csv"
    path.write_text(f"id,text,label\n{row}b,{last},happy\n")
    first, second = read_table(path)
    assert first == {"id": "a", "text": row[3 : row.rindex('"')],
                     "label": "sad"}  # fmt: skip
    assert second["label"] == "happy"


def test_an_utterance_of_kaldi_may_be_called_as_a_column(tmp_path):
    (tmp_path / "utt2emo").write_text("file sad\nitem happy\n")
    assert read_table(tmp_path / "utt2emo") == [
        {"id": "file", "label": "sad"},
        {"id": "item", "label": "happy"},
    ]
    (tmp_path / "utt2emo").write_text("file emotion\nu0 sad\n")
    assert read_table(tmp_path / "utt2emo") == [
        {"file": "u0", "emotion": "sad"}
    ]
