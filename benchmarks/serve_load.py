"""`c2ser serve` under many users, and under hostile uploads.

> python benchmarks/serve_load.py MODEL_FOLDER WAV WAV ... [--seconds 60]

First each user's clip is answered alone. Then 20 users at once, half through
POST /v1/emotion and half through the page, ask about their own clip for a
minute: every answer must be the one from before. Then 300 malformed files,
names and requests through both; each must have a sentence for an answer and
leave nothing outside of the temporary folder. Memory is the server's own.
"""

import argparse
import io
import itertools
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import httpx
import numpy as np
import soundfile

USERS = 20
NAMES = (
    "../../evil.wav", "/etc/cron.d/evil.wav", "..\\..\\evil.wav", "a\nb.wav",
    "<img src=x onerror=alert(1)>.wav", "x.svg", "x.html", "x.py", "con.wav",
    "a" * 5000 + ".wav", ".bashrc", "录音\u202egpj.wav", "%2e%2e%2fevil.wav",
    "=cmd|' /C calc'!A0.wav", "", "a\x00.wav", "-rf.wav", "\U0001f600.wav",
)  # fmt: skip


def hostile():
    """(what it is, content, name, content type)."""
    tone = (0.3 * np.sin(np.arange(16000) / 9)).astype("f4")

    def sound(samples, form="WAV", rate=16000, **options):
        file = io.BytesIO()
        soundfile.write(file, samples, rate, format=form, **options)
        return file.getvalue()

    good = sound(tone)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.wav", bytes(50_000_000))
    floats = {
        "NaN": np.full(16000, np.nan, "f4"),
        "infinity": np.full(16000, np.inf, "f4"),
        "1e30": np.full(16000, 1e30, "f4"),
    }
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    contents = {
        "empty": b"",
        "text": b"no sound at all " * 20,
        "svg": svg,
        "html": b"<html><script>alert(1)</script></html>",
        "zip bomb": archive.getvalue(),
        "hours of silence in FLAC": sound(np.zeros(8000 * 3600), "FLAC", 8000),
        "no samples": sound(tone[:0]),
        "one sample": sound(tone[:1]),
        "silence": sound(0 * tone),
        "100 channels": sound(np.repeat(tone[:800, None], 100, 1)),
        "1 Hz": sound(tone[:100], rate=1),
        "huge rate": good[:24] + struct.pack("<I", 2**32 - 1) + good[28:],
        "rate 0": good[:24] + bytes(4) + good[28:],
        "no channels": good[:22] + bytes(2) + good[24:],
        "data of 4 GB": good[:40] + b"\xff\xff\xff\xff" + good[44:],
        "RIFF of 4 GB": good[:4] + b"\xff\xff\xff\xff" + good[8:],
        "chunk of 4 GB": good[:16] + b"\xff\xff\xff\xff" + good[20:],
        "too long": sound(np.tile(tone, 90)),
        "gzip": b"\x1f\x8b" + bytes(100),
        "a playlist": b"#EXTM3U\nfile:///etc/passwd\n",
        "ffmpeg's concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "pickle": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
        **{
            name: sound(samples, subtype="FLOAT")
            for name, samples in floats.items()
        },
        **{f"magic {m!r}": m + bytes(500) for m in (
            b"OggS", b"fLaC", b"ID3", b"\xff\xfb\x90", b"caff", b"FORM",
            b".snd", b"\x1a\x45\xdf\xa3", b"\0\0\0\x20ftyp", b"#!AMR", b"RF64",
        )},
    }  # fmt: skip
    random = np.random.default_rng(0)
    for form in ("WAV", "FLAC", "OGG", "MP3"):
        whole = sound(tone, form)
        for share in (0.01, 0.1, 0.5, 0.9):
            contents[f"{form} cut at {share}"] = whole[
                : int(share * len(whole))
            ]
        for number in range(12):
            broken = bytearray(whole)
            first = 64 if number % 2 else len(whole)
            for place in random.integers(0, first, 20):
                broken[place] = random.integers(256)
            contents[f"{form} broken {number}"] = bytes(broken)
    for name, content in contents.items():
        yield name, content, "a.wav", "audio/wav"
    for name in NAMES:
        yield f"name {name[:20]!r}", good, name, "audio/wav"
        yield f"no sound, name {name[:20]!r}", svg, name, "image/svg+xml"
    for kind in (
        "text/html",
        "image/svg+xml",
        "x" * 3000,
        "",
        "audio/x;q=\u00e9",
    ):
        yield f"type {kind[:20]!r}", good, "a.wav", kind


def memory(pid):
    """Bytes that are a process's own; pages of libraries come and go."""
    _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


class Server:
    """A server of its own folder, in which nothing else may appear."""

    def __init__(self, model, place):
        self.place = Path(place)
        (self.place / "here").mkdir()
        (self.place / "tmp").mkdir()
        self.log = open(self.place / "log", "w")
        root = str(Path(__file__).resolve().parents[1])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "speechbrain_c2ser.cli", "serve"]
            + ["--model", os.path.abspath(model), "--port", "0"]
            + ["--max-seconds", "60", "--max-mb", "5"],
            cwd=self.place / "here",
            env={**os.environ, "TMPDIR": str(self.place / "tmp"),
                 "HOME": str(self.place / "here"), "PYTHONPATH": root},
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )  # fmt: skip
        line = self.process.stdout.readline()
        self.address = re.search(r"http://[^/]+", line)[0]

    def strays(self):
        """Files outside of the server's own temporary folder."""
        own = next((self.place / "tmp").glob("c2ser-serve-*"))
        return [
            str(path.relative_to(self.place))
            for path in self.place.rglob("*")
            if path.is_file()
            and not path.is_relative_to(own)
            and path != self.place / "log"
        ]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class Programs:
    """Asks by POST /v1/emotion."""

    def __init__(self, address):
        self.address = address
        self.client = httpx.Client(timeout=120)

    def ask(self, content, name, kind):
        return self.client.post(
            f"{self.address}/v1/emotion", files={"file": (name, content, kind)}
        )

    def answer(self, path):
        found = self.ask(path.read_bytes(), path.name, "audio/wav").json()
        return found["path"], found["label"], round(found["score"], 4)

    def hostile(self, content, name, kind):
        found = self.ask(content, name, kind)
        return found.status_code, found.json().get("error", "an answer")


class Page:
    """Asks as the page's script does."""

    def __init__(self, address):
        self.address = f"{address}/gradio_api"
        self.client = httpx.Client(timeout=120)

    def upload(self, content, name, kind):
        return self.client.post(
            f"{self.address}/upload", files={"files": (name, content, kind)}
        )

    def listen(self, path, **more):
        data = [{"path": path, "meta": {"_type": "gradio.FileData"}, **more}]
        call = f"{self.address}/call/one"
        found = self.client.post(call, json={"data": [*data, 4.0, False, "en"]})
        if found.status_code != 200:
            return f"refused: {found.status_code} {found.text[:200]}"
        text = self.client.get(f"{call}/{found.json()['event_id']}").text
        last = text.strip().splitlines()[-1]
        if "event: error" in text:
            return f"refused: {last}"
        return json.loads(last.removeprefix("data: "))[0]

    def answer(self, path):
        stored = self.upload(path.read_bytes(), path.name, "audio/wav").json()
        return re.sub("<svg.*?</svg>", "", self.listen(stored[0]))

    def hostile(self, content, name, kind):
        found = self.upload(content, name, kind)
        if found.status_code != 200:
            return found.status_code, found.text[:200]
        html = self.listen(found.json()[0])
        alert = re.search('role="alert">(.*?)</p>', html)
        said = alert[1] if alert else html if "refused" in html else "an answer"
        return 422 if said != "an answer" else 200, said


def crowd(server, clips, seconds):
    kinds = [Programs, Page]
    users = [kinds[n % 2](server.address) for n in range(USERS)]
    clips = [clips[n % len(clips)] for n in range(USERS)]
    alone = [user.answer(clip) for user, clip in zip(users, clips, strict=True)]
    for user, clip in zip(users, clips, strict=True):
        user.answer(clip)
    counts, mistakes, errors, sizes = [0] * USERS, [], [], []
    end = time.time() + seconds

    def run(number):
        while time.time() < end:
            try:
                found = users[number].answer(clips[number])
            except Exception as error:
                errors.append(repr(error))
                continue
            counts[number] += 1
            if found != alone[number]:
                mistakes.append((number, alone[number], found))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(USERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sizes.append(memory(server.process.pid) / 1e6)
        time.sleep(1)
    parts = [
        sizes[len(sizes) * n // 6 : len(sizes) * (n + 1) // 6] for n in range(6)
    ]
    print(
        f"{USERS} users for {seconds:.0f} s: {sum(counts)} answers (each user "
        f"{min(counts)} to {max(counts)}), {len(errors)} errors, "
        f"{len(mistakes)} mixed up; memory of its own at most (MB), by sixths "
        f"of the time: {', '.join(f'{max(p, default=0):.0f}' for p in parts)}"
    )
    for line in [*errors[:3], *mistakes[:3]]:
        print("  ", str(line)[:300])


def attacks(server):
    """Requests that only an attacker sends; (what, status, answer)."""
    page, client = Page(server.address), httpx.Client(timeout=60)
    for path in (
        "/etc/passwd", "../../../etc/passwd", "file:///etc/passwd",
        str(server.place / "log"), "http://127.0.0.1:1/a.wav",
        "/proc/self/environ",
    ):  # fmt: skip
        yield f"path {path[:30]}", 422, page.listen(path)
        yield f"url {path[:30]}", 422, page.listen("x", url=path)
        found = client.get(f"{server.address}/gradio_api/file={path}")
        yield f"get {path[:30]}", found.status_code, found.text
    for body in (b"{", b"[]", b"null", b'{"data": []}', b"\xff" * 100):
        for place in ("call/one", "call/many", "run/predict", "queue/join"):
            found = client.post(
                f"{server.address}/gradio_api/{place}",
                content=body,
                headers={"content-type": "application/json"},
            )
            yield f"{place} {body[:12]!r}", found.status_code, found.text
    for body, kind in itertools.product(
        (b"", b"--x", b"--x\r\n\r\n", os.urandom(2000)),
        ("multipart/form-data", "multipart/form-data; boundary=x", "text/x"),
    ):
        found = client.post(
            f"{server.address}/v1/emotion",
            content=body,
            headers={"content-type": kind},
        )
        yield f"body {body[:8]!r} {kind}", found.status_code, found.text


def siege(server, clip):
    kinds, worst, wrong = {}, 0.0, []
    count, before = 0, memory(server.process.pid)
    cases = []
    for what, *case in hostile():
        for route in (Programs(server.address), Page(server.address)):
            cases.append((what, route, case))
    for what, route, case in cases:
        started = time.time()
        count += 1
        try:
            status, said = route.hostile(*case)
        except Exception as error:
            status, said = 0, repr(error)
        worst = max(worst, time.time() - started)
        kinds[status] = kinds.get(status, 0) + 1
        if (
            status == 0
            or said == "Internal Server Error"
            or len(said) < 8
            or "Traceback" in said
        ):
            wrong.append((type(route).__name__, what, status, said[:200]))
    for what, status, said in attacks(server):
        count += 1
        kinds[status] = kinds.get(status, 0) + 1
        leaks = "root:" in said or "c2ser-serve" in said or "PATH=" in said
        if leaks or "c2-view" in said or "Traceback" in said:
            wrong.append(("attack", what, status, said[:200]))
    alive = Programs(server.address).answer(clip)
    print(
        f"{count} hostile uploads and requests: by status "
        f"{dict(sorted(kinds.items()))}, longest {worst:.1f} s, memory "
        f"{before / 1e6:.0f} to {memory(server.process.pid) / 1e6:.0f} MB, "
        f"files outside: {server.strays() or 'none'}, then still {alive}"
    )
    for line in wrong:
        print("  ", line)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("wavs", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        server = Server(options.model, place)
        try:
            if options.seconds:
                crowd(server, options.wavs, options.seconds)
            siege(server, options.wavs[0])
            log = (server.place / "log").read_text()
            print(f"tracebacks in the log: {log.count('Traceback')}")
            for error in sorted(set(re.findall(r"^\S+Error\b.*", log, re.M))):
                print("  ", error[:200])
        finally:
            code = server.stop()
        rest = list((server.place / "tmp").iterdir())
        print(f"ended with {code}, left behind: {rest or 'nothing'}")


if __name__ == "__main__":
    main()
