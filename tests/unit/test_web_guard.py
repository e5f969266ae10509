"""What the guard lets through to Gradio: whose page asks, and for what."""

import asyncio
import json

import pytest

from speechbrain_c2ser.web.guards import Guard
from speechbrain_c2ser.web.limits import Limits

HOST = "127.0.0.1:7860"


def asked(folder, path, method="GET", host=HOST, **more):
    """(whether the application was reached, status) of a request."""
    reached, statuses = [], []

    async def app(scope, receive, send):
        reached.append(scope["path"])
        start = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        else:
            assert json.loads(message["body"])["error"]

    headers = {"host": host, **more.pop("headers", {})}
    pairs = [(k.encode(), v.encode()) for k, v in headers.items() if v]
    scope = {"type": "http", "path": path, "method": method}
    scope |= {"headers": pairs, **more}
    asyncio.run(Guard(app, Limits(), folder)(scope, receive, send))
    return bool(reached), statuses[0]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://evil.example/x.png",
        "/gradio_api/file=https://evil.example/x.png",
        "/gradio_api/file=HTTP://evil.example/x.png",
        "/gradio_api/file=//evil.example/x.png",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=etc/passwd",
        "/gradio_api/file=",
        "/gradio_api/file=FOLDER/../secret",
        "/gradio_api/file=FOLDER/link",
        "/gradio_api/file=FOLDER/a\0",
        "//gradio_api/file=http://evil.example/x.png",
        "/gradio_api//file=http://evil.example/x.png",
        "/x/../gradio_api/file=http://evil.example/x.png",
        "/GRADIO_API/file=http://evil.example/x.png",
        "/gradio_api/FILE=http://evil.example/x.png",
        "/gradio_api/%66ile=http://evil.example/x.png",
        "/gradio_api/file/http://evil.example/x.png",
        "/gradio_api/proxy=http://evil.hf.space/x.png",
        "/gradio_api/proxy=FOLDER/a.wav",
        "/gradio_api/stream/a/b/1/playlist-file",
        "/gradio_api/custom_component/a/server/b/c",
        "/gradio_api/run-history/records/a/b/assets/c",
        "/gradio_api/deep_link",
        "/gradio_api/vibe-code/",
        "/gradio_api/component_server",
        "/gradio_api/./file=http://evil.example/x.png",
    ],
)
def test_no_address_and_no_other_file_is_fetched(tmp_path, path, method):
    folder = tmp_path / "uploads"
    folder.mkdir()
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    path = path.replace("FOLDER", str(folder))
    reached, status = asked(folder, path, method)
    assert not reached and status in (403, 404)
    # Also where the server stands below a folder of a proxy's.
    assert not asked(folder, f"/c2{path}", method, root_path="/c2")[0]


@pytest.mark.parametrize(
    "place",
    ["file=FOLDER/录 音.wav", "file=FOLDER/x/emotions.csv", "queue/data"]
    + ["call/one/1", "heartbeat/a", "info", "startup-events", "theme.css"],
)
def test_what_the_page_itself_asks_for_is_answered(tmp_path, place):
    path = "/gradio_api/" + place.replace("FOLDER", str(tmp_path))
    for more in ({}, {"root_path": "/c2", "path": f"/c2{path}"}):
        more = {"path": path, **more}
        assert asked(tmp_path, **more) == (True, 200)


POSTED = ["/v1/emotion", "/gradio_api/upload", "/gradio_api/call/one"]
POSTED += ["/gradio_api/queue/join", "/gradio_api/cancel", "/elsewhere"]


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin, host",
    [
        ("http://evil.example", HOST),
        ("https://evil.example", HOST),
        ("null", HOST),
        ("http://127.0.0.1", HOST),  # another port
        ("http://127.0.0.1:8000", HOST),
        ("http://localhost:7860", HOST),
        ("http://127.0.0.1:7860.evil.example", HOST),
        ("http://evil.example/127.0.0.1:7860", HOST),
        ("file://", HOST),
        ("http://[", HOST),
        ("http://127.0.0.1:x", HOST),
        ("\u00e9", HOST),
        ("http://127.0.0.1:7860", None),
    ],
)
def test_pages_of_other_servers_ask_nothing(
    tmp_path, path, method, origin, host
):
    found = asked(tmp_path, path, method, host, headers={"origin": origin})
    assert found == (False, 403)


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize(
    "origin, host",
    [
        (None, HOST),  # a program
        ("http://127.0.0.1:7860", HOST),
        ("http://LocalHost:7860", "localhost:7860"),
        ("http://[::1]:7860", "[::1]:7860"),
        # Behind what speaks TLS, and usual ports.
        ("https://c2ser.example", "c2ser.example"),
        ("https://c2ser.example", "c2ser.example:443"),
        ("http://c2ser.example", "c2ser.example:80"),
        ("https://c2ser.example:8443", "c2ser.example:8443"),
    ],
)
def test_the_servers_own_page_and_programs_ask(tmp_path, path, origin, host):
    headers = {"origin": origin}
    found = asked(tmp_path, path, "POST", host, headers=headers)
    assert found == (True, 200)


def test_pages_of_other_servers_read_nothing(tmp_path):
    """Browsers show them no answer that does not name them."""
    headers = {"origin": "http://evil.example"}
    assert asked(tmp_path, "/", headers=headers) == (True, 200)
    sent = []

    async def app(scope, receive, send):
        allowed = [(b"Access-Control-Allow-Origin", b"http://evil.example")]
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [*allowed, (b"x-other", b"1")]})

    async def send(message):
        sent.extend(name for name, _ in message["headers"])

    scope = {"type": "http", "path": "/", "method": "GET", "headers": []}
    asyncio.run(Guard(app, Limits(), tmp_path)(scope, None, send))
    assert b"x-other" in sent
    assert not [name for name in sent if b"allow-origin" in name.lower()]
