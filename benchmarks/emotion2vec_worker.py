"""One side of `emotion2vec_speed.py`, in a process of its own.

    python emotion2vec_worker.py '{"side": "funasr", "action": "time", ...}'

Prints one line of JSON. Standard library, torch and safetensors only, beside
the package that is measured.
"""

import json
import os
import platform
import resource
import sys
import time

import torch
from safetensors.torch import load_file, save_file


def funasr_model(config):
    """FunASR's emotion2vec, random weights."""
    from funasr.models.emotion2vec.model import Emotion2vec
    from omegaconf import OmegaConf

    # It takes the options by attribute and by get(), as FunASR's own loader
    # hands them over.
    model = Emotion2vec(model_conf=OmegaConf.create(config), vocab_size=-1)
    return model.eval()


def funasr_runner(job):
    """FunASR's loop: one utterance after the other, normalized."""
    model = funasr_model(job["config"])
    model.load_state_dict(load_file(job["weights"]))

    def run(wavs):
        outputs = []
        for wav in wavs:
            source = torch.nn.functional.layer_norm(wav, wav.shape)
            features = model.extract_features(source[None], padding_mask=None)
            outputs.append(features["x"][0])
        return outputs

    return run


def our_runner(job):
    """Ours: the padded batch at once."""
    from speechbrain_c2ser.checkpoints.converters.emotion2vec import build

    encoder = build(load_file(job["weights"]), job["config"]).encoder
    encoder.requires_grad_(False)
    encoder.to(getattr(torch, job["dtype"]))

    def run(wavs):
        counts = torch.tensor([len(wav) for wav in wavs])
        batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
        speech = encoder.extract(batch, counts.double() / batch.shape[1])
        lengths = speech.lengths.tolist()
        return [x[:n] for x, n in zip(speech.frames, lengths, strict=True)]

    return run


def timed(function, repeats):
    """Seconds of each of several runs, after one that warms up."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


def profile(function):
    """Seconds by kind of operation, of one run."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    kinds = (
        ("attention", ("attention", "softmax")),
        ("convolution", ("conv",)),
        # without gradients the front end's convolutions are among these
        ("matmul", ("mm", "linear")),
        ("layer norm", ("layer_norm",)),
        ("GELU", ("gelu",)),
        ("copies", ("copy", "cat", "pad", "fill", "zero", "empty", "stack")),
    )
    with profiler(activities=[ProfilerActivity.CPU]) as record:
        function()
    seconds = {}
    for event in record.key_averages():
        kind = next(
            (
                kind
                for kind, words in kinds
                if any(word in event.key for word in words)
            ),
            "other",
        )
        self_seconds = event.self_cpu_time_total / 1e6
        seconds[kind] = seconds.get(kind, 0.0) + self_seconds
    return seconds


def matmul_rate(dtype):
    """FLOP/s of a plain matmul of the encoder's commonest shape."""
    x = torch.randn(1024, 768, dtype=dtype)
    weight = torch.randn(3072, 768, dtype=dtype)
    seconds = timed(lambda: torch.nn.functional.linear(x, weight), 30)
    return 2 * 1024 * 768 * 3072 / min(seconds)


def main():
    """Does one job and prints its result."""
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    result = {"torch": torch.__version__, "python": platform.python_version()}
    with torch.inference_mode():
        if job["action"] == "make":
            save_file(
                {
                    key: value.contiguous()
                    for key, value in funasr_model(job["config"])
                    .state_dict()
                    .items()
                },
                job["weights"],
            )
        elif job["action"] == "matmul":
            result["flops"] = matmul_rate(getattr(torch, job["dtype"]))
        else:
            run = {"funasr": funasr_runner, "ours": our_runner}[job["side"]](
                job
            )
            wavs = list(load_file(job["wavs"]).values())
            if job["action"] == "profile":
                run(wavs)
                result["seconds"] = profile(lambda: run(wavs))
            else:
                result["seconds"] = timed(lambda: run(wavs), job["repeats"])
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                result["peak_mib"] = peak / 1024
                outputs = {
                    str(i): x.float().contiguous()
                    for i, x in enumerate(run(wavs))
                }
                save_file(outputs, job["outputs"])
    print(json.dumps(result), flush=True)
    # FunASR leaves threads behind.
    os._exit(0)


if __name__ == "__main__":
    main()
