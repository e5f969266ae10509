"""What a folder that is no model folder of ours is, told by its files."""

import json
from pathlib import Path

SETTINGS = "hyperparams.yaml"
WEIGHTS = "model.safetensors"


def describe_folder(path: str | Path) -> str:
    """What somebody gave in place of a model folder, and what to do with it.

    Arguments
    ---------
    path : str | Path
        A folder, or a file.

    Returns
    -------
    str

    Example
    -------
    >>> folder = Path(getfixture("tmpdir"))
    >>> describe_folder(folder)
    'it is empty'
    >>> (folder / "model.onnx").touch()
    >>> describe_folder(folder)
    'it holds model.onnx, which is for onnxruntime: give the model folder that
    it was made of'
    """
    path = Path(path)
    if path.is_file():
        return f"it is a file: give the folder that it is in, {path.parent}"
    names = sorted(each.name for each in path.iterdir())
    if not names:
        return "it is empty"
    inner = [
        str(path / name)
        for name in names
        if all((path / name / part).is_file() for part in (SETTINGS, WEIGHTS))
    ]
    if inner:
        return f"the model folders in it are {', '.join(inner)}: give one"
    of = {Path(name).suffix: name for name in reversed(names)}
    if "adapter_config.json" in names:
        return (
            "it is an adapter (LoRA) of another model: merge it into its base "
            "and train with that"
        )
    if SETTINGS in names and ".ckpt" in of:
        return (
            "it is a pretrained model of SpeechBrain itself: open it by "
            "SpeechBrain's own interfaces"
        )
    if SETTINGS not in names and "config.json" in names:
        return (
            f"it is a {_model_type(path)} model of Hugging Face transformers: "
            "train one of ours with it (`c2ser train`)"
        )
    if ".pt" in of:
        return (
            f"it holds the checkpoint {of['.pt']}: make a model folder of it "
            "by `c2ser convert emotion2vec` or `c2ser convert c2ser`"
        )
    if ".onnx" in of:
        return (
            f"it holds {of['.onnx']}, which is for onnxruntime: give the model "
            "folder that it was made of"
        )
    return "download or copy it again, or give another"


def _model_type(folder):
    try:
        text = (folder / "config.json").read_text(encoding="utf-8")
        return json.loads(text)["model_type"]
    except (OSError, ValueError, LookupError, TypeError):
        return "pretrained"
