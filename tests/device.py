"""Where the recipes' tests run.

> TEST_DEVICE=cuda pytest tests/recipes            # on a GPU
> TEST_DEVICE=stand_in pytest -n0 tests/recipes    # as if there were one
"""

import os

import pytest
import stand_in

DEVICE = os.environ.get("TEST_DEVICE", "cpu")


def set_up() -> None:
    """Before the first test: the device that was asked for is there."""
    if DEVICE != stand_in.NAME:
        return
    from speechbrain.utils import distributed

    from speechbrain_c2ser.inference import pretrained

    stand_in.set_up()
    # Where none is named, either takes the best that there is.
    distributed.infer_device = pretrained.best_device = lambda: DEVICE


def needs_processes() -> None:
    """Skip where other processes do not have the device."""
    if DEVICE == stand_in.NAME:
        pytest.skip("the stand-in is of this process alone")
