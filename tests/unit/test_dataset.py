"""Datasets: workers of any start method, batches of like length."""

import pytest
from torch.utils.data import DataLoader

from speechbrain_c2ser.data.dataset import loader_options, speech_dataset


@pytest.fixture
def rows(tmp_path, write_wav):
    wav = str(write_wav(tmp_path / "a.wav", 0.5))
    return {str(i): {"wav": wav, "duration": 0.5} for i in range(4)}


def test_workers_need_not_be_forked(rows):
    dataset = speech_dataset(rows)
    options = loader_options(dataset, 1.0, num_buckets=1, num_workers=1)
    loader = DataLoader(dataset, multiprocessing_context="spawn", **options)
    assert sorted(name for batch in loader for name in batch.id) == list("0123")


def test_one_long_item_does_not_make_every_batch_long():
    durations = [6.0] * 300 + [600.0]
    rows = {
        str(i): {"wav": "a.wav", "duration": seconds}
        for i, seconds in enumerate(durations)
    }
    options = loader_options(speech_dataset(rows), 39.0, num_buckets=4)
    batches = list(options["batch_sampler"])
    assert [300] in batches
    others = [batch for batch in batches if batch != [300]]
    assert max(map(len, others)) == 6
    assert sorted(sum(batches, [])) == list(range(301))


def test_few_items_in_a_fixed_order_are_one_batch():
    rows = {
        str(n): {"wav": "a.wav", "duration": 1.0 + n / 80} for n in range(16)
    }
    dataset = speech_dataset(rows)
    options = loader_options(dataset, 80.0, shuffle=False)
    assert [len(batch) for batch in options["batch_sampler"]] == [16]
