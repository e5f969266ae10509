"""Suites that ask again: robustness, words or tone, faithful reasoning.

Toy systems of known truth; every suite tells them apart.
"""

import json

import jsonschema
import numpy as np
import pytest
import soundfile
import toy_systems as toys

from speechbrain_c2ser.cli import main
from speechbrain_c2ser.evaluation.suites import (
    reasoning,
    robustness,
    words,
)
from speechbrain_c2ser.evaluation.suites.asking import as_row, ask_all
from speechbrain_c2ser.evaluation.suites.cases import build_cases
from speechbrain_c2ser.evaluation.suites.collecting import (
    QUESTIONS,
    ask_for_suites,
    ask_plain,
)
from speechbrain_c2ser.evaluation.suites.disturbances import (
    CONTROLS,
    DISTURBANCES,
    RATE,
    disturb,
    mu_law,
    pair_with_others,
)
from speechbrain_c2ser.evaluation.suites.edits import (
    change_content,
    change_emotion,
    turn_style,
)
from speechbrain_c2ser.evaluation.suites.schema import EVIDENCE
from speechbrain_c2ser.labels import LabelSpace

SPACE = LabelSpace(toys.NAMES)


def examine(system, suites=("robustness", "words", "reasoning"), count=30):
    """Every suite's result of a toy system."""
    items = toys.make_corpus(count)
    conflicts = toys.make_corpus(count, agreement=0.0, seed=1)
    rows, errors = ask_plain(system, items, toys.read)
    found = ask_for_suites(
        system, items, rows, SPACE, suites, conflicts, read=toys.read
    )
    cases = build_cases(rows, items, SPACE)
    answers = {
        name: build_cases(own, items, SPACE)
        for name, own in found.conditions.items()
        if name != "conflict"
    }
    conflict = None
    if "conflict" in found.conditions:
        conflict = build_cases(found.conditions["conflict"], conflicts, SPACE)
    phrasings = {
        q: build_cases(own, items, SPACE) for q, own in found.phrasings.items()
    }
    return {
        "robustness": robustness.compute(cases, answers, 100),
        "words": words.compute(cases, answers, conflict, 100),
        "reasoning": reasoning.compute(cases, answers, found.edited, phrasings),
        "errors": {**errors, **found.errors},
    }


@pytest.fixture(scope="module")
def results():
    systems = {
        "tone": toys.HearsTone(),
        "words": toys.ReadsWords(),
        "copies": toys.CopiesEmotion(),
        "constant": toys.constant,
    }
    return {name: examine(system) for name, system in systems.items()}


# --- words or tone ------------------------------------------------------


def test_who_is_followed_is_told(results):
    told = {n: r["words"]["conflict"]["follows"] for n, r in results.items()}
    assert told == {
        "tone": "voice", "words": "words", "copies": "voice",
        "constant": "neither",
    }  # fmt: skip
    cell = results["words"]["words"]["conflict"]["cells"]["mismatched"]
    assert (cell["words"], cell["voice"], cell["n"]) == (1.0, 0.0, 30)
    assert cell["words_interval"][0] > 0.85
    assert set(results["tone"]["words"]["conflict"]["languages"]) == {
        "en",
        "zh",
    }


def test_controls_tell_reading_from_listening(results):
    tone = results["tone"]["words"]
    assert tone["controls"]["transcript_only"]["verdict"] == "at chance"
    assert tone["controls"]["silence"]["verdict"] == "at chance"
    assert tone["controls"]["shuffled"]["ua"] == 0
    # 1 less the mean of a third (silence) and nothing (shuffled)
    assert tone["sensitivity"]["value"] == pytest.approx(1 - 1 / 6)
    low, high = tone["sensitivity"]["interval"]
    assert 0.5 < low <= 1 - 1 / 6 <= high
    read = results["words"]["words"]["controls"]["transcript_only"]
    assert (read["verdict"], read["ua"]) == ("above", 1.0)
    constant = results["constant"]["words"]
    assert constant["sensitivity"]["value"] == pytest.approx(0)
    assert "read(text" in "\n".join(constant["notes"])
    assert "## " not in words.page(tone) and "voice" in words.page(tone)


def test_a_control_is_off_chance_only_by_all_of_its_intervals():
    below, across, above = [0.1, 0.2], [0.2, 0.3], [0.3, 0.4]
    for intervals, verdict in (
        ([below, below], "below"),
        ([below, across], "at chance"),
        ([across, above], "at chance"),
        ([above, above], "above"),
    ):
        for own in (intervals, intervals[::-1]):
            assert words.against_chance(0.25, own) == verdict
    # and by half a point already
    assert words.against_chance(0.25, [[0.255, 0.3]]) == "above"
    assert words.against_chance(0.25, [[0.2, 0.245]]) == "below"


def test_silence_is_as_long_whoever_spoke():
    # how long one spoke tells something of how
    for seconds in (0.5, 3.0):
        still = disturb(toys.make_wave("sad", "sad", seconds), "silence", "u")
        assert len(still) == 2 * RATE and np.abs(still).max() < 0.01


def test_voices_that_differ_widen_who_is_followed():
    items = toys.make_corpus(120, agreement=0.0, speakers=6)
    own = {k: int(i["speaker"][1:]) for k, i in items.items()}
    fields = {k: "voice" if n % 2 else "word" for k, n in own.items()}
    rows = [
        {"id": k, "label": items[k][f"{f}_emotion"]} for k, f in fields.items()
    ]
    found = words.follow(build_cases(rows, items, SPACE), [])
    cell = found["cells"]["mismatched"]
    low, high = cell["voice_interval"]
    # half of six voices, and not half of 120 utterances
    assert cell["voice"] == 0.5 and high - low > 0.6
    # three of four voices listen: sure by utterances, not by voices
    most = {k: "word" if n == 0 else "voice" for k, n in own.items() if n < 4}
    rows = [
        {"id": k, "label": items[k][f"{f}_emotion"]} for k, f in most.items()
    ]
    cases = build_cases(rows, {k: items[k] for k in most}, SPACE)
    found = words.follow(cases, [])
    assert found["follows"] == "neither" and found["p_value"] > 0.05
    alone = {k: {**items[k], "speaker": None} for k in most}
    notes = []
    found = words.follow(build_cases(rows, alone, SPACE), notes)
    assert found["follows"] == "voice" and "two named speakers" in notes[-1]


def test_cells_without_what_they_need_are_left_out_and_counted():
    items = toys.make_corpus(6)
    del items["u0"]["word_emotion"]
    notes = []
    rows = [{"id": key, "label": "sad"} for key in items]
    found = words.follow(build_cases(rows, items, SPACE), notes)
    assert sum(own["n"] for own in found["cells"].values()) == 5
    assert "1 of 6 conflicts" in notes[0]


# --- robustness ---------------------------------------------------------


def test_disturbances_change_what_they_should(results):
    constant = results["constant"]["robustness"]["conditions"]
    assert set(constant) == set(DISTURBANCES)
    assert all(
        c["unchanged"] == 1 and c["change"] == 0 for c in constant.values()
    )
    tone = results["tone"]["robustness"]["conditions"]
    # A system that only looks for its tones stands noise and level.
    assert tone["quiet"]["unchanged"] == 1
    assert tone["lead_in"]["unchanged"] == 1
    by_words = results["words"]["robustness"]["conditions"]
    assert by_words["resampled"]["unchanged"] == 1  # below 4 kHz
    lowest = min(own["change"] for own in tone.values())
    worst = results["tone"]["robustness"]["worst"]
    assert tone[worst]["change"] == lowest


@pytest.mark.parametrize("name", [*DISTURBANCES, *CONTROLS])
def test_a_disturbance_repeats_and_stays_finite(name):
    wave = toys.make_wave("happy", "sad", 1.0)
    first = disturb(wave, name, "u1", 3)
    assert np.array_equal(first, disturb(wave, name, "u1", 3))
    assert first.dtype == np.float32 and np.isfinite(first).all()
    assert np.abs(first).max() <= 1 and len(first) > 0
    assert not np.array_equal(first, wave)
    short = disturb(wave[:400], name, "u1", 3)
    assert np.isfinite(short).all()


def test_noise_has_the_ratio_that_it_promises():
    # so soft that nothing has to be turned down
    wave = toys.make_wave("happy", "sad", 2.0) / 4
    for name, snr in (("noise_20", 20), ("noise_10", 10), ("noise_0", 0)):
        noise = disturb(wave, name).astype(float) - wave
        found = 10 * np.log10(np.mean(wave**2) / np.mean(noise**2))
        assert found == pytest.approx(snr, abs=0.1)
    own = disturb(wave, "noise_0", noises=[np.ones(100)])
    assert own - wave == pytest.approx(np.full(len(wave), own[0] - wave[0]))


def test_telephone_and_speed_by_their_spectra():
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * f * time) for f in (1000, 6000))
    kept = disturb(low, "telephone")
    lost = disturb(high, "telephone")
    assert np.std(kept) > 0.5 * np.std(low)
    assert np.std(lost) < 0.02 * np.std(high)
    fast = disturb(low, "faster")
    spectrum = np.abs(np.fft.rfft(fast, RATE))
    assert spectrum.argmax() == pytest.approx(1100, abs=3)
    assert len(fast) == pytest.approx(RATE / 1.1, abs=2)


def test_mu_law_by_its_table():
    # 8 bits: at most 256 values, finer near zero
    samples = np.linspace(-1, 1, 4001)
    coded = mu_law(samples)
    assert len(np.unique(coded)) <= 256
    error = np.abs(coded - samples)
    assert error[np.abs(samples) < 0.05].max() < 0.002
    assert error.max() < 0.023


def test_mask_leaves_the_rest_alone():
    wave = np.full(RATE, 0.5, dtype=np.float32)
    for name, share in (("mask_20", 0.2), ("mask_100", 1.0)):
        assert (disturb(wave, name) != wave).mean() == pytest.approx(
            share, abs=0.001
        )


def test_pairs_are_of_another_emotion():
    keys = [f"u{i}" for i in range(30)]
    emotions = ["sad"] * 12 + ["happy"] * 10 + ["angry"] * 8
    pairs = pair_with_others(keys, emotions)
    emotion = dict(zip(keys, emotions, strict=True))
    assert all(emotion[a] != emotion[b] for a, b in pairs.items())
    assert sorted(pairs.values()) == sorted(keys)
    assert not pair_with_others(keys, ["sad"] * 30)


# --- faithful reasoning -------------------------------------------------


def test_decoration_is_told_from_use(results):
    told = {n: r["reasoning"]["reasons"] for n, r in results.items()}
    assert told == {
        "tone": "decoration", "words": "used", "copies": None,
        "constant": None,
    }  # fmt: skip
    copies = results["copies"]["reasoning"]["edits"]["emotion"]
    assert copies["changed"] == 1 and copies["followed"] == 1
    tone = results["tone"]["reasoning"]["edits"]
    assert {e["changed"] for e in tone.values()} == {0.0}
    assert set(tone) == {"style", "content", "emotion"}
    read = results["words"]["reasoning"]["edits"]
    assert read["content"]["changed"] == 1 and read["style"]["changed"] == 0


def test_masks_style_words_and_phrasings(results):
    tone = results["tone"]["reasoning"]
    assert tone["masks"]["mask_20"]["changed"] == 0
    assert tone["masks"]["mask_100"]["changed"] == pytest.approx(2 / 3)
    assert tone["style"]["speed"] == {"n": 30, "accuracy": 1, "constant": 1}
    assert results["words"]["reasoning"]["style"]["pitch"]["accuracy"] == 0
    assert tone["phrasings"]["spread"] == 0 and tone["phrasings"]["same"] == 1
    assert len(tone["phrasings"]["questions"]) == len(QUESTIONS) == 8
    other = results["words"]["reasoning"]["phrasings"]
    assert other["spread"] == pytest.approx(2 / 3)
    assert other["same"] == pytest.approx(1 / 3)
    assert "decoration" in reasoning.page(tone)


def test_edits_of_a_reasoning():
    text = 'Spoken with a slow pace and high pitch, the words "Oh" sound'
    assert turn_style(text) == (
        'Spoken with a fast pace and low pitch, the words "Oh" sound'
    )
    assert turn_style("语速快，音量正常，情绪是") == "语速慢，音量大，情绪是"
    assert turn_style("It sounds") is None
    assert change_content(text, "No", SPACE).endswith('words "No" sound')
    assert change_content("It sounds", "No", SPACE) is None
    changed, named = change_emotion("Sad and sorrowful, it is", "happy", SPACE)
    assert (changed, named) == ("happy and happy, it is", True)
    hinted, named = change_emotion("语速快，情绪是", "sad", SPACE)
    assert (hinted, named) == ("声音悲伤。语速快，情绪是", False)


# --- what fails ---------------------------------------------------------


def test_a_system_that_fails_on_some_is_named_and_goes_on():
    found = examine(toys.Fails(), ("robustness",), 12)
    assert set(found["errors"]) >= {"u2", "u5", "noise_20"}
    assert "RuntimeError: too sad" in found["errors"]["u2"]
    condition = found["robustness"]["conditions"]["quiet"]
    assert condition["n"] == 12 and condition["failed"] == 4
    assert "the system failed on 4 of 12 (u2" in "\n".join(
        found["robustness"]["notes"]
    )


def test_a_batch_that_fails_is_asked_one_by_one():
    def many(waves):
        raise MemoryError("too many")

    rows, errors = ask_all(
        lambda wave: "sad", [(k, lambda: (0,)) for k in "abc"], many
    )
    assert [row["text"] for row in rows] == ["sad"] * 3 and not errors


@pytest.mark.parametrize("answer", [3, ["sad"], {}])
def test_no_answer_is_refused(answer):
    with pytest.raises(ValueError, match="an answer is"):
        as_row("a", answer)


# --- together -----------------------------------------------------------


@pytest.fixture
def manifest(tmp_path):
    rows = {}
    for key, item in toys.make_corpus(24).items():
        path = tmp_path / "wav" / f"{key}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, item.pop("wave"), RATE)
        rows[key] = {**item, "wav": str(path), "duration": 0.5}
    path = tmp_path / "test.json"
    path.write_text(json.dumps(rows))
    return path


def test_command_asks_a_callable(manifest, tmp_path, monkeypatch):
    module = tmp_path / "my_system.py"
    module.write_text("import toy_systems\nsystem = toy_systems.HearsTone()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    out = tmp_path / "out"
    command = ["evaluate", "my_system:system", "--reference", str(manifest)]
    command += ["--suites", "all", "--samples", "20", "--output", str(out)]
    assert main([*command, "--conflict", str(manifest)]) == 0
    found = json.loads((out / "evidence.json").read_text())
    jsonschema.validate(found, EVIDENCE)
    found["suites"]["labels"]["odd"] = 1
    with pytest.raises(jsonschema.ValidationError, match="odd"):
        jsonschema.validate(found, EVIDENCE)
    assert found["suites"]["labels"]["figures"]["ua"] == 1
    assert found["suites"]["words"]["conflict"]["cells"]["matched"]["n"] == 24
    assert found["suites"]["reasoning"]["reasons"] == "decoration" or (
        found["suites"]["reasoning"]["reasons"] == "unclear"
    )
    assert (out / "predictions.jsonl").is_file()
    assert main(["evaluate", "my_system:none", *command[2:]]) == 2


def test_a_system_outside_is_asked_through_files(manifest, tmp_path):
    out = tmp_path / "disturbed"
    names = "noise_0,silence,shuffled,mask_100,transcript_only"
    assert (
        main(["disturb", str(manifest), str(out), "--conditions", names]) == 0
    )
    system = toys.HearsTone()
    for path in sorted(out.glob("*.json")):
        lines = [
            json.dumps({"id": k, "text": system(soundfile.read(r["wav"])[0])})
            for k, r in json.loads(path.read_text()).items()
            for r in [{**r, "wav": r["wav"].replace("{data_root}", str(out))}]
        ]
        path.with_suffix(".jsonl").write_text("\n".join(lines))
    asked = (out / "transcript_only_questions.jsonl").read_text().splitlines()
    assert set(json.loads(asked[0])) == {"id", "transcript", "language"}
    plain = tmp_path / "plain.jsonl"
    items = json.loads(manifest.read_text())
    plain.write_text(
        "\n".join(
            json.dumps({"id": k, "text": system(soundfile.read(r["wav"])[0])})
            for k, r in items.items()
        )
    )
    command = ["evaluate", str(plain), "--reference", str(manifest)]
    command += ["--suites", "robustness,words,reasoning", "--samples", "20"]
    assert main([*command, "--answers", str(out)]) == 0
    found = json.loads((tmp_path / "plain" / "evidence.json").read_text())
    suites = found["suites"]
    assert set(suites["robustness"]["conditions"]) == {"noise_0"}
    assert suites["words"]["controls"]["shuffled"]["ua"] == 0
    assert suites["words"]["controls"]["silence"]["verdict"] == "at chance"
    assert suites["reasoning"]["masks"]["mask_100"]["changed"] > 0.5


def test_unreadable_audio_is_named_and_the_rest_is_written(manifest, tmp_path):
    rows = json.loads(manifest.read_text())
    rows["u3"]["wav"] = "nowhere.wav"
    manifest.write_text(json.dumps(rows))
    out = tmp_path / "disturbed"
    command = ["disturb", str(manifest), str(out), "--conditions", "quiet"]
    assert main(command) == 1
    written = json.loads((out / "quiet.json").read_text())
    assert len(written) == 23 and "u3" not in written
