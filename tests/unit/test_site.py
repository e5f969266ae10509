"""The documents as a site: built without a warning, nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for name in ("mkdocs", "mkdocstrings"):
        pytest.importorskip(name, reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "WARNING" not in done.stderr, done.stderr[-2000:]
    return folder


def test_every_page_is_there(site):
    for path in ROOT.glob("docs/*.md"):
        name = "index.html" if path.stem == "index" else f"{path.stem}/"
        assert (site / name).exists(), name
    text = (site / "reference/index.html").read_text(encoding="utf-8")
    for name in ("C2SER", "classify_file", "LabelSpace", "Listener"):
        assert name in text
    assert (site / "notebooks/use_it.ipynb").exists()


def test_pages_load_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(http[^"]+)', text
        )
        assert not loaded, (path.name, loaded)
