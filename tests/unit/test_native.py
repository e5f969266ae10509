"""Other systems' own outputs, and oruk-bench's form."""

import json

import numpy as np
import pytest

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


def test_chats_keep_the_answer_as_text(tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in QWEN)
    rows = read_native(written(tmp_path, "a.jsonl", lines), "qwen")
    assert match_ids(rows, REFERENCES) == [
        {"id": "one", "text": "She sounds happy."},
        {"id": "two", "text": "Angry."},
    ]


def test_probabilities_are_kept_where_they_are_some(tmp_path):
    rows = read_native(written(tmp_path, "a.csv", NKULULEKO), "nkululeko")
    assert rows[0]["probabilities"] == {"angry": 0.25, "happy": 0.75}
    assert rows[0]["emotion"] == "happy"
    scores = NKULULEKO.replace("0.25,0.75", "-3.0,4.0")
    rows = read_native(written(tmp_path, "b.csv", scores), "nkululeko")
    assert "probabilities" not in rows[0] and "probabilities" in rows[1]


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
    bored = {"one": {"emotion": "bored"}}
    with pytest.raises(PredictionError, match="no class for bored"):
        write_oruk_bench(bored, ["sad"], tmp_path)
