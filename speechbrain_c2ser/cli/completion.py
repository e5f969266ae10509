"""``c2ser completion``: what the Tab key knows of the commands."""

import argparse
from collections.abc import Callable

SHELLS = ("bash", "zsh", "fish")
FILES = ("FILE", "PATH")


def add_completion(
    commands: argparse._SubParsersAction,
    build: Callable[[], argparse.ArgumentParser],
) -> None:
    """Add the command.

    Arguments
    ---------
    commands : argparse action
        Of ``add_subparsers``.
    build : callable
        ``() -> parser`` of all commands.
    """
    completion = commands.add_parser(
        "completion",
        help="what makes the Tab key complete, for a shell to read",
        description='bash: eval "$(c2ser completion bash)" in ~/.bashrc; '
        "zsh: c2ser completion zsh > FOLDER/_c2ser, of $fpath; "
        "fish: c2ser completion fish > ~/.config/fish/completions/c2ser.fish",
    )
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(run=lambda options: _complete(options, build()))


def _complete(options, parser):
    import shtab

    for action in _actions(parser):
        if action.metavar in FILES:
            action.complete = shtab.FILE
        elif action.metavar == "FOLDER" or action.dest == "model":
            action.complete = shtab.DIRECTORY
    print(shtab.complete(parser, options.shell))


def _actions(parser):
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
