"""What is here, what is missing, what mends it."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata

from speechbrain_c2ser.versions import version_of

OURS = "speechbrain_c2ser"
# Distributions whose module has another name.
MODULES = {"pyyaml": "yaml", "scikit-learn": "sklearn"}
# What a C2SER folder needs beyond the trial, which hears a classifier.
CLASSIFY = ("torch", "transformers", "peft")
FFMPEG = "install ffmpeg, such as apt install ffmpeg"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Arguments
    ---------
    about : str
        "packages", "devices", "extras", "tools" or "classify".
    name : str
        The thing.
    state : str
        "ok"; "absent", where nothing that was asked for needs it; or "wrong".
    told : str
        Its version, or what is wrong.
    mend : str | None
        The command that mends it.
    """

    about: str
    name: str
    state: str
    told: str
    mend: str | None = None


def examine() -> list[Check]:
    """Look at all that the package needs or can use.

    Returns
    -------
    list of Check
        In the order they are told; none raises.

    Example
    -------
    >>> "devices" in {check.about for check in examine()}
    True
    """
    checks = [_guarded("packages", OURS, _ourselves)]
    wanted: list[tuple] = []
    try:
        wanted += _wanted()
    except Exception as error:
        checks.append(_wrong("packages", "what is wanted", error))
    for name, bounds, extra in wanted:
        if extra is None:
            look = _package(name, bounds)
            checks.append(_guarded("packages", name, look))
    checks += _devices()
    extras: dict[str, list] = {}
    for name, bounds, extra in wanted:
        if extra is not None:
            extras.setdefault(extra, []).append((name, bounds))
    for extra, parts in extras.items():
        checks.append(_guarded("extras", extra, _extra(extra, parts)))
    for name, look in (
        ("ffmpeg", _ffmpeg),
        ("espeak-ng", _espeak),
        ("praat (parselmouth)", _parselmouth),
        ("cache of the hub", _cache),
    ):
        checks.append(_guarded("tools", name, look))
    checks.append(_guarded("classify", "a tone of one second", _trial))
    return checks


def can_classify(checks: list[Check]) -> bool:
    """Whether the trial went well, and what language models need is there.

    Arguments
    ---------
    checks : list of Check
        Of :func:`examine`.

    Returns
    -------
    bool

    Example
    -------
    >>> can_classify([Check("classify", "a tone", "wrong", "no soundfile")])
    False
    """
    return not any(
        check.state == "wrong"
        for check in checks
        if check.about == "classify" or check.name in CLASSIFY
    )


def _guarded(about: str, name: str, look: Callable) -> Check:
    """A check that fails is wrong itself, and ends no other."""
    try:
        return Check(about, name, *look())
    except Exception as error:
        return _wrong(about, name, error)


def _wrong(about, name, error):
    message = " ".join(str(error).split())
    return Check(about, name, "wrong", f"{type(error).__name__}: {message}")


def _pip(*words):
    parts = (sys.executable or "python", "-m", "pip", "install", *words)
    return " ".join(map(shlex.quote, parts))


def _wanted() -> Iterator[tuple[str, str, str | None]]:
    """(distribution, bounds, extra | None) as we were installed with."""
    if version_of(OURS) is None:
        return
    from packaging.requirements import Requirement

    extras = metadata.metadata(OURS).get_all("Provides-Extra") or []
    for line in metadata.requires(OURS) or []:
        wanted = Requirement(line)
        for extra in (None, *extras):
            # One that stands for all comes under no extra.
            there = wanted.marker is None or wanted.marker.evaluate(
                {"extra": extra or ""}
            )
            if there and extra != "dev":
                yield wanted.name, str(wanted.specifier), extra
            if there and extra is None:
                break


def _ourselves():
    version = version_of(OURS)
    if version is None:
        return "wrong", "is not installed", _pip(OURS)
    return "ok", version


def _fits(version, bounds):
    """Whether a version is within bounds; unknown = it is."""
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True
    return SpecifierSet(bounds).contains(version, prereleases=True)


def _package(name, bounds):
    def look():
        version, install = version_of(name), f"{name}{bounds}"
        if version is None:
            return "wrong", "is not installed", _pip(install)
        try:
            import_module(MODULES.get(name.lower(), name.replace("-", "_")))
        except Exception as error:
            message = f"{version} does not load: {error}"
            again = ("--force-reinstall", "--no-deps", install)
            return "wrong", " ".join(message.split()), _pip(*again)
        if not _fits(version, bounds):
            told = f"{version}; run with {bounds} only"
            return "ok", told, _pip(install)
        return "ok", version

    return look


def _extra(extra, parts):
    def look():
        missing = [name for name, _ in parts if version_of(name) is None]
        others = [
            f"{name} {version_of(name)}, wanted {bounds}"
            for name, bounds in parts
            if name not in missing and not _fits(version_of(name), bounds)
        ]
        if not missing and not others:
            return "ok", ", ".join(f"{n} {version_of(n)}" for n, _ in parts)
        told = [f"without {', '.join(missing)}"] if missing else []
        return "absent", "; ".join([*told, *others]), _pip(f"{OURS}[{extra}]")

    return look


def _devices() -> list[Check]:
    looks = [("cpu", _cpu), ("cuda", _cuda), ("mps", _mps)]
    return [_guarded("devices", name, look) for name, look in looks]


def _cpu():
    import torch

    from speechbrain_c2ser.processor import processor_has

    quick = [
        f"{number} by {', '.join(names)}" if names else f"no {number}"
        for number in ("bf16", "int8")
        for names in [processor_has(number)]
    ]
    threads = torch.get_num_threads()
    return "ok", (
        f"{os.cpu_count()} cores, {threads} used; "
        f"{torch.backends.cpu.get_cpu_capability()}; {'; '.join(quick)}"
    )


def _cuda():
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda or torch.version.hip
        why = f"built for {built}, no device" if built else "built without it"
        return "absent", f"this PyTorch: {why}"
    cards = []
    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(number)
        cards.append(f"{card.name}, {card.total_memory / 2**30:.0f} GiB")
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
    return "ok", f"{'; '.join(cards)}; {bf16}"


def _mps():
    import torch

    there = torch.backends.mps.is_available()
    return ("ok", "there") if there else ("absent", "no Apple GPU")


def _ffmpeg():
    path = shutil.which("ffmpeg")
    if path is None:
        return "absent", "M4A, AMR, WebM and the like need it", FFMPEG
    done = subprocess.run(
        [path, "-version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    words = done.stdout.decode("utf-8", "replace").split()
    if done.returncode or len(words) < 3:
        return "wrong", f"{path} does not run", FFMPEG
    return "ok", f"{words[2]} ({path})"


def _espeak():
    if version_of("espeakng-loader") is None:
        told = "phonemes of style words and the demo need it"
        return "absent", told, _pip(f"{OURS}[prosody]")
    from speechbrain_c2ser.chain_of_thought.espeak import Espeak

    phonemes = Espeak().phonemes("blue hat", "en")
    return "ok", f"{version_of('espeakng-loader')} says {phonemes}"


def _parselmouth():
    if version_of("praat-parselmouth") is None:
        told = "the pitch of style words needs it"
        return "absent", told, _pip(f"{OURS}[prosody]")
    import parselmouth

    return "ok", f"{parselmouth.__version__}, Praat {parselmouth.PRAAT_VERSION}"


def _cache():
    from huggingface_hub.constants import HF_HUB_CACHE

    place = os.path.abspath(HF_HUB_CACHE)
    while not os.path.isdir(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free / 2**30
    except OSError as error:
        mend = "export HF_HOME=a folder that can be written"
        return "wrong", f"{HF_HUB_CACHE}: {error.strerror or error}", mend
    return "ok", f"{HF_HUB_CACHE}, {free:.0f} GiB free"


def _trial():
    from speechbrain_c2ser.inference.trial import classify_a_tone

    device, seconds = classify_a_tone()
    return "ok", f"heard on {device}, {seconds:.1f} s"
