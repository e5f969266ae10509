"""docs/systems.md tells what can be composed: its files and its counts."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/systems.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if re.match(r"\| \d+ \|", line)
]
ENTRIES = 83


def test_every_entry_stands_once_with_its_state():
    numbers = [int(row[0]) for row in ROWS]
    assert len(numbers) == len(set(numbers)) == ENTRIES
    assert all(row[3][0] in "●◐○" for row in ROWS)
    # a missing piece is named, a reachable system says how
    for number, _, way, state in ROWS:
        assert way if state.startswith("●") else True, number
        if state.startswith("◐"):
            assert len(state) > 2, number


def test_the_counts_are_those_of_the_table():
    counts = {sign: 0 for sign in "●◐○"}
    for row in ROWS:
        counts[row[3][0]] += 1
    told = re.search(r"\*\*(\d+) ●, (\d+) ◐, (\d+) ○\*\* of 83", TEXT)
    assert list(map(int, told.groups())) == list(counts.values())


def test_every_overlay_is_there():
    named = set()
    for _, _, way, _ in ROWS:
        for name in re.findall(r"`([\w/]+(?:\.yaml)?)`", way):
            if "/" in name or name.endswith(".yaml"):
                named.add(name.removesuffix(".yaml"))
    assert len(named) > 25
    for name in named:
        places = [
            f"hparams/{name}.yaml",
            f"hparams/emotion_recognition/{name}.yaml",
        ]
        assert any((ROOT / place).is_file() for place in places), name
