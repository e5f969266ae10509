"""Files of a Hugging Face model folder, checked before they are loaded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from safetensors import SafetensorError, safe_open

LFS = b"version https://git-lfs"
MAPPINGS = ("config.json", "tokenizer_config.json")
ATTENTION = (  # of transformers itself; others are downloaded code
    None, "eager", "sdpa", "flex_attention", "flash_attention_2",
    "flash_attention_3",
)  # fmt: skip
MOST = 1_000_000  # layers or labels of a model
LARGEST = 300_000_000  # bytes of a JSON file; large vocabularies have 40 MB


def check_pretrained(
    source: str | Path, save_path: str | Path | None = None
) -> None:
    """Refuse a damaged or incomplete model folder by the file that is.

    Arguments
    ---------
    source : str | Path
        A folder of config.json, tokenizer files and weights; or the name of
        one on the hub, of which the JSON files are fetched and checked.
    save_path : str | Path | None
        Where files of the hub are put; None = its cache.

    Raises
    ------
    FileNotFoundError
        When a place on this machine is not there, or has no config.json.
    ValueError
        Names the file that cannot be read, or the shard that is missing;
        and refuses what would take code or weights from elsewhere.

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> _ = (folder / "config.json").write_text('{"hidden')
    >>> check_pretrained(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: ...config.json is damaged and cannot be read: ...
    """
    # Not at the top: classifiers without such parts need not wait for it.
    from transformers import dynamic_module_utils

    # Some of SpeechBrain's calls do not tell transformers that no code beside
    # a model is ever run; it would ask on the terminal, and now refuses.
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
    folder = Path(source)
    if not folder.is_dir():
        # What a model folder refers to is told by where it is.
        if folder.is_absolute():
            raise FileNotFoundError(
                f"There is no folder {folder}: download or copy it again."
            )
        fetched = _json_of_hub(str(source), save_path)
        if fetched is None:
            return  # whoever loads it tells that it cannot be reached
        folder = fetched
    for path in sorted(folder.glob("*.json")):
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is no regular file.")
        content = _json(path)
        if path.name in MAPPINGS and not isinstance(content, dict):
            raise ValueError(_damaged(path, "it is no mapping"))
        if path.name.endswith(".index.json"):
            _check_shards(content, path)
        if path.name == "adapter_config.json":
            raise ValueError(
                f"{path} makes the folder an adapter of another model, which "
                "may be anywhere: merge it into its base first."
            )
        if path.name == "config.json":
            _check_code(content, path)
            _check_kernels(content, path)
            _check_counts(content, path)
            if version("transformers").startswith("4."):
                _check_positions(content, path)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder} is no complete model folder: it has no config.json: "
            "download or copy it again."
        )
    for path in sorted(folder.glob("*.safetensors")):
        with told_if_damaged(path), safe_open(path, framework="pt"):
            pass


@contextmanager
def told_if_damaged(path: str | Path) -> Iterator[None]:
    """A safetensors file that cannot be read is one sentence.

    Arguments
    ---------
    path : str | Path
        The file that is read inside.

    Raises
    ------
    ValueError
        Says what the file is, and what to do.

    Example
    -------
    >>> path = Path(getfixture("tmpdir")) / "model.safetensors"
    >>> _ = path.write_bytes(LFS)
    >>> with told_if_damaged(path), safe_open(path, framework="pt"):
    ...     pass
    Traceback (most recent call last):
    ...
    ValueError: ...model.safetensors is a Git LFS pointer and not the file: get
    it by `git lfs pull`.
    """
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise ValueError(_damaged(path, error)) from error


def stored_tensors(path: str | Path) -> list[tuple[str, list[int]]]:
    """What a safetensors file holds, by its header alone.

    Arguments
    ---------
    path : str | Path
        The file.

    Returns
    -------
    list of (str, list of int)
        Type of numbers, such as "F32" or "I8", and shape of each tensor.

    Raises
    ------
    ValueError
        For a damaged file.

    Example
    -------
    >>> import torch
    >>> from safetensors.torch import save_file
    >>> path = Path(getfixture("tmpdir")) / "model.safetensors"
    >>> save_file({"a": torch.zeros(2, 3)}, path)
    >>> stored_tensors(path)
    [('F32', [2, 3])]
    """
    with told_if_damaged(path), safe_open(path, framework="pt") as file:
        stored = map(file.get_slice, file.keys())
        return [(each.get_dtype(), each.get_shape()) for each in stored]


def check_weights(source: str | Path) -> None:
    """Refuse a model folder whose weights are not there.

    Arguments
    ---------
    source : str | Path
        As of :func:`check_pretrained`; what has no config.json passes.

    Raises
    ------
    FileNotFoundError
        When there are none, or a link to none.

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> _ = (folder / "config.json").write_text("{}")
    >>> check_weights(folder)
    Traceback (most recent call last):
    ...
    FileNotFoundError: ... holds no weights (model.safetensors): download or
    copy them again.
    """
    folder = Path(source)
    if not (folder / "config.json").is_file():
        return
    if not any(
        path.suffix in (".safetensors", ".bin") and path.is_file()
        for path in folder.iterdir()
    ):
        raise FileNotFoundError(
            f"{folder} holds no weights (model.safetensors): download or copy "
            "them again."
        )


def describe_unreachable(source: str | Path, what: str) -> str:
    """One sentence for a source that is no folder and cannot be fetched.

    Arguments
    ---------
    source : str | Path
        Folder or hub name.
    what : str
        What it should be, such as "Whisper".

    Returns
    -------
    str

    Example
    -------
    >>> describe_unreachable("openai/whisper-base", "Whisper")
    'The Whisper openai/whisper-base is no folder here and cannot be fetched
    from the hub: give a folder of it, or connect to the network.'
    """
    return (
        f"The {what} {source} is no folder here and cannot be fetched from "
        "the hub: give a folder of it, or connect to the network."
    )


def describe_misfit(source: str | Path, report: dict) -> str | None:
    """One sentence for weights that are not those of their config.json.

    Arguments
    ---------
    source : str | Path
        Folder or hub name.
    report : dict
        Transformers' loading report: kind of problem -> keys, those of
        another shape as (key, stored shape, expected shape).

    Returns
    -------
    str | None
        None where all weights fit.

    Example
    -------
    >>> describe_misfit("folder", {"missing_keys": {"b", "a"}})
    "The weights of folder do not fit its config.json: missing keys 2, such
    as 'a'."
    >>> describe_misfit("folder", {"missing_keys": set()})
    """
    problems = []
    for kind, keys in report.items():
        if not keys:
            continue
        first = min(keys, key=str)
        if isinstance(first, tuple):
            name, stored, expected = first
            example = f"{name!r}: {tuple(stored)} for {tuple(expected)}"
        else:
            example = repr(first)
        kind = str(kind).replace("_", " ")
        problems.append(f"{kind} {len(keys)}, such as {example}")
    if not problems:
        return None
    return (
        f"The weights of {source} do not fit its config.json: "
        f"{'; '.join(problems)}."
    )


def _json_of_hub(name, save_path):
    """The folder of a hub model's JSON files; None where there is none."""
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            name, cache_dir=save_path, allow_patterns=["*.json"]
        )
    except (OSError, ValueError):  # no network, no such model, no name of one
        return None
    return Path(found)


def _check_code(content, path):
    """Refuse a model that transformers can only build by code beside it."""
    if not (isinstance(content, dict) and content.get("auto_map")):
        return
    from transformers import CONFIG_MAPPING

    kind = content.get("model_type")
    if kind not in CONFIG_MAPPING:
        raise ValueError(
            f"{path} is of a model ({kind!r}) that needs code of its own, "
            "which is never run: take one that transformers itself knows."
        )


def _json(path):
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has {path.stat().st_size} bytes")
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(_damaged(path, error)) from error


def _check_shards(content, path):
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict) or "metadata" not in content:
        raise ValueError(_damaged(path, "it has no weight_map and metadata"))
    for name in sorted(set(map(str, shards.values()))):
        if {"/", "\\"} & set(name):
            raise ValueError(
                f"{path} names weights in another folder ({name}); refused."
            )
        if not (path.parent / name).is_file():
            raise ValueError(
                f"{path} names the weights {name}, which are not beside it: "
                "download them again."
            )


def _check_kernels(config, path):
    """Transformers would download and run the code of such kernels."""
    if isinstance(config, list):
        for part in config:
            _check_kernels(part, path)
    for key, value in config.items() if isinstance(config, dict) else ():
        if "_implementation" in key and (not _is_built_in(value)):
            raise ValueError(
                f"{path} asks for other code by {key}: {value!r}; refused."
            )
        _check_kernels(value, path)


def _check_counts(config, path):
    """Transformers makes lists of so many, before there is any model."""
    for key, value in config.items() if isinstance(config, dict) else ():
        _check_counts(value, path)
        counts = "layer" in key or key == "num_labels"
        if counts and isinstance(value, int | float) and value > MOST:
            raise ValueError(
                f"{path} has a {key} of more than {MOST}, which is no model; "
                "refused."
            )


def _check_positions(config, path):
    """Transformers 4 passes over these, and silently computes otherwise."""
    for value in config.values() if isinstance(config, dict) else ():
        _check_positions(value, path)
    if (
        isinstance(config, dict)
        and config.get("rope_parameters")
        and "rope_theta" not in config
    ):
        raise ValueError(
            f"{path} was written by transformers 5; the installed "
            f"{version('transformers')} does not read its rope_parameters and "
            "would compute something else: pip install 'transformers>=5'."
        )


def _is_built_in(value):
    if isinstance(value, dict):
        return all(map(_is_built_in, value.values()))
    return value in ATTENTION


def _damaged(path, error):
    if not Path(path).is_file():
        return (
            f"{path} is no file, or a link to one that is not there: download "
            "or copy it again."
        )
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
