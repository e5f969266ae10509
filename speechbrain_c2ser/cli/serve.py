"""``c2ser serve``: the web page and the interface for programs."""

import argparse

from speechbrain_c2ser.cli.computation import (
    add_computation,
    check_computation,
    run_opts_of,
)
from speechbrain_c2ser.cli.terminal import quiet_libraries


def add_serve(commands: argparse._SubParsersAction) -> None:
    """Add the command that serves.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    """
    serve = commands.add_parser(
        "serve",
        help="a web page, and POST /v1/emotion for programs",
        description="Needs pip install 'speechbrain_c2ser[serve]'.",
    )
    serve.set_defaults(run=_serve)
    serve.add_argument(
        "--model",
        required=True,
        action="append",
        metavar="FOLDER",
        help="model folder or hub id; again for a second one beside it",
    )
    add_computation(serve)
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="where to listen (default: this machine only)",
    )
    serve.add_argument(
        "--port", type=int, default=7860, help="default: %(default)d"
    )
    serve.add_argument(
        "--max-mb",
        type=float,
        default=50,
        metavar="N",
        help="size of a recording's file (default: %(default)g)",
    )
    serve.add_argument(
        "--max-seconds",
        type=float,
        default=600,
        metavar="S",
        help="length of a recording (default: %(default)g)",
    )
    serve.add_argument(
        "--max-files",
        type=int,
        default=50,
        metavar="N",
        help="recordings at once (default: %(default)d)",
    )


def _serve(options):
    from speechbrain_c2ser.inference.options import check_number
    from speechbrain_c2ser.web.limits import MEGABYTE, Limits
    from speechbrain_c2ser.web.server import check_extra, serve

    check_extra()
    check_computation(options)
    check_number("--port", options.port, 0, 65535, whole=True)
    check_number("--max-mb", options.max_mb, 0.001)
    check_number("--max-seconds", options.max_seconds, 0.1)
    check_number("--max-files", options.max_files, 1, whole=True)
    limits = Limits(
        size=int(options.max_mb * MEGABYTE),
        seconds=options.max_seconds,
        files=options.max_files,
    )

    from speechbrain_c2ser.inference.opening import open_classifier
    from speechbrain_c2ser.web.listener import Listener, short_names

    quiet_libraries()
    run_opts = run_opts_of(options)
    models = [open_classifier(m, run_opts=run_opts) for m in options.model]
    names = short_names(options.model)
    listener = Listener(dict(zip(names, models, strict=True)), limits)
    serve(listener, options.host, options.port)
