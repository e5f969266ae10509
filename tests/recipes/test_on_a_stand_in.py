"""What a GPU would stumble over, without one: some tests, run as if it were.

All tests of the recipes can be: see tests/device.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import stand_in
import torch

HERE = Path(__file__).parent
STUMBLES = """
import sys
sys.path.insert(0, sys.argv[1])
import stand_in, torch
stand_in.set_up()
there = torch.ones(2, 3, device="stand_in")
layer = torch.nn.Linear(3, 4).to("stand_in")
torch.optim.AdamW(layer.parameters()).step()
for name, call in {
    "mixed": lambda: there + torch.ones(2, 3),
    "indexed": lambda: torch.ones(2)[torch.tensor([0], device="stand_in")],
    "to numpy": lambda: there.numpy(),
}.items():
    try:
        call()
    except (RuntimeError, TypeError):
        continue
    raise AssertionError(name)
assert there[[0, 1]].sum().item() == 6
assert stand_in.waits == {"aten::_local_scalar_dense": 1}, stand_in.waits
with torch.autocast("stand_in", torch.bfloat16):
    half = layer(there)
    half.float().sum().backward()
    kinds = half.dtype, half.softmax(-1).dtype
assert kinds == (torch.bfloat16, torch.float32), kinds
assert layer.weight.grad.device.type == "stand_in"
"""


@pytest.fixture(autouse=True)
def possible():
    if not stand_in.POSSIBLE:
        pytest.skip(f"torch {torch.__version__} has no Python backends")


def run(*command, **environment):
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def test_the_stand_in_is_as_strict_as_a_gpu():
    run("-c", STUMBLES, str(HERE.parent))


def test_lobes_stages_and_answers_on_it():
    tests = [
        "test_gpu_report.py::test_every_lobe_is_checked",
        "test_gpu_report.py::test_a_check_is_right_on_the_processor[model]",
        "test_c2ser_training.py::test_published_settings_run[full-implicit]",
        "test_c2ser_training.py"
        "::test_an_implicit_stage_learns_from_its_explicit_states[distil_kl]",
        "test_c2ser.py::test_evaluation[explicit]",
        "test_small_data.py::test_the_connector_is_taught",
    ]
    options = ["-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]
    paths = [str(HERE / test) for test in tests]
    run(*options, *paths, TEST_DEVICE=stand_in.NAME)
