"""Files of a Hugging Face model folder, checked before they are loaded."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

LFS = b"version https://git-lfs"


def check_pretrained(source: str | Path) -> None:
    """Refuse a damaged or incomplete model folder by the file that is.

    Arguments
    ---------
    source : str | Path
        A folder of config.json, tokenizer files and weights; what is no
        local folder (a name on a hub) passes.

    Raises
    ------
    ValueError
        Names the file that cannot be read, or the shard that is missing.

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> _ = (folder / "config.json").write_text('{"hidden')
    >>> check_pretrained(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: ...config.json is damaged and cannot be read: ...
    """
    folder = Path(source)
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("*.json")):
        content = _json(path)
        if path.name.endswith(".index.json"):
            _check_shards(content, path)
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(_damaged(path, error)) from error


def _json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(_damaged(path, error)) from error


def _check_shards(content, path):
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict):
        raise ValueError(_damaged(path, "it has no weight_map"))
    for name in sorted(set(map(str, shards.values()))):
        if not (path.parent / name).is_file():
            raise ValueError(
                f"{path} names the weights {name}, which are not beside it: "
                "download them again."
            )


def _damaged(path, error):
    with open(path, "rb") as file:
        if file.read(len(LFS)) == LFS:
            return (
                f"{path} is a Git LFS pointer and not the file: get it by "
                "`git lfs pull`."
            )
    return (
        f"{path} is damaged and cannot be read: {error}. Download or copy it "
        "again."
    )
