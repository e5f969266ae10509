"""Freed memory that the process keeps."""

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


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="it is a setting of glibc"
)
def test_freed_pages_are_not_cleared_again():
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after <= before / 10
