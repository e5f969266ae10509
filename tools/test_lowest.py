"""Run the test suite with the oldest packages that setup.py allows.

> make test-lowest
> python3.11 tools/test_lowest.py [--torch 2.13.0 --torchaudio 2.11.0] \
    [-- PYTEST ARGUMENTS]

The environment, .venv-lowest, is made once of tools/lowest.txt; remove it by
hand to make it anew. The registry's torch of that age brings CUDA's libraries
(some 5 GB): --torch and --torchaudio name a release of which a CPU build is
offered, everything else stays the oldest.
"""

import argparse
import subprocess
import sys

import setup_env

LOWEST = setup_env.ROOT / "tools" / "lowest.txt"


def pins(torch=None, torchaudio=None):
    """The requirements of tools/lowest.txt, two of them changed on request."""
    changed = {"torch": torch, "torchaudio": torchaudio}
    lines = LOWEST.read_text(encoding="utf-8").splitlines()
    names = [line.partition("==") for line in lines if "==" in line]
    return [f"{n}=={changed.get(n) or version}" for n, _, version in names]


def main(argv=None):
    """Make the environment where there is none, then run pytest in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch")
    parser.add_argument("--torchaudio")
    parser.add_argument("pytest", nargs="*", default=[])
    options = parser.parse_args(argv)
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        sys.exit("[lowest] packages of that age need Python 3.10, 3.11 or 3.12")
    setup_env.VENV = setup_env.ROOT / ".venv-lowest"
    done = setup_env.VENV / "made"
    if not done.is_file():
        if not (setup_env.VENV / "bin" / "python").exists():
            setup_env.create()
        wanted = pins(options.torch, options.torchaudio)
        try:
            setup_env.pip_install(
                [*wanted, "-e", str(setup_env.ROOT)], "the oldest packages"
            )
            setup_env.free_torchaudio()
        except setup_env.SetupError as error:
            sys.exit(f"[lowest] {error}")
        done.write_text("\n".join(wanted) + "\n")
    print("[lowest] " + ", ".join(done.read_text().split()))
    python = setup_env.VENV / "bin" / "python"
    command = [python, "-m", "pytest", "-n", "2", "--dist", "loadfile"]
    sys.exit(subprocess.call([*command, *options.pytest], cwd=setup_env.ROOT))


if __name__ == "__main__":
    main()
