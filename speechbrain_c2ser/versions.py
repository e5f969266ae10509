"""Versions of installed packages."""

from collections.abc import Iterable
from importlib import metadata


def version_of(name: str) -> str | None:
    """Version of an installed distribution; None where there is none.

    Example
    -------
    >>> version_of("no-such-package") is None
    True
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Package -> version, of those that are installed.

    Example
    -------
    >>> list(versions_of(["torch", "no-such-package"]))
    ['torch']
    """
    known = {name: version_of(name) for name in names}
    return {name: version for name, version in known.items() if version}
