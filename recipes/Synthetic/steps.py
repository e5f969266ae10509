"""Steps of a longer job, each done once: scripts, stamps and times."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAMP = "finished.json"
BEGUN = "begun.json"


class StepFailed(RuntimeError):
    """A script ended with an error, which it has printed; holds its step."""


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
    """

    def __init__(self, name, folder, command):
        self.name = name
        self.folder = Path(folder)
        self.command = [str(part) for part in command]

    def key(self, previous):
        """Hash of the command, the yamls it reads, and what came before."""
        digest = hashlib.sha256(previous.encode())
        for part in self.command:
            digest.update(f"{part}\0".encode())
            if part.endswith(".yaml") and (ROOT / part).is_file():
                digest.update((ROOT / part).read_bytes())
        for block in sorted((ROOT / "hparams/blocks").glob("*_tiny.yaml")):
            digest.update(block.read_bytes())
        return digest.hexdigest()

    def seconds(self, key):
        """What the finished step took, or None if it is still to be done."""
        stamp = _read(self.folder / STAMP)
        return stamp["seconds"] if stamp.get("key") == key else None

    def run(self, key):
        """Run the script and stamp it; returns seconds, earlier tries too."""
        begun = self.folder / BEGUN
        state = _read(begun)
        if state.get("key") == key:
            print(f"[{self.name}] goes on where it stopped", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            state = {"key": key, "seconds": 0.0}
        self.folder.mkdir(parents=True, exist_ok=True)
        begun.write_text(json.dumps(state), encoding="utf-8")
        started = time.time()
        try:
            code = subprocess.call([sys.executable, *self.command], cwd=ROOT)
        finally:
            state["seconds"] += time.time() - started
            begun.write_text(json.dumps(state), encoding="utf-8")
        if code != 0:
            self._tidy(begun)
            raise StepFailed(self.name)
        os.replace(begun, self.folder / STAMP)
        return state["seconds"]

    def _tidy(self, begun):
        """Leave no trace of a step that refused before it wrote anything."""
        if list(self.folder.iterdir()) == [begun]:
            begun.unlink()
            self.folder.rmdir()
            if not any(self.folder.parent.iterdir()):
                self.folder.parent.rmdir()


def run_steps(steps, key=""):
    """Run the steps that are not done; returns times and the last key.

    Arguments
    ---------
    steps : list of Step
        In order; each depends on all before it.
    key : str
        Key of the step before the first.

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
    for step in steps:
        key = step.key(key)
        times[step.name] = step.seconds(key)
        if times[step.name] is None:
            print(f"\n[{step.name}]", flush=True)
            times[step.name] = step.run(key)
        else:
            print(f"[{step.name}] is done", flush=True)
    return times, key


def _read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
