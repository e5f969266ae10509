"""Emo-Emilia: its published list and a miniature of its folder."""

import json
import runpy

import pytest

from speechbrain_c2ser.checkpoints.c2ser_folder import save_c2ser
from speechbrain_c2ser.data.corpora.emo_emilia import (
    describe,
    prepare,
    read_list,
)
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.manifest import read_manifest
from speechbrain_c2ser.evaluation.predictions import read_predictions
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel

EMOTIONS = "angry happy fearful surprised neutral sad disgusted".split()


@pytest.fixture
def data(tmp_path, write_wav):
    """A miniature as published: one utterance of each emotion a language."""
    rows = []
    for language in ("ZH", "EN"):
        for number, emotion in enumerate(EMOTIONS):
            index = f"{language}_B00090_S0035{number}_W000000"
            wav = f"./Emo-Emilia/wav/{index}.wav"
            write_wav(tmp_path / wav, seconds=0.3)
            text = {"ZH": "那就没什么好说的了。", "EN": "Nothing to say."}
            rows.append(
                {
                    "index": index,
                    "emotion": emotion,
                    "wav": wav,
                    "text": text[language],
                }
            )
    write_list(tmp_path, rows)
    return tmp_path, rows


def write_list(folder, rows):
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (folder / "Emo-Emilia-ALL.jsonl").write_text("".join(lines))


@pytest.mark.parametrize("below", ["", "Emo-Emilia"])
def test_miniature(data, below, capsys):
    folder, rows = data
    paths = prepare(folder / below, folder / "out", progress=False)
    items = read_manifest(paths["test"])
    assert list(items) == [row["index"] for row in rows]
    first = items[rows[0]["index"]]
    assert first["language"] == "zh" and first["dataset"] == "emo_emilia"
    assert first["transcript"] == rows[0]["text"]
    assert first["duration"] == pytest.approx(0.3)
    assert "14 utterances (en 7, zh 7, angry 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"emotion": "bored"}, "'ZH_B.*' of .* unknown emotion 'bored'"),
        ({"index": "FR_1"}, "'FR_1' .* tells no language"),
        ({"index": "EN_B00090_S00350_W000000"}, "holds the item .* twice"),
        ({"wav": "./Emo-Emilia/wav/x.wav"}, "'ZH_B.*not there: looked for"),
        ({"text": None}, "Line 1 .* has no 'text'"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_written(data, change, problem):
    folder, rows = data
    write_list(folder, [{**rows[0], **change}, *rows[1:]])
    with pytest.raises(ManifestError, match=problem):
        prepare(folder, folder / "out", progress=False)
    assert not (folder / "out").exists()


def test_a_missing_list_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(ManifestError, match="looked for .*ALL.jsonl and"):
        prepare(tmp_path, tmp_path / "out")


def test_the_published_list(shared_dir):
    path = shared_dir / "data" / "emo_emilia" / "Emo-Emilia-ALL.jsonl"
    if not path.is_file():
        pytest.skip("needs Emo-Emilia's list in ../shared")
    items = read_list(path)
    parts = [f"{name} 200" for name in sorted(EMOTIONS)]
    expected = f"1400 utterances (en 700, zh 700, {', '.join(parts)})"
    assert describe(items) == expected


def test_the_recipe_evaluates_a_folder(data, model, root, monkeypatch):
    """Without styles to compare with: explicit answers still are scored."""
    asked, generate = [], LanguageModel.generate
    monkeypatch.setattr(
        LanguageModel,
        "generate",
        lambda self, *inputs, **options: (
            asked.append(options) or generate(self, *inputs, **options)
        ),
    )
    folder, rows = data
    space = LabelSpace.from_name("emo_emilia")
    c2ser = save_c2ser(model, folder / "c2ser", space)
    argv = [
        "evaluate.py",
        str(root / "hparams" / "emo_emilia" / "evaluate.yaml"),
        f"--data_folder={folder}",
        f"--c2ser_folder={c2ser}",
        f"--output_folder={folder / 'out'}",
        "--mode=explicit",
        "--max_new_tokens=6",
        "--num_beams=2",
        "--repetition_penalty=1.05",
        "--device=cpu",
    ]
    monkeypatch.setattr("sys.argv", argv)
    runpy.run_path(
        str(root / "recipes" / "EmoEmilia" / "evaluate.py"), run_name="__main__"
    )
    assert asked
    for options in asked:
        decoding = options["num_beams"], options["repetition_penalty"]
        assert decoding == (2, 1.05)
    found = read_predictions(folder / "out" / "explicit.jsonl")
    assert {row["id"] for row in found} == {row["index"] for row in rows}
    result = json.loads((folder / "out" / "explicit.json").read_text())
    assert set(result["metrics"]["per_language"]) == {"en", "zh"}
    assert "content_error_rate" in result["metrics"]
    assert "style_accuracy" not in result["metrics"]
    assert (folder / "out" / "explicit" / "report.md").is_file()
