"""Steps of a longer job, each done once: scripts, stamps, times, one log."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
STAMP = "finished.json"
BEGUN = "begun.json"
OVERLAY = re.compile(r"# Overlay on:(.*)")  # on the yamls that it names
PERCENT = re.compile(r"(\d{1,3})%\|")  # of a script's own progress bar


class StepFailed(RuntimeError):
    """A step ended with an error; says which, why and where to read on."""


class Step:
    """One recipe script and the folder that tells whether it is done.

    Arguments
    ---------
    name : str
        Shown, and the key of its time.
    folder : Path
        Holds the stamp; emptied before the step is done anew.
    command : list
        Script (relative to the repository) and arguments.
    title : str
        What it does, in a few words.
    figure : callable | None
        ``folder -> str``: its key figure once it is done.
    source : str | None
        Whose data the folder is made of. What was made of other data is
        never emptied.
    """

    def __init__(
        self,
        name: str,
        folder: str | Path,
        command: Sequence,
        title: str = "",
        figure: Callable[[Path], str] | None = None,
        source: str | None = None,
    ):
        self.name = name
        self.folder = Path(folder)
        self.command = [str(part) for part in command]
        self.title = title
        self.figure = figure
        self.source = source

    def key(self, previous: str) -> str:
        """Hash of the command, the yamls it reads, and what came before."""
        digest = hashlib.sha256(previous.encode())
        for part in self.command:
            digest.update(f"{part}\0".encode())
            if part.endswith(".yaml") and (ROOT / part).is_file():
                text = (ROOT / part).read_text(encoding="utf-8")
                digest.update(text.encode())
                overlay = OVERLAY.match(text)
                for base in overlay[1].split() if overlay else ():
                    digest.update((ROOT / base).read_bytes())
        for block in sorted((ROOT / "hparams/blocks").glob("*.yaml")):
            digest.update(block.read_bytes())
        return digest.hexdigest()

    def seconds(self, key: str) -> float | None:
        """What the finished step took, or None if it is still to be done."""
        stamp = _read(self.folder / STAMP)
        return stamp["seconds"] if stamp.get("key") == key else None

    def run(self, key: str, log: Path | None = None) -> float:
        """Run the script and stamp it; returns seconds, earlier tries too."""
        self._spare_other_data()
        begun = self.folder / BEGUN
        state = _read(begun)
        if state.get("key") != key:
            shutil.rmtree(self.folder, ignore_errors=True)
            state = {"key": key, "seconds": 0.0, "source": self.source}
        elif log is None:
            print(f"[{self.name}] goes on where it stopped", flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        begun.write_text(json.dumps(state), encoding="utf-8")
        started = time.time()
        try:
            code, last = self._call(log)
        finally:
            state["seconds"] += time.time() - started
            begun.write_text(json.dumps(state), encoding="utf-8")
        if code != 0:
            self._tidy(begun)
            raise StepFailed(f"{self.name} failed{last}")
        os.replace(begun, self.folder / STAMP)
        return state["seconds"]

    def told(self) -> str:
        """The key figure of the finished step."""
        return self.figure(self.folder) if self.figure else ""

    def _spare_other_data(self):
        for name in (STAMP, BEGUN):
            source = _read(self.folder / name).get("source")
            if source not in (None, self.source):
                raise StepFailed(
                    f"{self.folder.parent} holds the results of {source}, not "
                    f"of {self.source}: name another folder (OUTPUT=...)."
                )

    def _call(self, log):
        """Exit code, and the last words of a script that wrote to the log."""
        command = [sys.executable, *self.command]
        if log is None:
            return subprocess.call(command, cwd=ROOT), ""
        # Unbuffered: the log is read while the step runs.
        with open(log, "ab", buffering=0) as file:
            file.write(f"\n[{self.name}] {' '.join(self.command)}\n".encode())
            last = _follow(command, file, f"{self.name}: {self.title}")
        return last[0], f": {last[1]}\nAll it said: {log}"

    def _tidy(self, begun):
        """Leave no trace of a step that refused before it wrote anything."""
        if list(self.folder.iterdir()) == [begun]:
            begun.unlink()
            self.folder.rmdir()
            if not any(self.folder.parent.iterdir()):
                self.folder.parent.rmdir()


def _follow(command, file, title):
    """Run a command, its words into a file, its own progress as a bar."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    last, rest = "", ""
    layout = "  {desc} {percentage:3.0f} %|{bar:24}| {elapsed}"
    bar = tqdm(
        total=100, desc=title, bar_format=layout, leave=False, disable=None
    )
    try:
        while chunk := os.read(process.stdout.fileno(), 1 << 16):
            # A bar that redraws itself a thousand times is no log.
            text = rest + chunk.decode("utf-8", "replace")
            *lines, rest = re.split(r"(?<=[\r\n])", text)
            for line in lines:
                percent = PERCENT.search(line)
                if percent:
                    bar.n = min(int(percent[1]), 100)
                if line.endswith("\n") and line.strip():
                    file.write(line.encode())
                    last = last if percent else line.strip()
            bar.refresh()
        file.write(rest.encode())
        return process.wait(), rest.strip() or last
    finally:
        bar.close()
        process.stdout.close()
        process.wait()


def run_steps(
    steps: Sequence[Step],
    key: str = "",
    log: Path | None = None,
    before: int = 0,
) -> tuple[dict, str]:
    """Run the steps that are not done; returns times and the last key.

    Arguments
    ---------
    steps : Sequence[Step]
        In order; each depends on all before it.
    key : str
        Key of the step before the first.
    log : Path | None
        Where the scripts' words go, each step then being one line here;
        None leaves them on the terminal.
    before : int
        How many steps of the job were before these, for their numbers.

    Returns
    -------
    times : dict
        Name → seconds.
    key : str
        Key of the last step.

    Raises
    ------
    StepFailed
        If a script ends with an error.
    """
    times = {}
    for place, step in enumerate(steps, before + 1):
        key = step.key(key)
        seconds = step.seconds(key)
        done = seconds is not None
        if not done:
            if log is None:
                print(f"\n[{step.name}]", flush=True)
            seconds = step.run(key, log)
        times[step.name] = seconds
        if log is not None:
            note = "  (done before)" if done else ""
            print(
                f"{place:2d} {step.name:<20} {step.title:<46} "
                f"{seconds:5.0f} s  {step.told()}{note}",
                flush=True,
            )
        elif done:
            print(f"[{step.name}] is done", flush=True)
    return times, key


def _read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
