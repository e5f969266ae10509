"""How fast C2SER's parts are on a device, with and without each option.

A row is a workload and an option. Random weights of the published sizes (of
tiny ones in a dry run), noise of 2 to 8 s, files on disk unless a row says
"tensors".
"""

import functools
import time
from contextlib import nullcontext

import c2ser_speed
import c2ser_training
import torch
from torch.utils.flop_counter import FlopCounterMode
from workloads.counting import lengths_of
from workloads.inference import Inference
from workloads.training import Training

from gpu.running import Run, with_compiled_layers
from speechbrain_c2ser.inference.emotion2vec import Emotion2VecSEncoder
from speechbrain_c2ser.lobes import Emotion2VecS, WhisperEncoder

# Dense bf16 products a second, of the makers' data sheets.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}
SIDE = {"cuda": 8192, "cpu": 512}  # of the square products that are timed
REPEAT_SECONDS, REPEATS = 8.0, 5  # of a row, at most
TINY_ENCODER = {
    "conv_layers": [[32, 10, 5], *[[32, 3, 2]] * 4, *[[32, 2, 2]] * 2],
    "embed_dim": 48,
    "num_heads": 4,
    "prenet_depth": 1,
    "depth": 2,
    "conv_pos_groups": 4,
}
MEDIUM = {"num_layers": 24, "size": 1024, "num_heads": 16, "ffn_size": 4096}
SMALL = {"num_layers": 2, "size": 64, "num_heads": 2, "ffn_size": 128}
NEW_TOKENS = 40


@functools.cache
def peak(device: str) -> tuple[float, float]:
    """Operations a second: of the data sheet (or measured), and measured.

    Arguments
    ---------
    device : str
        Such as "cuda".

    Returns
    -------
    tuple of float
        In bf16 on a card, in fp32 on a processor.
    """
    kind = torch.device(device).type
    side = SIDE[kind]
    dtype = torch.bfloat16 if kind == "cuda" else torch.float32
    left, right = torch.randn(2, side, side, device=device, dtype=dtype)
    for _ in range(3):
        left @ right
    c2ser_speed.wait(device)
    started, count = time.perf_counter(), 20
    for _ in range(count):
        left @ right
    c2ser_speed.wait(device)
    measured = 2 * side**3 * count / (time.perf_counter() - started)
    name = torch.cuda.get_device_name() if kind == "cuda" else ""
    sheet = [rate for card, rate in PEAKS.items() if card in name]
    return (sheet or [measured])[0], measured


def machine(run: Run) -> None:
    """What the card is, and what plain matrix products reach on it."""

    def told():
        sheet, measured = peak(run.device)
        figures = {"torch": torch.__version__, "peak": sheet}
        figures |= {"measured_peak": measured}
        if run.kind == "cuda":
            card = torch.cuda.get_device_properties(0)
            figures |= {"card": card.name, "gib": card.total_memory / 2**30}
            figures |= {"cuda": torch.version.cuda}
        return figures

    run.case("machine", told)


def measured(
    run: Run, function, seconds: float, count: int, operations=None
) -> dict:
    """Speed, memory and MFU of a function.

    Arguments
    ---------
    run : Run
        Gives the device.
    function : callable
        Does all the work once, without arguments.
    seconds : float
        Of audio in it.
    count : int
        Utterances in it.
    operations : float | None
        Of it; None = counted as they are done, padding included.

    Returns
    -------
    dict
        ``audio_hours_per_hour``, ``utterances_per_second``,
        ``peak_gib`` (on a card), ``mfu``, ``best_seconds`` of the repeats.
    """
    function()  # warms up, compiles
    if operations is None:
        with FlopCounterMode(display=False) as counter:
            function()
        operations = counter.get_total_flops()
    if run.kind == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times, began = [], time.monotonic()
    while not times or (
        len(times) < (1 if run.dry else REPEATS)
        and time.monotonic() - began < min(REPEAT_SECONDS, run.left())
    ):
        run.wait()
        started = time.perf_counter()
        function()
        run.wait()
        times.append(time.perf_counter() - started)
    best = min(times)
    figures = {
        "audio_hours_per_hour": seconds / best,
        "utterances_per_second": count / best,
        "mfu": operations / best / peak(run.device)[0],
        "best_seconds": best,
        "repeats": len(times),
    }
    if run.kind == "cuda":
        figures["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return figures


def files(run: Run, count: int) -> tuple[list, list]:
    """Paths of noise clips of 2 to 8 s (shorter in a dry run); seconds."""
    folder = run.folder / f"files_{count}"
    folder.mkdir(exist_ok=True)
    seconds = lengths_of("short", count)
    if run.dry:
        seconds = [each / 8 for each in seconds]
    rows = c2ser_training.write_corpus(folder, seconds)
    return [row["wav"] for row in rows.values()], seconds


def _context(run, precision):
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(run.kind, torch.bfloat16)


def _encoder(run, encoder, seconds, count, precision, backend):
    """A batch of tensors of one length through an encoder."""
    wavs = 0.1 * torch.randn(count, int(16000 * seconds), device=run.device)
    call = with_compiled_layers(encoder, backend) if backend else encoder

    def once():
        with torch.no_grad(), _context(run, precision):
            call(wavs)

    operations = None
    if backend:  # a compiled graph hides what is counted
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            encoder(wavs)
        operations = counter.get_total_flops()
    return measured(run, once, count * seconds, count, operations)


def _encoder_rows(run, name, encoder, seconds, count):
    """fp32, bf16 and compiled, of tensors."""
    encoder = encoder.eval().to(run.device)
    backend = "eager" if run.dry else "inductor"
    for precision, compiler in (
        ("bf16", None), ("bf16", backend), ("fp32", None)
    ):  # fmt: skip
        extra = f", {compiler}" if compiler else ""
        run.case(
            f"{name}, tensors of {seconds:g} s, {precision}{extra}",
            _encoder, run, encoder, seconds, count, precision, compiler,
        )  # fmt: skip


def features(run: Run) -> None:
    """Emotion2Vec-S: vectors of files, frames of tensors."""
    encoder = Emotion2VecS(**(TINY_ENCODER if run.dry else {}), freeze=True)
    paths, seconds = files(run, 4 if run.dry else 512)

    def of_files(precision, batch_size):
        options = {"device": run.device, "precision": precision}
        interface = Emotion2VecSEncoder(encoder, {}, options)
        return measured(
            run,
            lambda: list(interface.encode_files(paths, batch_size=batch_size)),
            sum(seconds),
            len(paths),
        )

    for precision, batch in (("bf16", 32), ("bf16", 8), ("fp32", 32)):
        name = f"Emotion2Vec-S, files, batches of {batch}, {precision}"
        run.case(name, of_files, precision, batch)
    of_tensors = (1.0, 2) if run.dry else (10.0, 64)
    _encoder_rows(run, "Emotion2Vec-S", encoder, *of_tensors)


def whisper(run: Run) -> None:
    """Whisper-medium's encoder, padded to 30 s, as published."""
    numbers = SMALL if run.dry else MEDIUM
    encoder = WhisperEncoder(**numbers, pad_to_30s=True, freeze=True)
    of_tensors = (1.0, 1) if run.dry else (10.0, 32)
    _encoder_rows(run, "Whisper-medium", encoder, *of_tensors)


def _c2ser(run):
    size, dtype = ("tiny", "float32") if run.dry else ("full", "bfloat16")
    return c2ser_speed.build(size, run.device, dtype)


def classify(run: Run) -> None:
    """C2SER's labels of files, beside the published procedure."""
    c2ser = _c2ser(run)
    paths, seconds = files(run, 3 if run.dry else 128)

    def ours(batch_size):
        work = Inference("classify", c2ser, batch_size)
        return measured(run, lambda: work(paths), sum(seconds), len(paths))

    def theirs(tokens):
        some = paths[: 1 if run.dry else 8]
        return measured(
            run,
            lambda: c2ser_speed.published(c2ser, some, tokens),
            sum(seconds[: len(some)]),
            len(some),
        )

    for batch in (8, 32):
        run.case(f"classify, batches of {batch}", ours, batch)
    for tokens in (10, 40):
        run.case(f"published procedure, {tokens} tokens", theirs, tokens)


def describe(run: Run) -> None:
    """C2SER's words of files."""
    c2ser = _c2ser(run)
    paths, seconds = files(run, 2 if run.dry else 64)
    tokens = 2 if run.dry else NEW_TOKENS

    def words(batch):
        def once():
            rows = c2ser.describe_files(
                paths, batch_size=batch, max_new_tokens=tokens
            )
            errors = [row.error for row in rows if row.error is not None]
            if errors:
                raise RuntimeError(errors[0])

        return measured(run, once, sum(seconds), len(paths))

    for batch in (8, 32):
        run.case(f"describe, {tokens} tokens, batches of {batch}", words, batch)


def _training(run, name, option, precision, **overrides):
    """Epochs of a recipe; the first one fills the cache."""
    count = 4 if run.dry else 64
    seconds = lengths_of("short", count)
    if run.dry:
        seconds = [each / 8 for each in seconds]
    size = "tiny" if run.dry else {"stage_0": "base"}.get(name, "full")
    folder = run.folder / f"{name}_{option}".replace(" ", "_")
    work = Training(name, size, folder, run.device, precision, **overrides)
    work.open(seconds)
    if name == "stage_1" and option == "no cache":
        work.brain.cache = None
    operations = None
    if "recomputed" in option:  # is no work of the model's own
        operations = _operations_of_one_pass(work)
    return measured(run, work, sum(seconds), count, operations)


def _operations_of_one_pass(work):
    """Of an epoch of which nothing is computed again."""
    models = [
        module
        for module in work.hparams["model"].modules()
        if getattr(module, "is_gradient_checkpointing", False)
    ]
    for model in models:
        model.gradient_checkpointing_disable()
    with FlopCounterMode(display=False) as counter:
        work()
    for model in models:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return counter.get_total_flops()


def stage_1(run: Run) -> None:
    """Stage 1: an epoch with the frozen encoder's vectors kept, and not."""
    precision = "fp32" if run.dry else "bf16"
    again = "{pretrained: False, gradient_checkpointing: True}"
    plain = "{pretrained: False, gradient_checkpointing: False}"
    for option, lm in (
        ("cache, recomputed", again),
        ("cache", plain),
        ("no cache", plain),
    ):
        run.case(
            f"train stage 1, {option}",
            lambda option=option, lm=lm: _training(
                run, "stage_1", option, precision, language_model=lm
            ),
        )


def stage_0(run: Run) -> None:
    """Stage 0: an epoch of Emotion2Vec-S's own training."""
    for precision in ("fp32",) if run.dry else ("bf16", "fp32"):
        run.case(
            f"train stage 0, {precision}",
            lambda precision=precision: _training(
                run, "stage_0", precision, precision
            ),
        )
