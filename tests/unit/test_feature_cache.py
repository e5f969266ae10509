"""Cached utterance vectors: computed once, never stale."""

import pytest
import soundfile
import torch

from speechbrain_c2ser.checkpoints.folder import fingerprint
from speechbrain_c2ser.data.feature_cache import UtteranceVectorCache


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
