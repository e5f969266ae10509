"""Features of a frozen encoder, computed once and kept on disk.

The key covers the encoder's weights and settings, the type of the stored
numbers and the audio's own bytes: a changed weight or recording never reads an
old feature.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from speechbrain.utils.distributed import ddp_barrier
from tqdm import tqdm

from speechbrain_c2ser.audio.stored import stored_bytes
from speechbrain_c2ser.data.arrow_manifest import hash_of
from speechbrain_c2ser.data.dataset import read_item

# Of one file: what a run that is killed loses at most, and holds in memory.
SHARD_BYTES = 2**28
WINDOW = 10_000  # rows that are looked at together


class FeatureCache:
    """Disk cache of features of any size, one folder per encoder state.

    Arguments
    ---------
    compute : callable
        ``(wavs [B, T], wav_lens [B]) → B tensors``; the frozen encoder's
        forward.
    fingerprint : str
        Hash of the encoder's weights and settings
        (:func:`speechbrain_c2ser.checkpoints.folder.fingerprint`).
    folder : str | Path
        Where the features live; other encoders' features may lie beside.
    dtype : torch.dtype
        Of the stored features; float32 gives identical losses, float16 half
        the disk.
    kind : str
        Which of the encoder's features these are; "" are utterance vectors.

    Example
    -------
    >>> import tempfile
    >>> cache = FeatureCache(
    ...     lambda wavs, lens: list(wavs), "abc", tempfile.mkdtemp(),
    ...     kind="frames",
    ... )
    >>> len(cache), cache.folder.name
    (0, 'abc-frames')
    """

    def __init__(
        self,
        compute: Callable,
        fingerprint: str,
        folder: str | Path,
        dtype: torch.dtype = torch.float32,
        kind: str = "",
    ):
        self.compute = compute
        name = fingerprint[:32] + (f"-{kind}" if kind else "")
        if dtype != torch.float32:
            name += f"-{str(dtype).removeprefix('torch.')}"
        self.folder = Path(folder) / name
        self.kind = kind or "utterance vectors"
        self.dtype = dtype
        self._place = {}
        self._audio_keys = {}
        self._audio_bytes = {}
        self._shards = set()
        self.find_shards()

    def find_shards(self) -> None:
        """Take up what another process has written."""
        for shard in sorted(self.folder.glob("*.safetensors")):
            if shard not in self._shards:
                self._index(shard)

    def __len__(self):
        return len(self._place)

    def fill(
        self,
        items: Mapping[str, dict],
        batch_seconds: float = 60.0,
        device: str = "cpu",
        progress: bool = True,
        rank: int = 0,
        ranks: int = 1,
    ) -> int:
        """Compute what is missing, in batches of similar length.

        Arguments
        ---------
        items : Mapping
            Manifest rows (id → row); some thousand are in memory at a time.
        batch_seconds : float
            Audio in a batch, padding counted.
        device : str
            Where the encoder is.
        progress : bool
            Show a progress bar.
        rank, ranks : int
            Which share of the rows is looked at, of how many.

        Returns
        -------
        int
            How many utterances were computed (the rest was there).
        """
        rows = islice(items.values(), rank, None, ranks)
        done, pending, size = 0, {}, 0
        total = len(range(rank, len(items), ranks))
        with tqdm(total=total, desc=self.kind, disable=not progress) as bar:
            # a window at a time: a set of any size is never all in memory
            while window := list(islice(rows, WINDOW)):
                for batch in self._missing(window, pending, batch_seconds):
                    features = self._compute(batch, device)
                    pending.update(features)
                    size += sum(x.nbytes for x in features.values())
                    done += len(batch)
                    if size >= SHARD_BYTES:
                        self._write(pending)
                        pending, size = {}, 0
                bar.update(len(window))
        if pending:
            self._write(pending)
        return done

    def _missing(self, rows, pending, batch_seconds):
        """Batches of what is not there, cut by length."""
        missing: dict[str, dict] = {}
        for row in sorted(rows, key=lambda row: row["duration"]):
            key = self._audio_key(row)
            if key not in self._place and key not in pending:
                missing.setdefault(key, row)
        return _batches(list(missing.items()), batch_seconds)

    def lookup(self, items: Sequence[dict]) -> list[torch.Tensor]:
        """The features of some rows.

        Arguments
        ---------
        items : sequence of dict
            Manifest rows.

        Returns
        -------
        list of torch.Tensor
            float32.

        Raises
        ------
        KeyError
            If a row was not filled in.
        """
        vectors = []
        for row in items:
            key = self._audio_key(row)
            if key not in self._place:
                raise KeyError(
                    f"No cached features for {row['wav']}: call fill() with "
                    "the manifest first."
                )
            vectors.append(self._place[key].get_tensor(key).float())
        return vectors

    def _audio_key(self, row):
        """Hash of the file's bytes, read once, and of the segment."""
        segment = (row.get("start"), row.get("stop"))
        place = hash_of(repr((row["wav"], *segment)))
        if place not in self._audio_keys:
            if row["wav"] not in self._audio_bytes:
                if len(self._audio_bytes) > WINDOW:
                    self._audio_bytes.clear()
                read = hashlib.blake2b(digest_size=16)
                read.update(stored_bytes(row["wav"]))
                self._audio_bytes[row["wav"]] = read
            digest = self._audio_bytes[row["wav"]].copy()
            digest.update(repr(segment).encode())
            self._audio_keys[place] = digest.hexdigest()
        return self._audio_keys[place]

    def _compute(self, batch, device):
        signals = [read_item(row) for _, row in batch]
        wavs = torch.nn.utils.rnn.pad_sequence(signals, batch_first=True)
        lens = torch.tensor([len(s) / wavs.shape[1] for s in signals])
        try:
            with torch.no_grad():
                vectors = self.compute(wavs.to(device), lens.to(device))
        except ValueError as error:
            if len(batch) == 1:
                name = batch[0][1].get("id", batch[0][1]["wav"])
                raise ValueError(f"Item {name!r}: {error}") from error
            # which of them is it? Each is tried alone
            parts = [self._compute([entry], device) for entry in batch]
            return {k: v for part in parts for k, v in part.items()}
        return {
            key: vector.to("cpu", self.dtype).contiguous()
            for (key, _), vector in zip(batch, vectors, strict=True)
        }

    def _write(self, tensors):
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.blake2b(
            "".join(sorted(tensors)).encode(), digest_size=16
        ).hexdigest()
        shard = self.folder / f"{name}.safetensors"
        beside = self.folder / f".{name}.{os.getpid()}"
        save_file(tensors, beside)
        os.replace(beside, shard)
        self._index(shard)

    def _index(self, shard):
        self._shards.add(shard)
        tensors = safe_open(shard, framework="pt")
        for key in tensors.keys():
            self._place[key] = tensors


def fill_together(
    cache: FeatureCache,
    items: Mapping[str, dict],
    device: str,
    progress: bool = True,
) -> None:
    """Fill a cache on all ranks of a training, each a part of it.

    Where a node does not see what the other nodes wrote, one of its ranks
    computes what it lacks.

    Arguments
    ---------
    cache : FeatureCache
        Of the same folder name on each rank.
    items : Mapping
        Manifest rows (id → row), the same on each rank.
    device : str
        Where the encoder is.
    progress : bool
        Show a progress bar, on the first rank.

    Example
    -------
    >>> import tempfile
    >>> cache = FeatureCache(
    ...     lambda wavs, lens: list(wavs), "abc", tempfile.mkdtemp()
    ... )
    >>> fill_together(cache, {}, "cpu")
    """
    rank, ranks = 0, 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank = torch.distributed.get_rank()
        ranks = torch.distributed.get_world_size()
    shown = progress and rank == 0
    cache.fill(items, device=device, progress=shown, rank=rank, ranks=ranks)
    ddp_barrier()
    cache.find_shards()
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        cache.fill(items, device=device, progress=False)
    ddp_barrier()
    cache.find_shards()


class UtteranceVectorCache(FeatureCache):
    """Disk cache of utterance vectors [N, C]: all of one size.

    Arguments
    ---------
    *args, **kwargs : object
        As of :class:`FeatureCache`; ``compute`` gives vectors [B, N, C].

    Example
    -------
    >>> import tempfile
    >>> cache = UtteranceVectorCache(
    ...     lambda wavs, lens: wavs[:, None, :4], "abc", tempfile.mkdtemp()
    ... )
    >>> len(cache)
    0
    """

    def lookup(self, items: Sequence[dict]) -> torch.Tensor:
        """Stack the vectors of some rows.

        Arguments
        ---------
        items : sequence of dict
            Manifest rows.

        Returns
        -------
        torch.Tensor
            [B, N, C] float32.
        """
        return torch.stack(super().lookup(items))


def _batches(entries, batch_seconds):
    """Cut length-sorted (key, row) entries by padded audio."""
    batch = []
    for entry in entries:
        longest = entry[1]["duration"]
        if batch and longest * (len(batch) + 1) > batch_seconds:
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch
