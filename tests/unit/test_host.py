"""Numbers that the host knows are not fetched from a device."""

import torch

from speechbrain_c2ser.host import on_both, on_host, to_device
from speechbrain_c2ser.lobes.padding import (
    longest,
    normalize,
    sample_counts,
    valid_frames,
)

META = torch.device("meta")  # a device of which nothing can be read


def test_what_was_sent_is_known_without_fetching():
    there = torch.tensor([3, 2])
    sent = to_device(there, META)
    assert sent.device == META and on_host(sent) is there
    half = on_both(lambda lengths: lengths // 2, sent)
    assert half.device == META and on_host(half).tolist() == [1, 1]


def test_what_the_host_has_stays_as_it_is():
    there = torch.tensor([3, 2])
    assert to_device(there, "cpu") is there and on_host(there) is there
    assert not hasattr(there, "on_host")  # it would hold itself for ever
    assert on_both(lambda lengths: lengths + 1, there).tolist() == [4, 3]


def test_lengths_of_a_device_are_counted_on_the_host():
    wavs = torch.zeros(2, 1000, device=META)
    counts = sample_counts(wavs, to_device(torch.tensor([1.0, 0.25]), META))
    assert counts.device == META
    assert on_host(counts).tolist() == [1000, 250]
    assert longest(counts, 2000) == 1000
    assert valid_frames(counts, 1000).shape == (2, 1000, 1)
    assert normalize(wavs, counts).device == META
    everything = sample_counts(wavs)
    assert valid_frames(everything, 1000) is None
