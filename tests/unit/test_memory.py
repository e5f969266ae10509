"""Freed memory and kernels that the process keeps."""

import os
import platform
import subprocess
import sys

import pytest

# What a gated MLP allocates and frees; prints the page faults of ten of them
# before and after the call, each the least of three: the heap may still grow.
SCRIPT = """
import resource
import torch
from speechbrain_c2ser.training.memory import keep_freed_memory

def faults():
    return min(faults_of_ten() for _ in range(3))

def faults_of_ten():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        gate = torch.ones(4 << 20)
        gate = gate.neg()
        up = torch.ones(4 << 20)
        gate * up
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

before = faults()
assert keep_freed_memory()
print(before, faults())
"""

CAPACITY = "PRIMITIVE_CACHE_CAPACITY"
KERNELS = """
import os
from speechbrain_c2ser.training.memory import keep_freed_memory

keep_freed_memory()
names = [name for name in os.environ if name.endswith("CACHE_CAPACITY")]
print(*(f"{name}={os.environ[name]}" for name in names))
"""


@pytest.mark.parametrize(
    "given", ["", f"ONEDNN_{CAPACITY}=7", f"DNNL_{CAPACITY}=7"]
)
def test_kernels_of_more_shapes_are_kept_unless_told_otherwise(given):
    unset = {k: v for k, v in os.environ.items() if "CACHE_CAPACITY" not in k}
    told = dict([given.split("=")] if given else [])
    done = subprocess.run(
        [sys.executable, "-c", KERNELS],
        capture_output=True,
        text=True,
        check=True,
        env=unset | told,
    )
    kept = f"ONEDNN_{CAPACITY}=8192"
    assert done.stdout.strip() == (given or kept)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="it is a setting of glibc"
)
def test_freed_pages_are_not_cleared_again():
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after <= before / 10
