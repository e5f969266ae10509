"""Make or mend the project's own environment, .venv.

Run by the Makefile before every command; standard library only. It looks
at what is there, does the one next thing that is wanting, and looks
again, so it can be stopped and started at any point. A stamp inside the
environment says what was installed and for which setup files.
"""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from importlib import import_module
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 10)
EXTRAS = "demo,dev"
# Where a CPU build is offered, this very pin selects it: a bare "torch"
# would bring gigabytes of CUDA packages. torchaudio has no newer release.
TORCH_CPU = ["torch==2.13.0", "torchaudio==2.11.0"]
TORCH_GPU = ["torch==2.11.0", "torchaudio==2.11.0"]
IMPORTS = ["torch", "speechbrain", "transformers", "peft", "sklearn"]
IMPORTS += ["soundfile", "matplotlib", "pytest", "speechbrain_c2ser"]
ASIDE = ".unused"

State = namedtuple(
    "State", "exists same_python python_works has_pip damaged stamped"
)


class SetupError(Exception):
    """The environment cannot be made; the message says why."""


def say(text):
    print(f"[setup] {text}", flush=True)


# --- looking -----------------------------------------------------------


def environment_key(gpu, version=sys.version_info[:2], root=ROOT):
    """Name of the environment that this checkout wants."""
    digest = hashlib.sha256(f"{version} {gpu} {root}".encode())
    for name in ("setup.py", "tools/setup_env.py"):
        digest.update((Path(root) / name).read_bytes())
    return digest.hexdigest()[:16]


def damaged_packages(site):
    """Packages with a lost or cut file, and what pip left half-done.

    Returns a dict: name -> the entries of `site` to remove, so that pip
    takes the package for absent and installs it again.
    """
    site = Path(site)
    broken = {entry.name: [entry] for entry in site.glob("~*")}
    for info in sorted(site.glob("*.dist-info")):
        name = info.name.split("-")[0].lower()
        record = info / "RECORD"
        if not record.exists() or not (info / "METADATA").exists():
            broken[name] = [info]
            continue
        with open(record, encoding="utf-8", newline="") as stream:
            for path, _, size in csv.reader(stream):
                if not path.endswith(".pyc") and not whole(site / path, size):
                    broken[name] = [info]
                    break
    return broken


def whole(path, size):
    """Whether the file is there, in full or moved aside by us."""
    try:
        return not size or os.stat(path).st_size == int(size)
    except OSError:
        return os.path.exists(str(path) + ASIDE)


def installed(site):
    """The installed packages: {name: version}."""
    found = {}
    for info in Path(site).glob("*.dist-info"):
        name, _, version = info.name[: -len(".dist-info")].partition("-")
        found[name.lower()] = version
    return found


def site_packages(venv, version=sys.version_info[:2]):
    return (
        Path(venv)
        / "lib"
        / f"python{version[0]}.{version[1]}"
        / ("site-packages")
    )


def read_stamp(venv):
    try:
        return json.loads((Path(venv) / "stamp.json").read_text())
    except (OSError, ValueError):
        return {}


def look(venv, keys):
    """The State of `venv`; `keys` are the acceptable environment keys."""
    venv, site = Path(venv), site_packages(venv)
    python = venv / "bin" / "python"
    stamp = read_stamp(venv)
    packages = installed(site)
    damaged = damaged_packages(site)
    return State(
        exists=venv.is_dir(),
        same_python=site.is_dir(),
        python_works=runs(python),
        has_pip="pip" in packages and "pip" not in damaged,
        damaged=damaged,
        stamped=stamp.get("key") in keys
        and stamp.get("packages", {}).items() <= packages.items(),
    )


def runs(python):
    """Whether this interpreter starts and is of our version."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        out = subprocess.run(
            [str(python), "-I", "-c", code], stdout=-1, stderr=-1
        ).stdout
    except OSError:
        return False
    return out.split() == [str(n).encode() for n in sys.version_info[:2]]


def next_action(state):
    """The one thing to do next, or None when the environment is ready."""
    if not state.exists:
        return "create"
    if not state.same_python:
        return "recreate"
    if not state.python_works:
        return "create"
    if not state.has_pip:
        return "bring pip"
    if state.damaged:
        return "mend"
    if not state.stamped:
        return "install"
    return None


def has_gpu():
    try:
        done = subprocess.run(["nvidia-smi", "-L"], stdout=-1, stderr=-1)
    except OSError:
        return False
    return done.returncode == 0 and b"GPU" in done.stdout


# --- doing -------------------------------------------------------------


def clean_environment():
    """Our environment variables less those that lead pip elsewhere."""
    lead_away = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET")
    kept = {k: v for k, v in os.environ.items() if k not in lead_away}
    return dict(kept, PYTHONUNBUFFERED="1", PIP_REQUIRE_VIRTUALENV="0")


def quiet(command):
    """Run; return (succeeded, everything it printed)."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(),
    )
    return done.returncode == 0, done.stdout.decode(errors="replace")


def create():
    say(f"making {VENV.name} for Python {sys.version.split()[0]}")
    if (VENV / "bin").is_dir():
        # A dangling or foreign link would be followed or kept.
        for link in (VENV / "bin").glob("python*"):
            link.unlink()
    worked, log = quiet([sys.executable, "-m", "venv", VENV])
    if worked:
        return
    # Some systems ship Python without ensurepip: pip comes next.
    worked, log = quiet([sys.executable, "-m", "venv", "--without-pip", VENV])
    if not worked:
        raise SetupError(
            f"{sys.executable} cannot make a virtual environment "
            "(Debian and Ubuntu: install python3-venv, or name another "
            f"Python: make PYTHON=python3.12 ...): {last_line(log)}"
        )


def recreate():
    say(f"{VENV.name} is beyond mending or of another Python: starting over")
    shutil.rmtree(VENV, ignore_errors=True)
    create()


def bring_pip():
    say("bringing pip into the environment")
    site = site_packages(VENV)
    for entry in [site / "pip", *site.glob("pip-*.dist-info")]:
        shutil.rmtree(entry, ignore_errors=True)
    python = VENV / "bin" / "python"
    if quiet([python, "-m", "ensurepip"])[0]:
        return
    worked, log = quiet(
        [sys.executable, "-m", "pip", "--python", python, "install", "pip"]
    )
    if not worked:
        raise SetupError(
            f"{sys.executable} has neither ensurepip nor pip (Debian and "
            "Ubuntu: install python3-venv, or name another Python: "
            f"make PYTHON=python3.12 ...): {last_line(log)}"
        )


def mend(damaged):
    names = ", ".join(sorted(damaged))
    say(f"half-installed or damaged, to be installed again: {names}")
    for entries in damaged.values():
        for entry in entries:
            remove(entry)


def remove(entry):
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def install(gpu):
    (VENV / "stamp.json").unlink(missing_ok=True)
    torch = TORCH_GPU if gpu else TORCH_CPU
    kind = "NVIDIA GPU found" if gpu else "no NVIDIA GPU"
    pip_install(torch, f"1/2 {' '.join(torch)} ({kind})")
    package = f"{ROOT}[{EXTRAS}]"
    pip_install([*torch, "-e", package], "2/2 speechbrain_c2ser and the rest")
    free_torchaudio()
    say("checking that everything imports")
    worked, log = quiet(
        [VENV / "bin" / "python", "-c", f"import {', '.join(IMPORTS)}"]
    )
    if not worked:
        raise SetupError(f"installed, but not usable: {last_line(log)}")
    packages = installed(site_packages(VENV))
    stamp = {"key": environment_key(gpu), "packages": packages}
    temporary = VENV / "stamp.json.new"
    temporary.write_text(json.dumps(stamp, indent=1))
    os.replace(temporary, VENV / "stamp.json")


def free_torchaudio():
    """Set torchaudio's native library aside where it cannot load.

    The registry's wheel is linked against CUDA; beside a CPU-only torch
    its import fails, while all that is used here is pure Python.
    """
    check = [VENV / "bin" / "python", "-c", "import torchaudio"]
    worked, log = quiet(check)
    if worked:
        return
    libraries = list((site_packages(VENV) / "torchaudio").glob("lib/*.so"))
    for library in libraries:
        os.replace(library, str(library) + ASIDE)
    if libraries and quiet(check)[0]:
        say(
            "torchaudio's native library cannot load beside this torch "
            f"({last_line(log)}); set aside in {VENV.name} only, "
            "torchaudio works without it"
        )
        return
    for library in libraries:
        os.replace(str(library) + ASIDE, library)
    raise SetupError(f"torchaudio cannot be imported: {last_line(log)}")


def last_line(log):
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def pip_install(requirements, title):
    """pip, told in a few lines; its full log stays in the environment."""
    say(f"installing {title}")
    log = VENV / "setup.log"
    command = [VENV / "bin" / "python", "-m", "pip", "install"]
    command += ["--disable-pip-version-check", *requirements]
    with open(log, "a", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(),
        )
        try:
            lines = follow(process, stream)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        errors = [line for line in lines if line.startswith("ERROR")]
        shown = "\n".join((errors or lines)[-6:])
        raise SetupError(f"pip failed; its log is {log}\n{shown}")


def follow(process, stream):
    """Show what pip is at, with the time it has taken; return its lines."""
    lines, started, interactive = [], time.time(), sys.stdout.isatty()

    def read():
        for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            lines.append(line)
            stream.write(line + "\n")

    reader = Thread(target=read, daemon=True)
    reader.start()
    told, pause = 0, 0.5 if interactive else 20
    while reader.is_alive():
        reader.join(pause)
        packages = sum(line.startswith("Collecting") for line in lines)
        seconds = int(time.time() - started)
        now = lines[-1].strip()[:48] if lines else "starting"
        status = f"{seconds:4d} s, {packages} packages: {now}"
        if interactive:
            print(f"\r[setup] {status:<70}", end="", flush=True)
        elif seconds - told >= 20:
            told = seconds
            say(status)
    if interactive:
        print()
    process.wait()
    return lines


def prepare():
    """Act until nothing is wanting; start over once if that fails."""
    gpu = has_gpu()
    # An environment made for a GPU also serves without one.
    keys = {environment_key(gpu), environment_key(True)}
    fresh = not VENV.exists()
    done = []
    while True:
        state = look(VENV, keys)
        action = next_action(state)
        if action is None:
            return
        if done.count(action) == 2:
            raise SetupError(f"'{action}' does not help; remove {VENV}")
        done.append(action)
        if action == "create":
            create()
        elif action == "recreate":
            recreate()
        elif action == "bring pip":
            bring_pip()
        elif action == "mend":
            mend(state.damaged)
        else:
            try:
                install(gpu)
            except SetupError as error:
                if fresh:
                    raise
                say(str(error))
                fresh = True
                recreate()


def main():
    if sys.version_info < OLDEST:
        wanted = ".".join(str(number) for number in OLDEST)
        sys.exit(
            f"[setup] Python {wanted} or newer is needed, this is "
            f"{sys.version.split()[0]}; name one: make PYTHON=python3.12 ..."
        )
    # Two commands started at once: the second waits for the first.
    directory = os.open(ROOT, os.O_RDONLY)
    fcntl = import_module("fcntl")
    fcntl.flock(directory, fcntl.LOCK_EX)
    try:
        prepare()
    except SetupError as error:
        sys.exit(f"[setup] {error}")
    except KeyboardInterrupt:
        sys.exit("\n[setup] stopped; the same command goes on from here")


if __name__ == "__main__":
    main()
