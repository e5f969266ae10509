"""A test set out of weak labels: drawn, listened to blind, verified."""

import csv
import io
import json
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("krippendorff", reason="krippendorff is not installed")

from speechbrain_c2ser.cli import main
from speechbrain_c2ser.data.cells import from_cell
from speechbrain_c2ser.data.corpora import emo_emilia
from speechbrain_c2ser.data.manifest import read_manifest, write_manifest
from speechbrain_c2ser.labelling.review import read_answers, write_review
from speechbrain_c2ser.labelling.review_page import write_page
from speechbrain_c2ser.labelling.sampling import Apart, draw_sample

LABELS = "angry disgusted fearful happy neutral sad surprised".split()


@pytest.fixture
def pool(tmp_path, write_wav):
    """Weakly labelled rows in two languages; their ids tell their label."""
    wav = write_wav(tmp_path / "a.wav", 0.2)
    rows = {}
    for language in ("zh", "en"):
        for label in LABELS:
            for number in range(6):
                rows[f"{language}_{label}_{number}"] = {
                    "wav": str(wav), "duration": 0.2, "language": language,
                    "transcript": "你好" if language == "zh" else "hi, you",
                    "speaker": f"s{number % 3}", "dataset": "emilia",
                    "weak": {"labels": {label: 1.0}, "score": 1.0},
                }  # fmt: skip
    write_manifest(rows, tmp_path / "pool.json")
    return tmp_path / "pool.json"


def fill(sheet, truth, seed, wrong):
    """An expert who hears the truth, but for so many recordings."""
    with open(sheet, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    mistaken = set(
        random.Random(seed).sample([r["recording"] for r in rows], wrong)
    )
    for row in rows:
        label = truth[row["recording"]]
        if row["recording"] in mistaken:
            label = LABELS[LABELS.index(label) - seed]
        row["emotion"] = label
    with open(sheet, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return mistaken


def page_of(page):
    """What a page of an expert holds."""
    start = '<script type="application/json" id="data">'
    return json.loads(page.split(start)[1].split("</script>")[0])


def test_a_page_asks_no_other_host_and_takes_no_markup(tmp_path):
    columns = ("recording", "transcript", "emotion")
    rows = [("wav/1.wav", 'a "</script><b>&', ""), ("wav/2.wav", "你好", "")]
    page = write_page(tmp_path / "a<b>.csv", columns, rows, LABELS)
    text = page.read_text("utf-8")
    assert "default-src 'none'" in text and "//" not in text
    assert page_of(text)["rows"] == [list(row[:2]) for row in rows]
    assert "<b>" not in text and "Listening: a&lt;b&gt;" in text
    assert "{{" not in text
    other = write_page(tmp_path / "c.csv", columns, rows, LABELS)
    assert page_of(text)["key"] != page_of(other.read_text("utf-8"))["key"]


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_what_a_page_gives_to_download_is_the_filled_sheet(tmp_path):
    folder, rows = tmp_path / "review", {}
    texts = ('a, "b"', "你好\nyou", "", "=1+1", "''-2,", "it's\r", "\uff0b1")
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.full(1600, 0.1), 16000)
        rows[f"u{number}"] = {"wav": str(path), "transcript": text}
    sheet, other = write_review(rows, ["sad", "=well, fine"], "ab", folder)
    page = sheet.with_suffix(".html").read_text("utf-8")
    script = page.split("<script>")[1].split("</script>")[0]
    data = page_of(page)
    second = next(r[0] for r in data["rows"] if r[0].startswith("wav/0002_"))
    answers = {second: "=well, fine"}

    def run(call):
        told = f"const data = {json.dumps(data)}, kept = {json.dumps(answers)};"
        script_of = f"{script}\n{told}\nconsole.log(JSON.stringify({call}))"
        done = subprocess.run(
            ["node", "-e", script_of], capture_output=True, check=True
        )
        return json.loads(done.stdout)

    whole = sheet.read_bytes().decode()
    assert run("asCsv(data, {})") == whole
    sheet.write_text(run("asCsv(data, kept)"), encoding="utf-8")
    filled = list(csv.DictReader(io.StringIO(sheet.read_bytes().decode())))
    for row in filled:
        assert not row["emotion"].startswith("=")
        answer = answers.get(row["recording"], "")
        assert from_cell(row["emotion"]) == answer
        key = f"u{int(row['recording'][4:8]) - 1}"
        assert from_cell(row["transcript"]) == rows[key]["transcript"]
    # The next that has no answer, round the end.
    place = [row[0] for row in data["rows"]].index(second)
    assert run(f"openPlace(data.rows, kept, {(place - 1) % 7})") != place
    assert run("openPlace(data.rows, kept, 6)") == (1 if place == 0 else 0)


@pytest.mark.parametrize("as_typed", [True, False])
def test_a_sheet_has_no_formula_and_its_answers_are_read(tmp_path, as_typed):
    rows, folder = {}, tmp_path / "review"
    texts = ("=1+1", "@home", "-2", "'=1", "\t=1", "'tis", "sad")
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.full(1600, 0.1), 16000)
        rows[f"u{number}"] = {"wav": str(path), "transcript": text}
    sheets = write_review(rows, ["=sad", "@home"], "ab", folder)
    for sheet in sheets:
        with open(sheet, encoding="utf-8", newline="") as file:
            cells = list(csv.DictReader(file))
        found = {from_cell(row["transcript"]) for row in cells}
        assert found == set(texts)
        begins = {row["transcript"][0] for row in cells}
        assert begins == {"'", "s"}
        for row in cells:
            row["emotion"] = "=sad" if as_typed else "'=sad"
        with open(sheet, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, cells[0])
            writer.writeheader()
            writer.writerows(cells)
    _, answers, _ = read_answers(folder, sheets)
    assert answers == [["=sad"] * len(texts)] * 2


def test_drawn_verified_and_read_as_emo_emilia(pool, tmp_path, capsys):
    folder, out = tmp_path / "review", tmp_path / "set"
    words = ["sample", str(pool), str(folder), "--number", "5"]
    assert main([*words, "--experts", "ben", "anna"]) == 0
    sample = read_manifest(folder / "sample.json")
    cells = Counter(
        (r["language"], *r["weak"]["labels"]) for r in sample.values()
    )
    assert set(cells.values()) == {5} and len(cells) == 14
    sheets = [folder / "anna.csv", folder / "ben.csv"]
    texts = [sheet.read_text(encoding="utf-8") for sheet in sheets]
    # Blind: neither label nor id, and each in an order of its own.
    assert not any(label in text for label in LABELS for text in texts)
    assert texts[0] != texts[1]
    assert sorted(texts[0].splitlines()) == sorted(texts[1].splitlines())
    # The page has the sheet's rows, and it alone.
    pages = [(s.with_suffix(".html")).read_text("utf-8") for s in sheets]
    for text, page in zip(texts, pages, strict=True):
        assert page_of(page)["rows"] == [
            line[:2] for line in list(csv.reader(text.splitlines()))[1:]
        ]
        assert not any(key in page for key in sample)
    truth = {
        f"wav/{Path(row['wav']).name}": next(iter(row["weak"]["labels"]))
        for row in sample.values()
    }
    wrong = [fill(sheet, truth, k + 1, 7) for k, sheet in enumerate(sheets)]
    assert main(["verify", str(folder), str(out)]) == 0
    told = capsys.readouterr().out
    expected = len(sample) - len(wrong[0] | wrong[1])
    assert f"{expected} of 70 recordings are unanimous" in told
    figures = json.loads((out / "agreement.json").read_text())
    assert figures["unanimous"] == figures["as labelled"] == expected
    # Nominal alpha of two coders, by hand: 1 - (n - 1) D_o / (n² - Σ n_c²).
    answers = Counter()
    for k, mistaken in enumerate(wrong):
        for name, label in truth.items():
            index = LABELS.index(label) - (k + 1) * (name in mistaken)
            answers[LABELS[index]] += 1
    n = 2 * len(truth)
    chance = (n * n - sum(v * v for v in answers.values())) / (n - 1)
    alpha = 1 - 2 * len(wrong[0] | wrong[1]) / chance
    assert figures["alpha"] == pytest.approx(alpha, abs=1e-4)
    emo_emilia.prepare(out, tmp_path / "test", progress=False)
    test = read_manifest(tmp_path / "test" / "test.json")
    assert len(test) == expected
    assert {row["language"] for row in test.values()} == {"zh", "en"}
    for key, row in test.items():
        assert row["emotion"] == key.split("_")[2]  # EN_en_angry_0
        assert row["transcript"] in ("你好", "hi, you")
    for arguments, message in (
        (["verify", str(folder), str(out)], "holds a test set"),
        ([*words, "--experts", "a", "b"], "holds a review"),
        (["sample", str(pool), str(out), "--experts", "a"], "two experts"),
        (["sample", str(pool), str(out), "--experts", "a/b", "a b"], "names"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err


def test_a_sheet_that_is_not_as_it_was_given_is_told(pool, tmp_path, capsys):
    folder = tmp_path / "review"
    words = ["sample", str(pool), str(folder), "--number", "1"]
    assert main([*words, "--experts", "ben", "anna"]) == 0
    whole = (folder / "ben.csv").read_text(encoding="utf-8")
    lines = whole.splitlines()
    first, *others = (folder / "anna.csv").read_text("utf-8").splitlines()
    filled = "\n".join([first, *(f"{line}sad" for line in others)])
    (folder / "anna.csv").write_text(filled, encoding="utf-8")
    for text, message in (
        ("\n".join(lines[:-1]), "holds 13 of 14"),
        (whole + lines[1], "is there twice"),
        (whole.replace("wav/0003", "wav/0099"), "is none of the sample"),
        ("\n".join([lines[0], lines[1] + "grumpyish", *lines[2:]]), "none of"),
        (whole, "ben.csv has no answer"),
        ("\n".join(lines[1:]), "ben.csv has no header"),
        (whole.replace(",emotion", ",mood"), "no column 'emotion'"),
    ):
        (folder / "ben.csv").write_text(text, encoding="utf-8")
        assert main(["verify", str(folder), str(tmp_path / "set")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "set").exists()
    (folder / "ben.csv").unlink()
    for name, message in (
        ("", "lacks the sheets of ben: bring"),
        ("ben (1)", "ben (1).csv was given to no expert"),
    ):
        if name:
            (folder / f"{name}.csv").write_text(whole, encoding="utf-8")
        assert main(["verify", str(folder), str(tmp_path / "set")]) == 2
        assert message in capsys.readouterr().err


@pytest.fixture
def reviewed(pool, tmp_path):
    """A review by three, all filled alike; and the rows of one."""
    folder = tmp_path / "review"
    words = ["sample", str(pool), str(folder), "--number", "1", "--experts"]
    assert main([*words, "anna", "ben", "carl"]) == 0
    truth = {
        f"wav/{Path(row['wav']).name}": next(iter(row["weak"]["labels"]))
        for row in read_manifest(folder / "sample.json").values()
    }
    for name in ("anna", "ben", "carl"):
        fill(folder / f"{name}.csv", truth, 1, 0)
    with open(folder / "ben.csv", encoding="utf-8", newline="") as file:
        return folder, list(csv.DictReader(file))


CHINESE = "生气 厌恶 恐惧 高兴 中性 悲伤 惊讶".split()
# How a spreadsheet, or a hasty expert, gives a sheet back.
SAVED = {
    "semicolons": {"delimiter": ";", "encoding": "utf-8-sig", "end": "\r\n"},
    "of Windows": {"delimiter": ";", "encoding": "cp1252", "end": "\r\n"},
    "of China": {"encoding": "gb18030"},
    "unicode text": {"delimiter": "\t", "encoding": "utf-16", "end": "\r\n"},
    "blank lines": {"end": "\n\n"},
    "backwards": {"order": -1},
    "capitals": {"answer": str.upper, "header": str.capitalize},
    "in Chinese": {"answer": lambda x: CHINESE[LABELS.index(x)]},
    "bare names": {"recording": lambda x: x.removeprefix("wav/")},
    "of backslashes": {"recording": lambda x: x.replace("/", "\\")},
    "with notes": {"more": {"note": "so, so"}},
}


@pytest.mark.parametrize("way", SAVED)
def test_a_sheet_is_read_however_it_was_saved(reviewed, way, tmp_path):
    (folder, rows), how = reviewed, SAVED[way]
    lines = [
        {
            **row,
            "recording": how.get("recording", str)(row["recording"]),
            "emotion": how.get("answer", str)(row["emotion"]),
            **how.get("more", {}),
        }
        for row in rows[:: how.get("order", 1)]
    ]
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter=how.get("delimiter", ","), lineterminator="\n"
    )
    writer.writerow(map(how.get("header", str), lines[0]))
    writer.writerows(line.values() for line in lines)
    content = text.getvalue().replace("\n", how.get("end", "\n"))
    encoded = content.encode(how.get("encoding", "utf-8"), "replace")
    (folder / "ben.csv").write_bytes(encoded)
    assert main(["verify", str(folder), str(tmp_path / "set")]) == 0
    figures = json.loads((tmp_path / "set" / "agreement.json").read_text())
    assert figures["unanimous"] == 14 and figures["alpha"] == 1.0


def test_answers_that_lack_are_counted(reviewed, tmp_path):
    folder, rows = reviewed
    lines = [
        [row["recording"], row["transcript"], row["emotion"] * (n > 3)]
        for n, row in enumerate(rows)
    ]
    with open(folder / "ben.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["recording", "x", "emotion"], *lines])
    assert main(["verify", str(folder), str(tmp_path / "set")]) == 0
    figures = json.loads((tmp_path / "set" / "agreement.json").read_text())
    assert (figures["unanimous"], figures["unanswered"]) == (10, 4)


def test_a_sheet_of_another_sample_is_refused(reviewed, pool, tmp_path, capsys):
    folder, _ = reviewed
    rows = {f"x{key}": row for key, row in read_manifest(pool).items()}
    write_manifest(rows, tmp_path / "x.json")
    words = ["sample", str(tmp_path / "x.json"), str(tmp_path / "other")]
    assert main([*words, "--number", "1", "--experts", "anna", "ben"]) == 0
    shutil.copy(tmp_path / "other" / "ben.csv", folder / "ben.csv")
    assert main(["verify", str(folder), str(tmp_path / "set")]) == 2
    assert "is it another one's sheet?" in capsys.readouterr().err


def test_nobody_fills_a_cell_while_others_have_items():
    rows = {
        f"{source}{speaker}{n}": {
            "emotion": "sad", "language": "en", "dataset": source,
            "speaker": speaker, "wav": f"{source}{speaker}{n}.wav",
        }
        for source, speaker, number in (
            ("a", "1", 90), ("a", "2", 1), ("b", "1", 3), ("b", "2", 3),
        )
        for n in range(number)
    }  # fmt: skip

    def draw(number, apart=None, seed=1):
        return draw_sample(rows.items(), number, ["sad"], ["en"], apart, seed)[
            0
        ]

    drawn = draw(8)
    who = Counter((r["dataset"], r["speaker"]) for r in drawn.values())
    assert who == {("a", "1"): 3, ("a", "2"): 1, ("b", "1"): 2, ("b", "2"): 2}
    assert draw(8) == drawn and draw(8, seed=2) != drawn
    trained = {"x": {"wav": "x.wav", "dataset": "A", "speaker": "9"}}
    assert {r["dataset"] for r in draw(8, Apart([trained])).values()} == {"b"}
    trained = {"x": {"wav": "b10.wav"}}
    assert "b10" not in draw(99, Apart([trained]))
    assert "b10" in draw(99)
