"""The page and ``POST /v1/emotion``: answers, limits, names, errors."""

import asyncio
import csv
import io
import json
import os
import re
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.inference import opening, pretrained
from speechbrain_c2ser.inference.file_classifier import FileClassifier
from speechbrain_c2ser.inference.results import (
    DescribedWindow,
    Description,
    FileResult,
)
from speechbrain_c2ser.timelines.schema import result_schema
from speechbrain_c2ser.web import server
from speechbrain_c2ser.web.downloads import write_downloads
from speechbrain_c2ser.web.guards import Guard
from speechbrain_c2ser.web.limits import Busy, Limits, TooMuch
from speechbrain_c2ser.web.listener import Listener
from speechbrain_c2ser.web.page import Page
from speechbrain_c2ser.web.texts import CHINESE, ENGLISH
from speechbrain_c2ser.web.uploads import (
    plain_name,
    read_upload,
    remove_old,
    stored_bytes,
)
from speechbrain_c2ser.web.views import result_view, table_view

LABELS = ["angry", "happy", "<b>odd</b>"]


class Loudness(FileClassifier):
    """The louder, the angrier."""

    labels = LABELS

    def __init__(self):
        super().__init__(torch.nn.Linear(1, 1), {}, {"device": "cpu"})

    def names_of(self, language=None):
        return self.labels

    def classify_batch(self, wavs, wav_lens=None, language=None):
        loud = wavs.abs().amax(-1).clamp(0, 1)
        return (torch.stack([loud, 0.75 * (1 - loud), 0.25 * (1 - loud)], -1),)


class Speaking(Loudness):
    """Also in words, with markup in them."""

    def describe_files(self, audios, batch_size, window, hop, **options):
        for row in self.iter_files(audios, batch_size, window, hop):
            parts = [
                Description(
                    "<script>he sounds</script>",
                    {"pitch": "high"},
                    "hello & bye",
                    w.label,
                    dict(zip(LABELS, w.probabilities.tolist(), strict=True)),
                )
                for w in row.result.windows
            ]
            windows = tuple(
                DescribedWindow(w.start, w.stop, part)
                for w, part in zip(row.result.windows, parts, strict=True)
            )
            whole = vars(parts[0]) | {"windows": windows}
            yield FileResult(row.path, Description(**whole))


def sound(gain=0.5, seconds=1.0, rate=16000, form="WAV", channels=1):
    time_ = np.arange(int(seconds * rate)) / rate
    wave = gain * np.sin(2 * np.pi * 220 * time_)
    file = io.BytesIO()
    wave = np.repeat(wave[:, None], channels, 1)
    soundfile.write(file, wave, rate, format=form)
    return file.getvalue()


@pytest.fixture
def listener():
    limits = Limits(size=2_000_000, seconds=10, files=3, waiting=2)
    return Listener({"one": Loudness(), "two": Speaking()}, limits)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def client(folder):
    """The whole application: interface, page and guard."""
    pytest.importorskip("gradio", reason="the extra `serve` is not installed")
    from starlette.testclient import TestClient

    limits = Limits(size=2_000_000, seconds=10, files=3)
    listener = Listener({"one": Loudness(), "two": Speaking()}, limits)
    app = server.build_app(listener, str(folder))
    with TestClient(app, base_url="http://127.0.0.1") as found:
        yield found


def post(client, content, name="a.wav", **query):
    files = {"file": (name, content, "audio/wav")}
    return client.post("/v1/emotion", files=files, params=query)


def test_an_answer_is_what_the_schema_says(client):
    jsonschema = pytest.importorskip("jsonschema")
    for query in ({}, {"model": "two", "words": True}):
        found = post(client, sound(), "../../x y.wav", **query)
        assert found.status_code == 200, found.text
        jsonschema.validate(found.json(), result_schema())
        assert found.json()["path"] == "x y.wav"
        assert found.json()["model"] == query.get("model", "one")
    assert found.json()["content"] == "hello & bye"
    assert client.get("/v1/schema").json() == result_schema()
    names = [(m["name"], m["words"]) for m in client.get("/v1/models").json()]
    assert names == [("one", False), ("two", True)]


@pytest.mark.parametrize(
    "form, channels", [("FLAC", 2), ("OGG", 1), ("WAV", 8)]
)
def test_any_format_is_told_by_its_content(client, form, channels):
    content = sound(0.9, form=form, channels=channels)
    assert post(client, content, "song.svg").json()["label"] == "angry"


@pytest.mark.parametrize(
    "content, said, status",
    [
        (b"", "empty", 422),
        (b"just a text", "no audio format", 422),
        (b"PK\x03\x04" + bytes(100), "ZIP", 422),
        (sound()[:30], "a.wav", 422),
        (sound(seconds=0), "a.wav", 422),
        (sound(0.0), "silence", 422),
        (sound(seconds=0.01), "10 ms", 422),
        (sound(seconds=11), "longer than 10 s", 413),
        (sound(channels=100, seconds=0.2), "100 channels", 413),
        (bytes(2_000_001), "2.0 MB|1.9 MB", 413),
        (bytes(2_100_000), "too large", 413),
    ],
)  # fmt: skip
def test_what_is_refused_has_one_sentence(client, content, said, status):
    found = post(client, content)
    assert found.status_code == status, found.text
    assert re.search(said, found.json()["error"])
    assert "\n" not in found.json()["error"]


@pytest.mark.parametrize(
    "query, said",
    [
        ({"model": "three"}, "one, two"),
        ({"window": 0}, "window"),
        ({"window": "nan"}, "window"),
        ({"window": "x"}, "window"),
        ({"window": 4, "hop": 0.01}, "0.01 s"),
        ({"window": 1, "hop": 2}, "hop"),
        ({"words": True}, "classifier"),
        ({"language": "Klingon"}, "Klingon"),
    ],
)
def test_options_that_cannot_be(client, query, said):
    found = post(client, sound(), **query)
    assert found.status_code == 400 and said in found.json()["error"]


def test_options_may_stand_in_the_form(client):
    def ask(data=(), **query):
        files = {"file": ("a.wav", sound(seconds=2), "audio/wav")}
        found = client.post(
            "/v1/emotion", files=files, data=dict(data), params=query
        )
        return found.json()

    told = ask(model="two", window=0.5, words=True)
    assert len(told["windows"]) == 4 and "he sounds" in str(told)
    fields = {"model": "two", "window": "0.5", "words": "true"}
    assert ask(fields) == ask(fields.items(), language="en") == told
    assert ask({**fields, "language": ""}) == told  # left blank
    assert ask({"windw": "2"})["error"] == ask(windw=2)["error"]
    assert "no option 'windw': give model, window" in ask(windw=2)["error"]
    assert "window is given twice" in ask({"window": "2"}, window=2)["error"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["file", "file"], "two files: send one"),
        (["file", "window"], "window is a file"),
    ],
)
def test_a_form_of_two_files_is_refused(client, names, said):
    files = [(name, ("a.wav", sound(), "audio/wav")) for name in names]
    found = client.post("/v1/emotion", files=files)
    assert found.status_code == 400 and said in found.json()["error"]


def test_other_places_tell_of_those_that_are_there(client):
    options = {"data": {"response_format": "json"}}
    for found in (
        client.get("/v1/emotion"),
        client.post("/v1/audio/transcriptions", **options),
    ):
        assert found.status_code == 404
        assert "POST /v1/emotion" in found.json()["error"]


def test_every_number_of_loopback_is_answered(listener, tmp_path):
    pytest.importorskip("gradio", reason="the extra `serve` is not installed")
    from starlette.testclient import TestClient

    app = server.build_app(listener, str(tmp_path), "127.0.0.2")
    client = TestClient(app, base_url="http://127.0.0.2")
    assert client.get("/v1/models").status_code == 200


def test_requests_without_a_file(client):
    for options in ({}, {"content": b"x"}, {"data": {"file": "text"}}):
        found = client.post("/v1/emotion", **options)
        assert found.status_code == 400
        assert "recording as `file`" in found.json()["error"]
    found = client.post(
        "/v1/emotion",
        content=b"--x\r\nbroken",
        headers={"content-type": "multipart/form-data"},
    )
    assert found.status_code == 400
    assert "recording as `file`" in found.json()["error"]


def test_a_body_without_a_length_is_counted(client):
    def parts():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; '
        yield b'filename="a.wav"\r\n\r\n'
        for _ in range(30):
            yield bytes(100_000)
        yield b"\r\n--x--\r\n"

    found = client.post(
        "/v1/emotion",
        content=parts(),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert found.status_code == 413 and "too large" in found.json()["error"]


def test_no_other_host_is_answered_or_loaded(client):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    page = client.get("/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http" not in policy
    assert "fonts.googleapis" not in page.text
    assert '"analytics_enabled":false' in page.text.replace(" ", "")


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/file=/etc/passwd", "/gradio_api/file=../../etc/passwd"]
    + ["/file=/etc/passwd", "/static/../../setup.py", "/docs", "/redoc"],
)
def test_paths_outside_are_refused(client, path):
    found = client.get(path)
    assert found.status_code in (403, 404), (path, found.status_code)
    assert "root:" not in found.text


def ask_page(client, path, **more):
    """What the page answers of a place, as its script would ask."""
    data = {"path": str(path), "meta": {"_type": "gradio.FileData"}, **more}
    asked = client.post(
        "/gradio_api/call/one", json={"data": [data, 4.0, False, "en"]}
    )
    if asked.status_code != 200:
        return asked
    event = asked.json()["event_id"]
    return client.get(f"/gradio_api/call/one/{event}")


def test_the_page_hears_uploads_alone(client, folder, tmp_path):
    """Gradio would copy any file of the server, or fetch it from another."""
    (tmp_path / "secret.wav").write_bytes(sound())
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    for path in (
        tmp_path / "secret.wav", f"{folder}/../{tmp_path.name}/secret.wav",
        folder / "link.wav", "secret.wav", "http://example.com/a.wav",
        f"{folder}/a\0.wav", 3,
    ):  # fmt: skip
        found = ask_page(client, path)
        assert found.status_code == 403, path
        assert found.json()["error"].endswith("upload it.")
    files = {"files": ("my call.wav", sound(), "audio/wav")}
    (stored,) = client.post("/gradio_api/upload", files=files).json()
    assert "c2-view" in ask_page(client, stored).text
    found = client.get(f"/gradio_api/file={stored}")
    assert found.status_code == 200 and found.content == sound()
    os.remove(stored)
    said = ask_page(client, stored).text
    assert "my call.wav is no longer here" in said and str(folder) not in said


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff", b"[" * 99999])
def test_a_page_is_asked_by_an_object(client, body):
    found = client.post("/gradio_api/call/one", content=body)
    assert found.status_code == 400 and "JSON object" in found.json()["error"]


def test_a_message_of_the_page_shows_no_place(client, folder):
    files = {"files": ("call.wav", b"#!AMR" + bytes(500), "audio/wav")}
    (stored,) = client.post("/gradio_api/upload", files=files).json()
    said = ask_page(client, stored).text
    assert "call.wav" in said and str(folder) not in said


def test_what_a_library_trips_over_has_a_sentence(tmp_path):
    """Whether it raises, or answers with words of its own."""
    start = {"type": "http.response.start", "status": 500, "headers": []}
    body = {"type": "http.response.body", "body": b"Internal Server Error"}

    async def raising(scope, receive, send):
        raise KeyError("x")

    async def telling(scope, receive, send):
        await send(start)
        await send(body)
        raise KeyError("x")

    for app in (raising, telling):
        sent = []

        async def send(message, sent=sent):
            sent.append(message)

        scope = {"type": "http", "path": "/x", "headers": []}
        asyncio.run(Guard(app, Limits(), tmp_path)(scope, None, send))
        assert [m.get("status") for m in sent] == [500, None]
        assert b"log" in json.loads(sent[1]["body"])["error"].encode()


def test_a_full_store_takes_no_more(client, folder, monkeypatch):
    monkeypatch.setattr(
        "speechbrain_c2ser.web.guards.stored_bytes", lambda _: 1 << 40
    )
    assert post(client, sound()).status_code == 507


def test_the_page_asks_every_model(listener, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(sound(0.9, 6))
    first, second = Page(listener, tmp_path).one(str(path), 4.0, True, "zh")
    assert "生气 (angry)" in first and "hello" not in first
    assert "hello &amp; bye" in second and "<script>" not in second
    assert "&lt;b&gt;odd" in first and "<b>odd" not in first
    buttons = re.findall(r'data-start="([\d.]+)" data-end="([\d.]+)"', second)
    assert buttons == [("0.0", "2.0"), ("2.0", "6.0")]
    assert "left:33.333%" in second and "opacity:0.9" in second
    for path in (None, tmp_path / "gone.wav"):
        found = Page(listener, tmp_path).one(path and str(path), 4.0, 0, "en")
        assert 'role="alert"' in found[0] and found[1] == ""


def test_windows_overlap_but_words_do_not(listener, tmp_path, monkeypatch):
    path, asked = tmp_path / "a.wav", []
    path.write_bytes(sound())
    monkeypatch.setattr(listener, "answer", lambda *given: asked.append(given))
    Page(listener, tmp_path).one(str(path), 4.0, True, "en")
    # (model, window, hop, words)
    assert [given[2:] for given in asked] == [
        ("one", 4.0, 2.0, False), ("two", 4.0, 4.0, True)
    ]  # fmt: skip


def test_one_model_gives_one_view(tmp_path):
    pytest.importorskip("gradio", reason="the extra `serve` is not installed")
    from speechbrain_c2ser.web.page import build_page

    blocks = build_page(Listener({"one": Loudness()}), tmp_path)
    (ask,) = [f.fn for f in blocks.fns.values() if f.api_name == "one"]
    assert "alert" in ask(None, 4.0, False, "en")  # a text, no list
    # Each visitor's state is kept: not of ten thousand, as Gradio would.
    assert blocks.state_session_capacity <= 200


def test_sessions_that_are_done_leave_nothing(tmp_path, monkeypatch):
    pytest.importorskip("gradio", reason="the extra `serve` is not installed")
    from starlette.testclient import TestClient

    from speechbrain_c2ser.web import page

    pages, forget = [], page.forget_finished
    monkeypatch.setattr(server, "SWEEP", 0.01)
    monkeypatch.setattr(
        page, "forget_finished", lambda it: pages.append(it) or forget(it)
    )
    listener = Listener({"one": Loudness()})
    app = server.build_app(listener, str(tmp_path))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for _ in range(3):
            data = {"data": [None, 4.0, False, "en"]}
            asked = client.post("/gradio_api/call/one", json=data)
            path = f"/gradio_api/call/one/{asked.json()['event_id']}"
            assert "alert" in client.get(path).text
        # One whose answer nobody has fetched yet stays.
        client.post("/gradio_api/call/one", json=data)
        queue = pages[0]._queue
        end = time.time() + 30
        while len(queue.pending_event_ids_session) > 1 and time.time() < end:
            time.sleep(0.02)
        kept = (
            queue.pending_event_ids_session,
            queue.pending_messages_per_session,
        )
        counts = [len(each) for each in kept]
    assert counts == [1, 1]
    assert queue.ANALYTICS_MAX_EVENTS <= 1000


def test_many_recordings_are_a_table_and_files(listener, tmp_path):
    pytest.importorskip("praatio")
    for name, content in (
        ("a.wav", sound(0.9)), ("录.wav", sound(0.1)), ("bad.wav", b"x")
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
    page = Page(listener, tmp_path)
    paths = [str(tmp_path / n) for n in ("a.wav", "bad.wav", "录.wav")]
    html, table, listed, grids = page.many(paths, "one", 4.0, False, "en")
    assert "2 done, 1 failed" in html and html.count("<tr>") == 4
    with open(table, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["path"] for r in rows] == ["a.wav", "录.wav"]
    assert [r["label"] for r in rows] == ["angry", "happy"]
    assert len(json.loads(open(listed, encoding="utf-8").read())) == 2
    with zipfile.ZipFile(grids) as archive:
        assert archive.namelist() == ["a.TextGrid", "录.TextGrid"]
    assert "at most 3" in page.many([*paths, "x"], "one", 4, 0, "en")[0]
    assert write_downloads([], tmp_path) == [None, None, None]


def test_an_unexpected_error_shows_nothing_of_the_server(
    listener, tmp_path, monkeypatch
):
    def fail(*_):
        raise KeyError("/secret/place")

    monkeypatch.setattr(listener, "read", fail)
    (found, _) = Page(listener, tmp_path).one("a.wav", 4, False, "en")
    assert "secret" not in found and "server" in found


def test_names_of_uploads():
    assert plain_name("a/b\\c\u202e.wav") == "c.wav"
    assert plain_name("=1+1.wav") == "_1+1.wav"
    assert plain_name("...") == plain_name("\x00") == "recording"
    long = plain_name("é" * 300 + ".wav")
    assert len(long) == 100 and long.endswith(".wav")


def test_a_recording_is_decoded_no_further_than_allowed(tmp_path, monkeypatch):
    """Hours of silence pack into a few kilobytes."""
    path = tmp_path / "a.flac"
    path.write_bytes(sound(0.0, 400, 8000, "FLAC"))
    from speechbrain_c2ser.web import uploads

    counts, decode = [], uploads.decode

    class Counting:
        def __init__(self, *words):
            self.opened = decode(*words)

        def __enter__(self):
            decoder = self.opened.__enter__()
            self.blocks_of = decoder.blocks
            self.rate, self.channels = decoder.rate, decoder.channels
            return self

        def __exit__(self, *error):
            return self.opened.__exit__(*error)

        def blocks(self):
            for block in self.blocks_of():
                counts.append(len(block))
                yield block

    monkeypatch.setattr(uploads, "decode", Counting)
    with pytest.raises(TooMuch, match="longer than 1 s"):
        read_upload(path, "a.flac", Limits(seconds=1))
    assert sum(counts) < 200 * 8000


def test_old_uploads_are_removed(tmp_path):
    old, new = tmp_path / "x/old.wav", tmp_path / "y/new.wav"
    for path in (old, new):
        path.parent.mkdir()
        path.write_bytes(b"123")
    os.utime(old, (time.time() - 100,) * 2)
    assert stored_bytes(tmp_path) == 6
    assert remove_old(tmp_path, 50) == 1
    assert not old.parent.exists() and new.exists()


def test_too_many_waiting(listener):
    wave = torch.rand(16000)
    listener._waiting = 2
    with pytest.raises(Busy, match="again"):
        listener.answer(wave, "a.wav")
    listener._waiting = 0
    with pytest.raises(AudioError):
        listener.answer(torch.zeros(16000), "a.wav")
    assert listener._waiting == 0  # an error gives its place back


def test_everything_is_computed_in_one_thread(listener, monkeypatch):
    """Each thread would keep the memory of its largest batch."""
    threads = []
    heard = Loudness.classify_batch

    def classify_batch(self, wavs, wav_lens=None):
        threads.append(threading.current_thread().name)
        return heard(self, wavs, wav_lens)

    monkeypatch.setattr(Loudness, "classify_batch", classify_batch)
    with ThreadPoolExecutor(2) as users:
        waves = [torch.rand(16000) for _ in range(2)]
        list(users.map(listener.answer, waves, ["a.wav", "b.wav"]))
    assert threads == ["listener_0"] * 2
    assert listener._waiting == 0


def test_views_in_both_languages(listener):
    assert ENGLISH.keys() == CHINESE.keys()
    for name, text in ENGLISH.items():
        fields = re.findall(r"{(\w+)", text)
        assert sorted(re.findall(r"{(\w+)", CHINESE[name])) == sorted(fields)
    wave = torch.rand(16000)
    record = listener.answer(wave, "<i>.wav")
    odd = result_view(record | {"label": LABELS[2]}, wave)
    assert "<b>odd" not in odd and "&lt;b&gt;odd" in odd
    assert "时间线" in result_view(record, wave, "zh")
    assert "&lt;i&gt;.wav" in table_view([("<i>.wav", record)])


def test_a_missing_extra_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(server, "find_spec", lambda _: None)
    assert main(["serve", "--model", "m"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "[serve]" in error


@pytest.mark.parametrize(
    "words", [["--port", "70000"], ["--max-mb", "0"], ["--max-files", "0"]]
)
def test_options_of_the_command(words, monkeypatch, capsys):
    monkeypatch.setattr(server, "find_spec", lambda _: True)
    assert main(["serve", "--model", "m", *words]) == 2
    assert words[0] in capsys.readouterr().err


def test_every_model_is_loaded_in_the_precision_asked_for(monkeypatch, capsys):
    loads = []

    def loaded(source, run_opts):
        loads.append((source, run_opts))
        return Loudness()

    monkeypatch.setattr(server, "find_spec", lambda _: True)
    monkeypatch.setattr(server, "serve", lambda *_: None)
    monkeypatch.setattr(opening, "open_classifier", loaded)
    monkeypatch.setattr(pretrained, "processor_has", lambda _: True)
    command = ["serve", "--model", "a", "--model", "b", "--device", "cpu"]
    assert main([*command, "--precision", "int8"]) == 0
    run_opts = {"device": "cpu", "precision": "int8"}
    assert loads == [("a", run_opts), ("b", run_opts)]
    monkeypatch.setattr(pretrained, "processor_has", lambda _: False)
    assert main([*command, "--precision", "int8"]) == 2
    assert "no instructions for int8" in capsys.readouterr().err
    assert len(loads) == 2


def test_a_place_that_is_taken(listener):
    pytest.importorskip("uvicorn")
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f":{port} cannot be served"):
            server.serve(listener, port=port)
