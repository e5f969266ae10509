"""Cached utterance vectors: computed once, never stale."""

import os
import tarfile
from pathlib import Path

import pytest
import soundfile
import torch

from speechbrain_c2ser.checkpoints.folder import fingerprint
from speechbrain_c2ser.data import feature_cache
from speechbrain_c2ser.data.feature_cache import (
    FeatureCache,
    UtteranceVectorCache,
    fill_together,
)


@pytest.fixture
def rows(tmp_path, write_wav):
    return {
        str(i): {
            "wav": str(write_wav(tmp_path / f"{i}.wav", 0.3 + 0.1 * i, 200)),
            "duration": 0.3 + 0.1 * i,
        }
        for i in range(4)
    }


@pytest.fixture
def cache_of(tmp_path):
    """cache_of(encoder) -> cache, and a list of the batch sizes computed."""

    def build(encoder):
        computed = []

        def compute(wavs, wav_lens):
            computed.append(len(wavs))
            return encoder.extract(wavs, wav_lens).tokens

        folder = tmp_path / "features"
        return (
            UtteranceVectorCache(compute, fingerprint(encoder), folder),
            computed,
        )

    return build


def fill(cache, rows):
    return cache.fill(rows, batch_seconds=1.0, progress=False)


def test_vectors_are_those_of_the_encoder(cache_of, build_emotion2vec, rows):
    encoder = build_emotion2vec()
    cache, computed = cache_of(encoder)
    assert fill(cache, rows) == 4 and len(computed) > 1
    for row in rows.values():
        wav = torch.from_numpy(soundfile.read(row["wav"], dtype="float32")[0])
        alone = encoder.extract(wav.unsqueeze(0)).tokens
        torch.testing.assert_close(
            cache.lookup([row]), alone, atol=1e-5, rtol=0
        )


def test_nothing_is_computed_twice(cache_of, build_emotion2vec, rows):
    fill(cache_of(build_emotion2vec())[0], rows)
    again, computed = cache_of(build_emotion2vec())
    assert fill(again, rows) == 0 and not computed
    assert again.lookup(list(rows.values())).shape[0] == 4


def test_two_processes_share_what_they_computed(
    cache_of, build_emotion2vec, rows
):
    ours, theirs = (cache_of(build_emotion2vec())[0] for _ in range(2))
    keys = list(rows)
    assert fill(ours, {key: rows[key] for key in keys[::2]}) == 2
    assert fill(theirs, {key: rows[key] for key in keys[1::2]}) == 2
    for cache in (ours, theirs):
        cache.find_shards()
        assert len(cache) == len(cache.lookup(list(rows.values()))) == 4


def test_changed_weight_reads_no_old_feature(cache_of, build_emotion2vec, rows):
    fill(cache_of(build_emotion2vec())[0], rows)
    changed = build_emotion2vec()
    with torch.no_grad():
        changed.utterance_tokens[0, 1, 0] += 1e-3
    cache, _ = cache_of(changed)
    with pytest.raises(KeyError, match="0.wav"):
        cache.lookup([rows["0"]])
    assert fill(cache, rows) == 4


def test_changed_audio_reads_no_old_feature(
    cache_of, build_emotion2vec, rows, write_wav
):
    fill(cache_of(build_emotion2vec())[0], rows)
    write_wav(rows["0"]["wav"], 0.3, 450)
    cache, _ = cache_of(build_emotion2vec())
    assert fill(cache, rows) == 1


def waveforms(wavs, wav_lens):
    """An encoder that tells what it was given."""
    if (wav_lens * wavs.shape[1]).min() < 1000:
        raise ValueError("too few samples")
    return list(wavs)


def test_recordings_inside_a_tar_are_told_apart(
    cache_of, build_emotion2vec, rows, tmp_path
):
    archive = tmp_path / "all.tar"
    with tarfile.open(archive, "w") as tar:
        for row in rows.values():
            tar.add(row["wav"], Path(row["wav"]).name)
    with tarfile.open(archive) as tar:
        inside = {
            key: row | {"wav": f"{archive}:{m.offset_data}+{m.size}:{m.name}"}
            for (key, row), m in zip(rows.items(), tar, strict=True)
        }
    cache, _ = cache_of(build_emotion2vec())
    assert fill(cache, inside) == 4
    # the same bytes in a file are the same recording
    assert fill(cache, rows) == 0


def test_rounded_numbers_are_not_read_as_exact_ones(rows, tmp_path):
    half = FeatureCache(waveforms, "abc", tmp_path, torch.float16)
    assert fill(half, rows) == 4
    full = FeatureCache(waveforms, "abc", tmp_path)
    assert fill(full, rows) == 4
    assert half.folder != full.folder


def test_a_file_of_many_segments_is_read_once(rows, tmp_path, monkeypatch):
    wav, reads = rows["3"]["wav"], []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda p: reads.append(p) or read_bytes(p)
    )
    parts = {
        str(i): {"wav": wav, "start": i / 10, "stop": 0.5, "duration": 0.5}
        for i in range(4)
    }
    cache = FeatureCache(waveforms, "abc", tmp_path)
    assert fill(cache, parts) == 4 and len(reads) == 1


def test_shards_are_cut_by_their_bytes(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "SHARD_BYTES", 20_000)
    cache = FeatureCache(waveforms, "abc", tmp_path)
    fill(cache, rows)  # 19 to 38 kB each
    assert len(list(cache.folder.glob("*.safetensors"))) >= 3


def test_an_item_that_cannot_be_encoded_is_named(rows, tmp_path, write_wav):
    rows["4"] = {
        "id": "u4",
        "wav": str(write_wav(tmp_path / "4.wav", 0.02)),
        "duration": 0.3,
    }
    cache = FeatureCache(waveforms, "abc", tmp_path)
    with pytest.raises(ValueError, match="'u4': too few samples"):
        fill(cache, rows)


def fill_on_a_node(rank, folder, rows):
    """A rank whose disk the other one does not see."""
    os.environ["LOCAL_RANK"] = "0"
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/met", rank=rank, world_size=2
    )
    cache = FeatureCache(waveforms, "abc", f"{folder}/node_{rank}")
    fill_together(cache, rows, "cpu", progress=False)
    torch.distributed.destroy_process_group()
    assert len(cache.lookup(list(rows.values()))) == len(rows)


def test_nodes_that_share_no_disk_have_all_features(rows, tmp_path):
    context = torch.multiprocessing.get_context("fork")
    ranks = [
        context.Process(target=fill_on_a_node, args=(rank, tmp_path, rows))
        for rank in range(2)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    assert [process.exitcode for process in ranks] == [0, 0]
