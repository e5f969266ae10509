"""Options of a request in its form or in its address, each known and once."""

from urllib.parse import urlencode

from fastapi import Request
from fastapi.datastructures import QueryParams
from fastapi.routing import APIRoute

FILE = "file"
OPTIONS = ("model", "window", "hop", "words", "language")


class FormOptions(APIRoute):
    """A route whose options may be fields of the form, too.

    Clients of such interfaces send them beside the file. They go on as if
    they stood in the address. What is unknown or given twice is refused: it
    would be ignored, and its sender not know.

    Example
    -------
    >>> from fastapi import APIRouter
    >>> APIRouter(route_class=FormOptions).route_class.__name__
    'FormOptions'
    """

    def get_route_handler(self):
        """As FastAPI's, behind a look at the form."""
        answer = super().get_route_handler()

        async def handler(request: Request):
            if request.method == "POST":
                form = (await request.form()).multi_items()
                address = QueryParams(request.scope["query_string"])
                form = [pair for pair in form if pair[1] != ""]  # left blank
                given = [*address.multi_items(), *form]
                _check(given)
                options = [each for each in given if each[0] != FILE]
                query = urlencode(options).encode()
                request.scope["query_string"] = query
            return await answer(request)

        return handler


def _check(given):
    """Raise ValueError for what would be ignored."""
    known = ", ".join(OPTIONS)
    seen = set()
    for name, value in given:
        if name in seen and name == FILE:
            raise ValueError("There are two files: send one at a time.")
        if name in seen:
            raise ValueError(f"The option {name} is given twice: give one.")
        seen.add(name)
        if name == FILE:
            continue
        if name not in OPTIONS:
            raise ValueError(f"There is no option {name!r}: give {known}.")
        if not isinstance(value, str):
            raise ValueError(f"The option {name} is a file: send it as text.")
