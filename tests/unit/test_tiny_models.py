"""The small models of the demo: real folders, the same for the same seed."""

import json

from transformers import AutoTokenizer

from speechbrain_c2ser.chain_of_thought.answers import label_answers
from speechbrain_c2ser.labels import LabelSpace

SPACE = LabelSpace.from_name("emo_emilia")
TEXTS = {"en": "the rain has come again", "zh": "今天又下雨了"}


def write_manifest(path):
    style = {"speed": "low", "pitch": "high", "volume": "normal"}
    rows = {
        f"{language}_{emotion}": {
            "wav": "a.wav",
            "duration": 1.0,
            "emotion": emotion,
            "language": language,
            "transcript": text,
            "style": style,
        }
        for language, text in TEXTS.items()
        for emotion in SPACE.names
    }
    path.write_text(json.dumps(rows))
    return path


def test_label_words_are_whole_and_sentences_are_not(
    make_tiny_models, monkeypatch, tmp_path
):
    manifest = write_manifest(tmp_path / "train.json")
    sizes = ["--llm-width=16", "--llm-layers=1", "--whisper-layers=1"]
    command = ["make", str(manifest), str(tmp_path / "out"), *sizes]
    monkeypatch.setattr("sys.argv", command)
    hashes = []
    for _ in range(2):
        make_tiny_models.main()
        files = sorted((tmp_path / "out").rglob("*.*"))
        hashes.append([hash(f.read_bytes()) for f in files if f.is_file()])
    assert hashes[0] == hashes[1]

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "tiny_llm")
    for language, word in (("en", " {}"), ("zh", "{}")):
        answers = label_answers(SPACE, "implicit", language)
        for name, (answer,) in answers.items():
            ids = tokenizer(answer)["input_ids"]
            tokens = [tokenizer.decode([i]) for i in ids]
            assert word.format(SPACE.surface(name, language)) in tokens
            assert tokenizer.decode(ids) == answer
        text = TEXTS[language]
        ids = tokenizer(text)["input_ids"]
        assert 1 < len(ids) < len(text.encode())
        assert tokenizer.decode(ids) == text
