"""One application of page and interface, and the process that serves it."""

import asyncio
import os
import signal
import socket
import tempfile
from contextlib import asynccontextmanager
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any

from speechbrain_c2ser.web.api import build_api
from speechbrain_c2ser.web.guards import Guard
from speechbrain_c2ser.web.listener import Listener
from speechbrain_c2ser.web.uploads import remove_old

SWEEP = 30.0  # seconds between looks at old uploads
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def check_extra() -> None:
    """Refuse to serve without the libraries of the extra.

    Raises
    ------
    ValueError
        Says how to install them.
    """
    if find_spec("gradio") is None:
        raise ValueError(
            "c2ser serve needs Gradio, which is not installed: pip install "
            "'speechbrain_c2ser[serve]'"
        )


def build_app(listener: Listener, folder: str, host: str = "127.0.0.1") -> Any:
    """Page and interface as one ASGI application.

    Arguments
    ---------
    listener : Listener
        The models.
    folder : str
        Of uploads and downloads; swept while the application runs.
    host : str
        Where it is served: on loopback, only requests to loopback's names
        are answered, so that no web page elsewhere can reach it by a name
        of its own.

    Returns
    -------
    callable
    """
    # Read by Gradio and the hub's library as they are imported.
    os.environ["GRADIO_TEMP_DIR"] = folder
    os.environ.setdefault("MPLCONFIGDIR", folder)  # its cache of fonts
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Times of the last calls, for a page of figures that is not served.
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio as gr
    from fastapi.middleware.trustedhost import TrustedHostMiddleware

    from speechbrain_c2ser.web.page import (
        build_page,
        forget_finished,
        style,
    )

    page = build_page(listener, folder)

    @asynccontextmanager
    async def swept(_):
        async def sweep():
            while True:
                await asyncio.sleep(SWEEP)
                remove_old(folder, listener.limits.kept)
                forget_finished(page)

        task = asyncio.create_task(sweep())
        yield
        task.cancel()

    app = build_api(listener, lifespan=swept)
    local = ["system-ui", "sans-serif"]
    app = gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=gr.themes.Default(font=local, font_mono=["monospace"]),
        css=style(),
        max_file_size=listener.limits.size,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        show_error=False,
        footer_links=[],
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )
    if is_loopback(host):
        app.add_middleware(
            TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, host]
        )
    return Guard(app, listener.limits, folder)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host's name or number.

    Arguments
    ---------
    host : str
        A name or number.

    Returns
    -------
    bool

    Example
    -------
    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    listener: Listener, host: str = "127.0.0.1", port: int = 7860
) -> None:
    """Serve until interrupted; then the uploads are gone.

    Arguments
    ---------
    listener : Listener
        The models.
    host : str
        Where to listen; loopback unless told.
    port : int
        0 takes a free one.

    Raises
    ------
    OSError
        When the place is taken.
    """
    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((host, port))
        except OSError as error:
            raise OSError(
                f"{host}:{port} cannot be served ({error.strerror}): give "
                "another --port or --host."
            ) from None
        # Asked to end, leave as after Ctrl-C: by way of the clearing up.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with tempfile.TemporaryDirectory(prefix="c2ser-serve-") as folder:
            # Whatever a library writes goes there too.
            tempfile.tempdir = folder
            config = uvicorn.Config(
                build_app(listener, folder, host),
                log_level="warning",
                timeout_graceful_shutdown=3,
                server_header=False,
            )
            shown = f"[{host}]" if ":" in host else host
            print(
                f"Page: http://{shown}:{place.getsockname()[1]}/ "
                "(programs: POST /v1/emotion; Ctrl-C ends it)",
                flush=True,
            )
            try:
                uvicorn.Server(config).run(sockets=[place])
            except KeyboardInterrupt:
                pass
            finally:
                tempfile.tempdir = None
