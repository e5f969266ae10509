"""`c2ser serve` in a real headless Chromium, as a user goes through it.

> python benchmarks/serve_browser.py MODEL_FOLDER WAV OTHER_WAV \
    [--second MODEL_FOLDER] [--output results/serve_browser] [--keep docs]

Uploads a recording, records from a microphone (a fake device that plays WAV),
clicks moments of the timeline by mouse and keyboard, meets errors, takes CSV
and TextGrids of several files, changes the language, is two users at once, has
a phone's width; and asks for nothing outside of the server. Screenshots come
into the output folder; --keep writes docs' picture. Needs
`pip install playwright` and a Chromium (Debian: `apt install chromium`).
"""

import argparse
import csv
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import wave
from contextlib import contextmanager
from pathlib import Path

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update "
    "--disable-sync --use-fake-device-for-media-stream "
    "--use-fake-ui-for-media-stream"
).split()
PATIENCE = 120_000  # milliseconds: a model on a busy CPU


@contextmanager
def served(folders):
    """The address of a server, which is ended afterwards."""
    words = [word for folder in folders for word in ("--model", folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "speechbrain_c2ser.cli", "serve", "--port"]
        + ["0", "--max-seconds", "60", "--max-files", "5", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        address = re.search(r"http://\S+", line)
        if not address:
            sys.exit(f"The server did not start: {line!r}")
        yield address[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def joined(paths, place):
    """A longer recording of several, at the first one's rate."""
    with wave.open(str(place), "wb") as out:
        for number, path in enumerate(paths):
            with wave.open(str(path)) as file:
                if number == 0:
                    out.setparams(file.getparams())
                out.writeframes(file.readframes(file.getnframes()))
    return place


class Visitor:
    """A user with a browser window of its own."""

    def __init__(self, browser, address, **options):
        options = {"locale": "en-US", **options}
        self.context = browser.new_context(
            viewport=options.pop("viewport", {"width": 1280, "height": 1000}),
            permissions=["microphone"],
            **options,
        )
        self.page = self.context.new_page()
        self.outside, self.complaints = [], []
        self.page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "data:", "blob:"))
                else self.outside.append(request.url)
            ),
        )
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.goto(address)
        self.page.locator("#listen").wait_for(timeout=PATIENCE)

    def upload(self, path):
        self.page.locator("#recording input[type=file]").first.set_input_files(
            str(path)
        )
        self.page.locator("#recording").get_by_text(
            re.compile(r"\d:\d\d")
        ).first.wait_for(timeout=PATIENCE)

    def listen(self):
        self.page.locator("#listen").click()

    def view(self, number=0):
        found = self.page.locator(".c2-view").nth(number)
        found.wait_for(timeout=PATIENCE)
        return found


def one_recording(visitor, clip, output):
    visitor.upload(clip)
    visitor.listen()
    view = visitor.view()
    visitor.page.wait_for_timeout(500)
    buttons = view.locator(".c2-strip button")
    assert buttons.count() >= 2, buttons.count()
    assert not view.locator(".c2-moment:visible").count()
    box = view.locator(".c2-time svg").bounding_box()
    # The last moment of the waveform: the last segment.
    visitor.page.mouse.click(box["x"] + 0.97 * box["width"], box["y"] + 30)
    last = view.locator(".c2-moment").nth(buttons.count() - 1)
    assert last.is_visible(), "a click on the waveform shows nothing"
    words = last.inner_text()
    buttons.first.focus()
    visitor.page.keyboard.press("Enter")
    assert view.locator(".c2-moment").first.is_visible()
    visitor.page.keyboard.press("ArrowRight")
    assert view.locator(".c2-moment").nth(1).is_visible()
    assert view.locator(".c2-moment:visible").count() == 1
    assert not visitor.page.locator('[role="alert"]').count()
    visitor.page.screenshot(path=output / "one.png", full_page=True)
    return words


def microphone(visitor, output):
    page = visitor.page
    page.reload()
    page.locator("#listen").wait_for(timeout=PATIENCE)
    recorder = page.locator("#recording")
    recorder.get_by_role("button", name="Record audio").click()
    recorder.locator("button.record").click()
    page.wait_for_timeout(4000)
    page.screenshot(path=output / "recording.png")
    recorder.locator("button.stop-button").click()
    page.wait_for_timeout(3000)
    visitor.listen()
    text = visitor.view().inner_text()
    page.screenshot(path=output / "microphone.png", full_page=True)
    return " ".join(text.split())[:120]


def errors(visitor, output, folder):
    page = visitor.page
    page.reload()
    page.locator("#listen").wait_for(timeout=PATIENCE)
    visitor.listen()
    alert = page.locator('[role="alert"]')
    alert.first.wait_for(timeout=PATIENCE)
    nothing = alert.first.inner_text()
    text = folder / "text.wav"
    text.write_text("no sound at all")
    page.locator("#recording input[type=file]").first.set_input_files(str(text))
    page.wait_for_timeout(2000)
    visitor.listen()
    page.get_by_text("text.wav cannot be read").first.wait_for(timeout=PATIENCE)
    page.screenshot(path=output / "error.png", full_page=True)
    return nothing, alert.first.inner_text()


def many(visitor, paths, output):
    page = visitor.page
    page.reload()
    page.get_by_role("tab", name="Many recordings").click()
    page.locator("#files input[type=file]").set_input_files(
        [str(path) for path in paths]
    )
    page.wait_for_timeout(3000)
    page.locator("#listen-all").click()
    page.locator(".c2-table").wait_for(timeout=PATIENCE)
    page.wait_for_timeout(1000)
    found = {}
    for form in ("CSV", "JSON", "TextGrid"):
        with page.expect_download(timeout=PATIENCE) as download:
            page.locator(f"#{form}").click()
        place = output / download.value.suggested_filename
        download.value.save_as(place)
        found[form] = place
    page.screenshot(path=output / "many.png", full_page=True)
    with open(found["CSV"], encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and {"path", "label", "start"} <= set(rows[0])
    return page.locator('[role="status"]').first.inner_text(), len(rows)


def chinese(visitor, output):
    page = visitor.page
    page.locator("#language").get_by_text("中文").click()
    page.get_by_role("heading", name="语音情感").wait_for(timeout=PATIENCE)
    page.get_by_role("tab", name="单个录音").click()
    page.wait_for_timeout(500)
    page.screenshot(path=output / "chinese.png", full_page=True)


def two_at_once(browser, address, first, second):
    """Both ask before either is answered; each gets its own."""
    visitors = [Visitor(browser, address) for _ in range(2)]
    heads = []
    for visitor, clip in zip(visitors, (first, second), strict=True):
        visitor.upload(clip)
    for visitor in visitors:
        visitor.listen()
    for visitor in visitors:
        heads.append(visitor.view().locator(".c2-scale").inner_text())
        visitor.context.close()
    return [re.findall(r"[\d.]+ s", head)[-1] for head in heads]


def phone(browser, address, clip, output):
    visitor = Visitor(
        browser,
        address,
        viewport={"width": 360, "height": 760},
        has_touch=True,
        is_mobile=True,
        locale="zh-CN",
    )
    visitor.page.get_by_role("heading", name="语音情感").wait_for()
    visitor.upload(clip)
    visitor.listen()
    view = visitor.view()
    view.locator(".c2-strip button").first.tap()
    wide = visitor.page.evaluate("document.documentElement.scrollWidth")
    visitor.page.screenshot(path=output / "phone.png", full_page=True)
    visitor.context.close()
    return wide


def seconds_of(path):
    with wave.open(str(path)) as file:
        return file.getnframes() / file.getframerate()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("wavs", nargs="+", type=Path)
    parser.add_argument("--second", help="another model beside it")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument(
        "--output", type=Path, default=Path("results/serve_browser")
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    options.output.mkdir(parents=True, exist_ok=True)
    folders = [options.model, *([options.second] if options.second else [])]
    with (
        tempfile.TemporaryDirectory() as place,
        served(folders) as address,
        sync_playwright() as playwright,
    ):
        place = Path(place)
        clip = joined(options.wavs, place / "conversation.wav")
        browser = playwright.chromium.launch(
            executable_path=options.chromium,
            args=[*FLAGS, f"--use-file-for-fake-audio-capture={clip}"],
        )
        visitor = Visitor(browser, address)
        print("timeline click:", " | ".join(
            one_recording(visitor, clip, options.output).split("\n")
        ))  # fmt: skip
        if options.keep:
            views = visitor.page.locator(".c2-view").count()
            assert views == len(folders)
            shutil.copy(options.output / "one.png", options.keep / "serve.png")
        print("microphone:", microphone(visitor, options.output))
        print("errors:", *errors(visitor, options.output, place), sep="\n  ")
        bad = place / "text.wav"
        print("many:", many(visitor, [*options.wavs[:3], bad], options.output))
        chinese(visitor, options.output)
        lengths = [seconds_of(path) for path in options.wavs[:2]]
        shown = two_at_once(browser, address, *options.wavs[:2])
        assert shown == [f"{s:.1f} s" for s in lengths], (shown, lengths)
        print("two at once:", shown)
        print("phone, 360 px:", phone(browser, address, clip, options.output))
        print("asked for outside the server:", visitor.outside or "nothing")
        print("script errors:", visitor.complaints or "none")
        browser.close()


if __name__ == "__main__":
    main()
