"""What stands before every request: its size, its files, its headers."""

import json
import logging
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from speechbrain_c2ser.web.limits import MEGABYTE, Limits
from speechbrain_c2ser.web.uploads import stored_bytes

# Nothing from other hosts is loaded, and no other page frames ours. Gradio
# writes its settings into the page as a script and evaluates templates.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' "
    "blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' "
    "data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri "
    "'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
FAILED = "This request cannot be used; the server's log says why."
ROOM = 64 * 1024  # bytes around the files of a request
PREFIX = "gradio_api"
FILE = "file="
UPLOADS = ("/v1/emotion", "/gradio_api/upload")
STRANGE = "Only what was uploaded to this page can be asked about: upload it."
FOREIGN = (
    "The request comes from a web page of another address: use the page of "
    "this server itself; what stands before the server has to pass on the Host "
    "that it was asked for, with its port."
)
NOWHERE = (
    f"There is no such place below /{PREFIX}: programs ask POST /v1/emotion."
)
UNREADABLE = "The request is no JSON object: ask by POST /v1/emotion."
# What the page and Gradio's clients ask for below the prefix; the rest, such
# as Gradio's proxy of other hosts, is nobody's here.
ASKED = frozenset(
    "api app_id call cancel heartbeat info login_check queue reset run "
    "startup-events theme.css upload upload_progress".split()
)
PORTS = {"http": 80, "https": 443}
logger = logging.getLogger(__name__)


class Guard:
    """ASGI middleware: refuses what is too large, adds headers to the rest.

    Arguments
    ---------
    app : callable
        The ASGI application.
    limits : Limits
        Of uploads.
    folder : str | Path
        Where uploads are stored.
    """

    def __init__(self, app: Any, limits: Limits, folder: str | Path):
        self.app, self.limits, self.folder = app, limits, folder

    async def __call__(self, scope, receive, send):
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # What only reads is left to browsers: they show it to no other page.
        if scope.get("method") not in ("GET", "HEAD") and _is_foreign(scope):
            await _refuse(send, 403, FOREIGN)
            return
        refusal = self._place_refused(scope)
        if refusal:
            await _refuse(send, *refusal)
            return
        most = self._most(scope["path"])
        count, started, failed = 0, False, False

        async def send_with_headers(message):
            nonlocal started, failed
            failed = failed or (not started and message.get("status") == 500)
            if failed or (count > most and not started):
                return  # a library's word for it; ours follows
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": _with_ours(message)}
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            await _refuse(send, 413, _too_large(most))
            return
        if scope["path"].startswith(UPLOADS) and (
            stored_bytes(self.folder) > self.limits.stored
        ):
            await _refuse(
                send,
                507,
                "No room for uploads: try again in a quarter of an hour.",
            )
            return

        async def receive_counted():
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > most:
                raise _Overflow
            return message

        receive_checked = receive_counted
        try:
            if scope["path"].startswith("/gradio_api/") and (
                scope["method"] == "POST"
                and not scope["path"].startswith(UPLOADS)
            ):
                receive_checked, refusal = await self._looked_at(
                    receive_counted
                )
                if refusal:
                    await _refuse(send, *refusal)
                    return
            await self.app(scope, receive_checked, send_with_headers)
        except _Overflow:
            pass
        except Exception:
            if started:
                raise
            failed = True
            logger.exception("a request failed")
        if failed and count <= most:
            await _refuse(send, 500, FAILED)
        if count > most and not started:
            await _refuse(send, 413, _too_large(most))

    async def _looked_at(self, receive):
        """A page's request, to be read once more; or why it is refused.

        Gradio copies a file that a request names into its own folder before
        the page sees it, from anywhere, and fetches what lies elsewhere.
        """
        message = await receive()
        body, more = message.get("body", b""), message.get("more_body")
        while more:
            part = await receive()
            body += part.get("body", b"")
            more = part.get("more_body")
        first = [{**message, "body": body, "more_body": False}]

        async def again():
            return first.pop() if first else await receive()

        try:
            asked = json.loads(body)
            if not isinstance(asked, dict):
                raise ValueError
            paths = list(_paths_in(asked))
        except (ValueError, RecursionError):
            return again, (400, UNREADABLE)
        if all(_lies_in(path, self.folder) for path in paths):
            return again, None
        return again, (403, STRANGE)

    def _place_refused(self, scope):
        """Why a place is refused; None for a page's own and uploaded files.

        Gradio fetches an address and hands it on, as if it were our page's.
        """
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        parts = [part for part in path.split("/") if part]
        names = [part.casefold() for part in parts]
        if PREFIX not in names:
            return None
        asked = parts[names.index(PREFIX) + 1 :]
        if not asked or asked[0] in ASKED:
            return None
        # Only as Gradio itself writes it, so that both read the same name.
        begin = f"/{PREFIX}/{FILE}"
        if not path.startswith(begin):
            return 404, NOWHERE
        if _lies_in(path[len(begin) :], self.folder):
            return None
        return 403, STRANGE

    def _most(self, path):
        if path.startswith("/v1/"):
            return self.limits.size + ROOM
        if path.startswith("/gradio_api/upload"):
            return self.limits.files * (self.limits.size + ROOM)
        return MEGABYTE


def _is_foreign(scope):
    """Whether a browser says that another server's page asks."""
    told: dict[bytes, set[bytes]] = {b"origin": set(), b"host": set()}
    for name, value in scope["headers"]:
        if name.lower() in told:
            told[name.lower()].add(value)
    hosts = told[b"host"]
    return any(
        len(hosts) != 1 or not _is_same(origin, *hosts)
        for origin in told[b"origin"]
    )


def _is_same(origin, host):
    """Whether an origin is of that host and port; "null" is of none."""
    try:
        page = urlsplit(origin.decode("ascii"))
        asked = urlsplit(f"//{host.decode('ascii')}")
        port = PORTS[page.scheme]
        ends = [(e.hostname, e.port or port) for e in (page, asked)]
    except (KeyError, ValueError):  # no such scheme; no text or port
        return False
    return bool(page.hostname) and ends[0] == ends[1]


def _paths_in(value):
    """All that Gradio would take for a file's place."""
    if isinstance(value, dict):
        if value.get("path") is not None:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _paths_in(part)


def _lies_in(path, folder):
    try:
        place = os.path.realpath(path)
    except (TypeError, ValueError):  # no text; a zero byte
        return False
    return os.path.isabs(path) and Path(place).is_relative_to(
        os.path.realpath(folder)
    )


class _Overflow(Exception):
    """More came than was announced."""


def _too_large(most):
    return f"The request is too large: at most {most / MEGABYTE:.0f} MB."


def _with_ours(message):
    ours = {key.encode() for key in HEADERS}
    # Gradio lets pages of others read what they get, where it is no localhost.
    others = [
        (name, value)
        for name, value in message["headers"]
        if name.lower() not in ours
        and not name.lower().startswith(b"access-control-")
    ]
    return [*others, *((k.encode(), v.encode()) for k, v in HEADERS.items())]


async def _refuse(send, status, sentence):
    body = json.dumps({"error": sentence, "detail": sentence}).encode()
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ],
    }
    await send({**start, "headers": _with_ours(start)})
    await send({"type": "http.response.body", "body": body})
