"""Other systems' own outputs, and oruk-bench's form."""

import json

import numpy as np
import pytest

from speechbrain_c2ser.evaluation import scoring
from speechbrain_c2ser.evaluation.errors import PredictionError
from speechbrain_c2ser.evaluation.native import (
    match_ids,
    read_native,
    write_oruk_bench,
)

REFERENCES = {
    "one": {"wav": "data/a.wav", "emotion": "happy"},
    "two": {"wav": "data/b.wav", "emotion": "angry"},
}
FUNASR = [
    [
        {
            "key": "a",
            "labels": ["生气/angry", "开心/happy"],
            "scores": [0.2, 0.8],
        }
    ],
    [
        {
            "key": "b",
            "labels": ["生气/angry", "开心/happy"],
            "scores": [0.9, 0.1],
        }
    ],
]
SENSEVOICE = [
    {"key": "a", "text": "<|en|><|HAPPY|><|Speech|><|woitn|>so angry"},
    {"key": "b", "text": "<|en|><|EMO_UNKNOWN|><|Speech|><|woitn|>happy"},
]
QWEN = [
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "audio", "audio_url": f"x/{name}.wav"},
                    {"type": "text", "text": "Which emotion?"},
                ],
            },
            {"role": "assistant", "content": said},
        ]
    }
    for name, said in (("a", "She sounds happy."), ("b", "Angry."))
]
NKULULEKO = """file,start,end,angry,happy,predicted,truth,uncertainty,correct
data/a.wav,0 days,,0.25,0.75,happy,happy,0.2,True
data/b.wav,0 days,,0.5,0.5,angry,angry,0.9,True
"""
SPEECHBRAIN = """Loading model
data/a.wav tensor([[0.1, 0.9]]) tensor([0.9]) tensor([1]) ['hap']
data/b.wav: ['ang']
"""


def written(tmp_path, name, content):
    path = tmp_path / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "kind, name, content, labels",
    [
        ("funasr", "a.json", FUNASR, ["开心/happy", "生气/angry"]),
        ("sensevoice", "a.json", SENSEVOICE, ["happy", None]),
        ("nkululeko", "a.csv", NKULULEKO, ["happy", "angry"]),
        ("speechbrain", "a.log", SPEECHBRAIN, ["hap", "ang"]),
    ],
)
def test_native_outputs(tmp_path, kind, name, content, labels):
    rows = read_native(written(tmp_path, name, content), kind)
    rows = match_ids(rows, REFERENCES)
    assert [row["id"] for row in rows] == ["one", "two"]
    assert [row["label"] for row in rows] == labels
    if kind == "funasr":
        assert rows[0]["probabilities"] == {
            "生气/angry": 0.2,
            "开心/happy": 0.8,
        }
    if kind == "sensevoice":
        assert [row["transcript_asr"] for row in rows] == ["so angry", "happy"]


def test_chats_keep_the_answer_as_text(tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in QWEN)
    rows = read_native(written(tmp_path, "a.jsonl", lines), "qwen")
    assert match_ids(rows, REFERENCES) == [
        {"id": "one", "text": "She sounds happy."},
        {"id": "two", "text": "Angry."},
    ]


def test_a_chat_is_of_its_first_audio_and_its_answer_is_the_assistants(
    tmp_path,
):
    chat = [
        {"role": "user", "content": [{"type": "audio", "audio": "x/a.wav"}]},
        {"role": "assistant", "content": "Happy."},
        {
            "role": "user",
            "content": [
                {"type": "audio", "audio": "x/prompt.wav"},
                {"type": "text", "text": "Are you sure that it is not sad?"},
            ],
        },
    ]
    path = written(tmp_path, "a.json", [{"conversation": chat}])
    (row,) = read_native(path, "qwen")
    assert row == {"id": "x/a.wav", "text": "Happy."}


def test_segments_of_one_file_are_told_apart(tmp_path):
    lines = NKULULEKO.replace("data/b.wav,0 days", "data/a.wav,1 days")
    rows = read_native(written(tmp_path, "a.csv", lines), "nkululeko")
    assert [row["id"] for row in rows] == [
        "data/a.wav_0.0",
        "data/a.wav_86400.0",
    ]
    references = {
        "late": {"wav": "data/a.wav", "start": 86400},
        "early": {"wav": "data/a.wav", "start": 0},
    }
    found = match_ids(rows, references)
    assert [row["id"] for row in found] == ["early", "late"]


def test_what_people_have_of_other_systems(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(FUNASR).encode("utf-16"))
    assert [r["id"] for r in read_native(path, "funasr")] == ["a", "b"]
    cut = [{"key": "a", "labels": ["生气/angry"], "scores": [0.2, 0.8]}]
    path.write_text(json.dumps(cut))
    with pytest.raises(PredictionError, match="'a' has 1 labels and 2 scores"):
        read_native(path, "funasr")
    # Stretches of one recording that are not of one emotion name none.
    text = "<|en|><|HAPPY|>so <|en|><|SAD|>so"
    path.write_text(json.dumps([{"key": "a", "text": text}]))
    assert read_native(path, "sensevoice")[0]["label"] is None
    chat = {"messages": QWEN[0]["messages"][1:], "audios": ["x/a.wav"]}
    path.write_text(json.dumps([chat]))
    assert read_native(path, "qwen")[0]["id"] == "x/a.wav"
    path = tmp_path / "a.log"
    path.write_bytes("my x/a b.wav tensor([1]) ['hap']\n".encode("utf-16"))
    rows = read_native(path, "speechbrain")
    assert rows == [{"id": "my x/a b.wav", "label": "hap"}]


def test_an_id_of_the_reference_is_that_utterance(tmp_path):
    # "a" is the id of one utterance and the file of another
    references = {"a": {"wav": "1/x.wav"}, "y": {"wav": "2/a.wav"}}
    assert match_ids([{"id": "a"}], references) == [{"id": "a"}]


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(FUNASR), encoding="utf-8-sig")
    assert len(read_native(path, "funasr")) == 2


def test_probabilities_are_kept_where_they_are_some(tmp_path):
    rows = read_native(written(tmp_path, "a.csv", NKULULEKO), "nkululeko")
    assert rows[0]["probabilities"] == {"angry": 0.25, "happy": 0.75}
    assert rows[0]["emotion"] == "happy"
    scores = NKULULEKO.replace("0.25,0.75", "-3.0,4.0")
    rows = read_native(written(tmp_path, "b.csv", scores), "nkululeko")
    assert "probabilities" not in rows[0] and "probabilities" in rows[1]
    scores = NKULULEKO.replace("0.25,0.75", "2.0,3.0")
    rows = read_native(written(tmp_path, "c.csv", scores), "nkululeko")
    assert "probabilities" not in rows[0]


def test_what_is_none_of_it_is_refused_by_name(tmp_path):
    path = written(tmp_path, "a.log", "nothing\n")
    with pytest.raises(PredictionError, match="no rows of speechbrain"):
        read_native(path, "speechbrain")
    with pytest.raises(PredictionError, match="known: funasr"):
        read_native(path, "sphinx")
    with pytest.raises(PredictionError, match="c.wav"):
        match_ids([{"id": "c.wav"}], REFERENCES)
    twins = {"x": {"wav": "1/a.wav"}, "y": {"wav": "2/a.wav"}}
    with pytest.raises(PredictionError, match="none, or several"):
        match_ids([{"id": "a"}], twins)
    assert match_ids([{"id": "2/a.wav"}], twins) == [{"id": "y"}]


def test_oruk_bench_reads_numbers_of_its_own_classes(tmp_path):
    unparsed = write_oruk_bench(REFERENCES, ["sad", None], tmp_path)
    assert unparsed == 1
    with np.load(tmp_path / "preds.npz") as found:
        # sadness is 2; an answer without a label is neutral, 6
        assert found["preds"].tolist() == [2, 6]
        assert found["preds"].dtype == np.int64
    with np.load(tmp_path / "labels.npz") as found:
        assert found["labels"].tolist() == [1, 0]
    assert json.loads((tmp_path / "ids.json").read_text()) == ["one", "two"]
    bored = {"one": {"emotion": "bored"}}
    with pytest.raises(PredictionError, match="no class for bored"):
        write_oruk_bench(bored, ["sad"], tmp_path)


@pytest.mark.parametrize("own", ["{0}", "x{0}"])
@pytest.mark.parametrize("is_segment", [False, True])
def test_a_row_is_matched_without_looking_at_all_others(
    monkeypatch, own, is_segment
):
    place = "call.wav" if is_segment else "s{0}/audio.wav"
    true, rows = {}, [{"id": "extra"}]
    for i in range(60):
        start = {"start": float(i)} if is_segment else {}
        wav = place.format(i)
        true[f"u{i}"] = {"wav": f"/d/{wav}", "emotion": "sad", **start}
        rows.append({"id": own.format(f"u{i}"), "wav": wav, **start})
    looked = []
    for name in ("_starts_at", "PurePath"):
        call = getattr(scoring, name)
        monkeypatch.setattr(
            scoring, name, lambda *a, c=call: looked.append(a) or c(*a)
        )
    assert scoring.match_recordings(rows, true) is rows
    owners = scoring.owners_of(true)
    found = [
        scoring.find_owner(row["wav"], row, true, owners) for row in rows[1:]
    ]
    assert found == list(true) and len(looked) <= 15 * len(rows)
    matched = scoring.match_recordings(rows[1:], true)
    assert [row["id"] for row in matched] == list(true)
