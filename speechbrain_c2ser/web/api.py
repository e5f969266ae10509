"""``POST /v1/emotion``: a recording in, the commands' JSON out."""

from typing import Any

from speechbrain_c2ser import __version__
from speechbrain_c2ser.audio import AudioError
from speechbrain_c2ser.timelines.schema import result_schema
from speechbrain_c2ser.web.limits import Busy, TooMuch
from speechbrain_c2ser.web.listener import Listener

FORM = "send a form (multipart/form-data) with one recording as `file`"
NO_FILE = f"There is no file with a name in the request: {FORM}."
PLACES = "This is none of POST /v1/emotion, GET /v1/models and GET /v1/schema"
# The first kind that an error is of gives the status.
STATUSES = ((TooMuch, 413), (Busy, 503), (AudioError, 422), (ValueError, 400))


def build_api(listener: Listener, **options) -> Any:
    """An application for programs.

    Arguments
    ---------
    listener : Listener
        The models.
    **options
        Of ``fastapi.FastAPI``.

    Returns
    -------
    fastapi.FastAPI
        Every error is ``{"error": "a sentence"}``.
    """
    from fastapi import (
        APIRouter,
        FastAPI,
        File,
        Query,
        Request,
        UploadFile,
    )
    from fastapi.exceptions import (
        RequestValidationError,
        StarletteHTTPException,
    )
    from fastapi.responses import JSONResponse

    from speechbrain_c2ser.web.form_options import FormOptions

    app = FastAPI(
        title="c2ser",
        version=__version__,
        # Their pages load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
        **options,
    )
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"description": name}
        for status, name in {
            400: "an option that cannot be",
            413: "too large or too long",
            422: "no usable recording",
            503: "too many are waiting",
        }.items()
    }

    router = APIRouter(route_class=FormOptions)

    @router.post("/v1/emotion", responses=refusals)
    def emotion(
        file: UploadFile = File(description="one recording"),  # noqa: B008
        model: str | None = Query(None, description="name; the first"),
        window: float = Query(4.0, description="seconds at a time"),
        hop: float | None = Query(None, description="seconds; the window"),
        words: bool = Query(False, description="style, content, reasoning"),
        language: str | None = Query(None, description="of the words"),
    ) -> dict:
        """Emotion of a recording, whole and over time."""
        asked = (model or listener.names[0], window, hop, words, language)
        listener.check(*asked)
        name, wave = listener.read(file.file, file.filename)
        return listener.answer(wave, name, *asked)

    app.include_router(router)

    @app.get("/v1/models")
    def models() -> list[dict]:
        """The models that can be asked."""
        return [
            {
                "name": name,
                "labels": list(model.labels),
                "words": listener.describes(name),
            }
            for name, model in listener.models.items()
        ]

    @app.get("/v1/schema")
    def schema() -> dict:
        """JSON schema of an answer."""
        return result_schema()

    @app.api_route(
        "/v1/{place:path}", methods=["GET", "POST"], include_in_schema=False
    )
    def nowhere(place: str):
        raise StarletteHTTPException(404, PLACES)

    def sentence(status, text):
        headers = {"retry-after": "60"} if status == 503 else None
        return JSONResponse({"error": text}, status, headers)

    async def refuse(request: Request, error: Exception):
        status = next(s for kind, s in STATUSES if isinstance(error, kind))
        return sentence(status, " ".join(str(error).split()))

    async def unreadable(request: Request, error: Exception):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        if place == "file":
            return sentence(400, NO_FILE)
        return sentence(
            400, f"{place or 'The request'}: {first['msg'].lower()}."
        )

    async def http_error(request: Request, error: Exception):
        detail = str(error.detail).rstrip(".")
        if error.status_code == 400:  # by the reader of forms
            return sentence(400, f"{detail}: {FORM}.")
        return sentence(error.status_code, f"{detail}.")

    for kind, _ in STATUSES:
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(StarletteHTTPException, http_error)
    return app
