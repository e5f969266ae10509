"""A dry run before training: what can only fail at its end fails first."""

import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.dataio.dataloader import make_dataloader
from torch import nn

from speechbrain_c2ser.checkpoints.description import describe, write_yaml
from speechbrain_c2ser.checkpoints.folder import load_strict, with_configs
from speechbrain_c2ser.checkpoints.safe_yaml import build_yaml, parse_yaml
from speechbrain_c2ser.training.seeds import kept_random_state

ROWS = 2


def rehearse(
    brain: sb.Brain,
    dataset: sb.dataio.dataset.DynamicItemDataset,
    rebuilt: nn.Module,
    write: Callable[[Path], None] | None = None,
) -> None:
    """Describe the model, rebuild it, and validate two rows.

    Weights, random state, modes and the output folder stay as they are: what
    is written goes into a temporary folder.

    Arguments
    ---------
    brain : speechbrain.Brain
        About to be fitted; its hparams hold ``model``.
    dataset : speechbrain.dataio.dataset.DynamicItemDataset
        Its first two rows pass as validation's would.
    rebuilt : torch.nn.Module
        The model, or the part of it that is built anew from its description.
        A base language model is too large for that.
    write : callable | None
        ``path -> None``: writes what the model's heads said of the two rows.

    Raises
    ------
    ValueError
        For a model that could not be saved, or rebuilt, or fails on the rows;
        names the module.
    """
    with kept_random_state(), tempfile.TemporaryDirectory() as folder:
        check_rebuilding(brain.hparams.model, rebuilt, Path(folder))
        _validate(brain, dataset, write, Path(folder) / "predictions.jsonl")


def check_rebuilding(model: nn.Module, rebuilt: nn.Module, folder: Path):
    """Check that a model's description gives the same modules again.

    Arguments
    ---------
    model : torch.nn.Module
        All of it must have a description.
    rebuilt : torch.nn.Module
        The model or a part of it; this is built.
    folder : Path
        Takes the description; no weights.

    Raises
    ------
    ValueError
        Names the module that does not remember its arguments, or the tensors
        that the rebuilt one lacks.

    Example
    -------
    >>> from speechbrain_c2ser.lobes import FrameProjection
    >>> path = Path(getfixture("tmpdir"))
    >>> model = FrameProjection(4, 2)
    >>> check_rebuilding(model, model, path)
    >>> model.layer = torch.nn.Linear(1, 1)
    >>> check_rebuilding(model, model, path)
    Traceback (most recent call last):
    ...
    ValueError: FrameProjection does not fit FrameProjection: 2 unexpected
    (layer.bias, layer.weight).
    """
    adapt = with_configs(folder)
    # what the run's own yaml built was trusted by whoever runs it
    allow = sorted({type(module).__module__ for module in model.modules()})
    for name, module in {"whole": model, "model": rebuilt}.items():
        path = folder / f"{name}.yaml"
        described = describe(module, "model", adapt)
        write_yaml({"folder": str(folder), name: described}, path)
        text = path.read_text(encoding="utf-8")
        root = parse_yaml(text, path.name, allow=allow)
    again = build_yaml(root, path.name)["model"]
    load_strict(again, rebuilt.state_dict(), type(rebuilt).__name__)


def _validate(brain, dataset, write, path):
    """Two rows through the forward pass, the loss and the record."""
    few = dataset.filtered_sorted(select_n=ROWS)
    batch = next(iter(make_dataloader(few, batch_size=ROWS)))
    modes = [(m, m.training) for m in brain.modules.modules()]
    brain.modules.eval()
    brain.on_stage_start(sb.Stage.VALID)
    try:
        with torch.no_grad():
            brain.evaluate_batch(batch, sb.Stage.VALID)
    except Exception as error:
        raise ValueError(
            f"Before training, two rows fail in {_place(error, brain)}: "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        for module, training in modes:
            module.training = training
    if write is not None:
        _write(brain, write, path)


def _write(brain, write, path):
    """What the brain said of the rows, where it can be written."""
    try:
        write(path)
    except Exception as error:
        heads = ", ".join(
            f"{name} ({type(head).__name__})"
            for name, head in brain.hparams.model.heads.heads.items()
        )
        raise ValueError(
            f"Before training, what the heads {heads} say of two rows cannot "
            f"be written: {error}"
        ) from error


def _place(error, brain):
    """The innermost module of the model at work, else the function."""
    names = {id(m): n for n, m in brain.hparams.model.named_modules()}
    place = "the model"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and names.get(id(owner)):
            place = f"{names[id(owner)]} ({type(owner).__name__})"
    return place
