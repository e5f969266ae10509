"""Whether a device computes what the processor computes.

Each check takes a :class:`gpu.running.Run` and adds a row for each case.
"""

import copy
from contextlib import suppress

import c2ser_speed
import c2ser_training
import torch
from speechbrain import Stage

from gpu import lobes as tiny
from gpu.running import Run, Skipped, with_compiled_layers
from speechbrain_c2ser.audio import read_audio
from speechbrain_c2ser.data.dataset import loader_options, speech_dataset
from speechbrain_c2ser.lobes.speech_llm.language_model import LanguageModel

# Of fp32, relative to the size of what is compared: sums in another order.
SAME, SAME_GRADIENTS = 1e-4, 1e-3
# bf16 on a device may be so much further from fp32 than on the processor.
BF16_TIMES, BF16_PLUS = 2.0, 0.01
BF16_LABELS = 0.05  # largest change of a probability
NF4_STATES, NF4_BYTES = 0.3, 0.7  # relative; of a weight, scales included
QUESTION, ANSWER = "what is the emotion?", "the speaker sounds sad."


def apart(ours, theirs) -> float:
    """Largest relative difference of two lists of tensors.

    Arguments
    ---------
    ours, theirs : list of torch.Tensor
        On any device; what is not finite must be so on both sides.

    Returns
    -------
    float
        Norm of the difference over that of ``theirs``; infinity where
        shapes, whole numbers or places that are not finite differ.
    """
    if len(ours) != len(theirs):
        return float("inf")
    return max(
        (_apart(a.detach().cpu(), b.detach().cpu()) for a, b in zip(
            ours, theirs, strict=True)), default=0.0
    )  # fmt: skip


def _apart(one, two):
    if one.shape != two.shape:
        return float("inf")
    if not two.is_floating_point():
        return 0.0 if torch.equal(one, two) else float("inf")
    one, two, finite = one.double(), two.double(), two.isfinite()
    if not torch.equal(one.isfinite(), finite):
        return float("inf")
    difference = (one[finite] - two[finite]).norm()
    return float(difference / two[finite].norm().clamp(min=1e-9))


def moved(values: dict, device: str) -> dict:
    """Tensors by name, on a device."""
    return {name: value.to(device) for name, value in values.items()}


def lobes(run: Run) -> None:
    """Every lobe in fp32 and bf16, on the device and on the processor."""
    inputs = tiny.inputs()
    on_device = moved(inputs, run.device)
    for name in tiny.LOBES:
        run.case(name, _lobe, run, name, inputs, on_device)


@torch.no_grad()
def _lobe(run, name, inputs, on_device):
    torch.manual_seed(0)
    lobe = tiny.LOBES[name][0](run.folder).eval()
    exact = tiny.answer(name, lobe, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = apart(tiny.answer(name, lobe, inputs), exact)
    lobe = lobe.to(run.device)
    full = apart(tiny.answer(name, lobe, on_device), exact)
    with torch.autocast(run.kind, torch.bfloat16):
        narrow = apart(tiny.answer(name, lobe, on_device), exact)
    fits = full <= SAME and narrow <= BF16_TIMES * rounded + BF16_PLUS
    return {"ok": fits, "fp32": full, "bf16": narrow, "bf16_cpu": rounded}


def clips(run: Run) -> tuple:
    """Three clips of noise: [3, T], relative lengths [3], manifest rows."""
    folder = run.folder / "clips"
    folder.mkdir(exist_ok=True)
    rows = c2ser_training.write_corpus(folder, [0.9, 0.5, 0.7])
    waves = [read_audio(row["wav"]) for row in rows.values()]
    wavs = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    lens = torch.tensor([len(wave) / wavs.shape[1] for wave in waves])
    return wavs, lens, rows


def model(run: Run) -> None:
    """The whole of C2SER: labels, words, gradients."""
    wavs, lens, _ = clips(run)
    here = c2ser_speed.build("tiny", "cpu", "float32")
    there = c2ser_speed.build("tiny", "cpu", "float32").to(run.device)
    there.device = torch.device(run.device)
    exact = here.classify_batch(wavs, lens)[0]

    def labels():
        far = apart([there.classify_batch(wavs, lens)[0]], [exact])
        return {"ok": far <= SAME, "fp32": far}

    def words():
        # Of random weights two words may be equally likely: told, no more.
        options = {"max_new_tokens": 8}
        texts = [
            [one.text for one in each.describe_batch(wavs, lens, **options)]
            for each in (here, there)
        ]
        same = sum(a == b for a, b in zip(*texts, strict=True))
        return {"same_texts": same, "texts": len(wavs)}

    def narrow():
        there.dtype = torch.bfloat16
        change = there.classify_batch(wavs, lens)[0].cpu() - exact
        change = float(change.abs().max())
        return {"ok": change <= BF16_LABELS, "largest_change": change}

    def learned():
        far = apart(
            gradients(_trainable(there.mods.model), wavs, lens, run.device),
            gradients(_trainable(here.mods.model), wavs, lens, "cpu"),
        )
        return {"ok": far <= SAME_GRADIENTS, "fp32": far}

    run.case("labels, fp32", labels)
    run.case("words", words)
    run.case("labels, bf16", narrow)
    run.case("gradients, fp32", learned)


def _trainable(model):
    """The model itself, its connector and language model trained."""
    model.perception.connector.requires_grad_(True)
    model.language_model.requires_grad_(True)
    return model


def gradients(model, wavs, lens, device) -> list[torch.Tensor]:
    """The loss of an answer, and all gradients of it as one vector.

    Single ones may be of the order of the rounding.
    """
    batch = len(wavs)
    loss = model(
        wavs.to(device), lens.to(device), [QUESTION] * batch, [ANSWER] * batch
    ).loss
    loss.backward()
    flat = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return [loss, torch.cat(flat)]


def group(run: Run) -> None:
    """A process group of one: the loss and gradients of one process."""
    backend = "nccl" if run.kind == "cuda" else "gloo"

    def one_rank():
        wavs, lens, _ = clips(run)
        module = c2ser_speed.build("tiny", "cpu", "float32").mods.model
        module = _trainable(module.to(run.device))
        alone = gradients(copy.deepcopy(module), wavs, lens, run.device)
        torch.distributed.init_process_group(
            backend,
            init_method=f"file://{run.folder}/rendezvous",
            rank=0,
            world_size=1,
        )
        try:
            wrapped = torch.nn.parallel.DistributedDataParallel(
                module,
                device_ids=None if run.kind == "cpu" else [0],
                find_unused_parameters=True,
            )
            ours = gradients(wrapped, wavs, lens, run.device)
        finally:
            torch.distributed.destroy_process_group()
        far = apart(ours, alone)
        return {"ok": far <= SAME_GRADIENTS, "fp32": far}

    run.case(f"one rank, {backend}", one_rank)


class _Killed(Exception):
    """A training that ends where nobody planned."""


def resume(run: Run) -> None:
    """Two epochs at once, and the second one from a checkpoint."""
    _, _, rows = clips(run)

    def losses(folder, last):
        folder.mkdir(exist_ok=True)
        torch.manual_seed(0)
        hparams = c2ser_training.load("tiny", folder, run.device)
        brain = c2ser_training.brain_of(
            c2ser_training.TimedBrain, hparams, run.device, "fp32"
        )
        brain.cache = None
        counter, data = hparams["epoch_counter"], speech_dataset(rows)
        counter.limit, ended = 2, brain.on_stage_end

        def stop(stage, loss, epoch=None):
            ended(stage, loss, epoch)
            if stage == Stage.VALID and epoch == last:
                raise _Killed

        brain.on_stage_end = stop
        batching = {"batch_seconds": 1.0, "num_buckets": 2}
        with suppress(_Killed):
            brain.fit(
                counter,
                data,
                data,
                train_loader_kwargs=loader_options(data, **batching, seed=0),
                valid_loader_kwargs=loader_options(
                    data, **batching, shuffle=False
                ),
            )
        return brain.batch_losses

    def both():
        whole = losses(run.folder / "whole", 2)
        first = losses(run.folder / "parts", 1)
        second = losses(run.folder / "parts", 2)
        far = apart([torch.tensor(first + second)], [torch.tensor(whole)])
        # Sums on a card may be in another order in each run.
        limit = 0.0 if run.kind == "cpu" else SAME_GRADIENTS
        fits = bool(second) and far <= limit
        return {"ok": fits, "fp32": far, "batches": len(whole)}

    run.case("checkpoint, resume", both)


def compiled(run: Run) -> None:
    """torch.compile of the encoders' layers over two lengths."""
    inputs = moved(tiny.inputs(), run.device)
    backend = "eager" if run.dry else "inductor"

    @torch.no_grad()
    def encoder(name):
        torch.manual_seed(0)
        lobe = tiny.LOBES[name][0](run.folder).eval().to(run.device)
        quick, far = with_compiled_layers(lobe, backend), 0.0
        for samples in (tiny.SAMPLES, tiny.SAMPLES // 2):
            read = inputs["wavs"][:, :samples], inputs["lens"]
            far = max(far, apart([quick(*read)], [lobe(*read)]))
        return {"ok": far <= SAME, "fp32": far}

    for name in ("Emotion2VecS", "WhisperEncoder"):
        run.case(f"{name}, {backend}", encoder, name)


def nf4(run: Run) -> None:
    """Four-bit weights of a language model, where the card can have them."""

    @torch.no_grad()
    def four_bits():
        if run.kind != "cuda":
            raise Skipped("four-bit weights need CUDA")
        try:
            import bitsandbytes  # noqa: F401
        except ImportError:
            raise Skipped("bitsandbytes is not installed") from None
        source = c2ser_speed.write_llm(run.folder / "llm", "tiny")
        torch.manual_seed(0)
        exact = LanguageModel(source, pretrained=False)
        exact.model.save_pretrained(source)
        small = LanguageModel(
            source, dtype="bfloat16", quantize="nf4", device="auto"
        )
        read, inputs = tiny.LOBES["LanguageModel"][1], tiny.inputs()
        far = apart(
            [read(small, moved(inputs, run.device)).float()],
            [read(exact, inputs)],
        )
        count, stored = (
            sum(getattr(p, size)() if size == "numel" else p.nbytes
                for p in lm.model.get_decoder().layers.parameters())
            for lm, size in ((exact, "numel"), (small, "nbytes"))
        )  # fmt: skip
        each = stored / count
        fits = far <= NF4_STATES and each <= NF4_BYTES
        return {"ok": fits, "nf4": far, "bytes_per_weight": each}

    run.case("nf4", four_bits)
