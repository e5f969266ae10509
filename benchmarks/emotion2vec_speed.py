#!/usr/bin/env python3
"""How fast Emotion2VecS is, beside FunASR's emotion2vec on the same weights.

    python benchmarks/emotion2vec_speed.py --json speed.json

FunASR gets an environment of its own (results/benchmarks/funasr), with the
same torch. Both get the same random weights at the published size (768-d, 12
heads, 4 + 8 blocks) and the same noise: 2 s, 10 s and 30 s alone, and 8
mixed lengths of 2-12 s, where FunASR loops over them one by one, as its own
inference does, and ours takes the padded batch. Every measurement is a fresh
process; the sides take turns. Run nothing beside it.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
WORKER = Path(__file__).resolve().with_name("emotion2vec_worker.py")
VENV = ROOT / "results" / "benchmarks" / "funasr"
SIZES = {
    "base": {
        "embed_dim": 768,
        "heads": 12,
        "prenet": 4,
        "depth": 8,
        "conv": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2",
        "groups": 16,
    },
    "tiny": {
        "embed_dim": 48,
        "heads": 4,
        "prenet": 1,
        "depth": 2,
        "conv": "[(32, 10, 5)] + [(32, 3, 2)] * 4 + [(32, 2, 2)] * 2",
        "groups": 4,
    },
}
SETTINGS = {
    "2 s": [2.0],
    "10 s": [10.0],
    "30 s": [30.0],
    "mixed": [2.0, 3.1, 4.9, 6.3, 7.8, 9.2, 10.7, 12.0],
}


def official_config(size):
    """FunASR's options at one size; dropouts and masking play no part."""
    return {
        "loss_beta": 0.0,
        "loss_scale": None,
        "start_drop_path_rate": 0.0,
        "end_drop_path_rate": 0.0,
        "norm_affine": True,
        "encoder_dropout": 0.1,
        "post_mlp_drop": 0.1,
        "attention_dropout": 0.1,
        "activation_dropout": 0.0,
        "dropout_input": 0.0,
        "layerdrop": 0.05,
        "average_top_k_layers": size["depth"],
        "end_of_block_targets": False,
        "clone_batch": 8,
        "normalize": True,
        "num_heads": size["heads"],
        "embed_dim": size["embed_dim"],
        "depth": size["depth"],
        "layer_norm_first": False,
        "norm_eps": 1e-5,
        "mlp_ratio": 4.0,
        "modalities": {
            "audio": {
                "type": "AUDIO",
                "prenet_layerdrop": 0.05,
                "prenet_dropout": 0.1,
                "start_drop_path_rate": 0.0,
                "end_drop_path_rate": 0.0,
                "init_extra_token_zero": True,
                "mask_noise_std": 0.01,
                "mask_prob_min": None,
                "mask_prob": 0.5,
                "inverse_mask": False,
                "mask_prob_adjust": 0.05,
                "keep_masked_pct": 0.0,
                "mask_length": 5,
                "add_masks": False,
                "remove_masks": False,
                "mask_dropout": 0.0,
                "encoder_zero_mask": True,
                "mask_channel_prob": 0.0,
                "mask_channel_length": 64,
                "ema_local_encoder": False,
                "local_grad_mult": 1.0,
                "learned_alibi": False,
                "alibi_max_pos": None,
                "extractor_mode": "layer_norm",
                "conv_pos_pre_ln": False,
                "num_alibi_heads": size["heads"],
                "model_depth": size["depth"],
                "decoder": None,
                "feature_encoder_spec": size["conv"],
                "prenet_depth": size["prenet"],
                "num_extra_tokens": 10,
                "conv_pos_depth": 5,
                "conv_pos_width": 95,
                "conv_pos_groups": size["groups"],
                "use_alibi_encoder": True,
                "alibi_scale": 1.0,
                "learned_alibi_scale": True,
                "learned_alibi_scale_per_head": True,
                "learned_alibi_scale_per_layer": False,
            }
        },
    }


def operations(config, seconds):
    """Floating point operations of one utterance."""
    from speechbrain_c2ser.checkpoints.converters import (
        emotion2vec_architecture as architecture,
    )

    audio = config["modalities"]["audio"]
    frames, total, channels = int(seconds * 16000), 0, 1
    for size, kernel, stride in architecture.parse_conv_layers(
        audio["feature_encoder_spec"]
    ):
        frames = (frames - kernel) // stride + 1
        total += 2 * frames * kernel * channels * size
        channels = size
    width, places = config["embed_dim"], frames + audio["num_extra_tokens"]
    total += 2 * frames * channels * width
    kernel = audio["conv_pos_width"] // audio["conv_pos_depth"]
    group = width // audio["conv_pos_groups"]
    total += audio["conv_pos_depth"] * 2 * frames * kernel * group * width
    mlp = config["mlp_ratio"]
    block = 2 * places * (4 + 2 * mlp) * width**2 + 4 * places**2 * width
    return total + (audio["prenet_depth"] + config["depth"]) * block


def make_environment():
    """FunASR with our torch, in an environment of its own.

    Returns
    -------
    Path
        Its interpreter.
    """
    python = VENV / "bin" / "python"
    if (VENV / "complete").is_file():
        return python
    print(f"Installing FunASR into {VENV} (minutes, once).", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    version = torch.__version__.partition("+")[0]
    packages = [f"torch=={version}", "torchaudio", "funasr", "safetensors"]
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *packages], check=True
    )
    # Beside a CPU build of torch, torchaudio's native library asks for CUDA
    # and cannot load; without it torchaudio is pure Python and imports.
    check = [python, "-c", "import torchaudio"]
    if subprocess.run(check, capture_output=True).returncode:
        for library in VENV.glob(
            "lib/python*/site-packages/torchaudio/lib/*.so"
        ):
            print(f"Setting {library.name} aside: it cannot load here.")
            library.rename(library.with_name(library.name + ".unused"))
        subprocess.run(check, check=True)
    (VENV / "complete").touch()
    return python


def work(python, job):
    """Runs the worker and returns what it reports."""
    done = subprocess.run(
        [str(python), str(WORKER), json.dumps(job)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env=None,
    )
    if done.returncode:
        raise RuntimeError(
            f"The {job['side']} worker failed:\n{done.stderr[-2000:]}"
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(pythons, job, settings, sides, rounds, folder):
    """Times every side on every setting.

    Arguments
    ---------
    pythons : dict
        Interpreter of each side.
    job : dict
        What all workers need.
    settings : dict
        Name → seconds of each utterance.
    sides : dict
        Name → what its worker needs.
    rounds : int
        Processes for each; the sides take turns.
    folder : Path
        For waveforms and outputs.

    Returns
    -------
    dict
        Setting → side → {"seconds", "runs", "peak_mib"}.
    """
    results = {name: {} for name in settings}
    bar = tqdm(total=len(settings) * len(sides) * rounds, unit="run")
    for name, lengths in settings.items():
        generator = torch.Generator().manual_seed(7)
        wavs = {
            str(i): 0.1 * torch.randn(int(16000 * s), generator=generator)
            for i, s in enumerate(lengths)
        }
        save_file(wavs, folder / "wavs.safetensors")
        runs = {side: [] for side in sides}
        peaks = {side: [] for side in sides}
        for _ in range(rounds):
            for side, special in sides.items():
                outputs = folder / f"{name}-{side}.safetensors"
                report = work(
                    pythons[special["side"]],
                    {
                        **job,
                        **special,
                        "action": "time",
                        "wavs": str(folder / "wavs.safetensors"),
                        "outputs": str(outputs),
                    },
                )
                runs[side] += report["seconds"]
                peaks[side].append(report["peak_mib"])
                bar.update()
        for side in sides:
            results[name][side] = {
                "seconds": statistics.median(runs[side]),
                "runs": runs[side],
                "peak_mib": max(peaks[side]),
            }
    bar.close()
    return results


def compare(folder, name, side, reference):
    """Largest difference and lowest cosine per frame of two sides' outputs."""
    ours = load_file(folder / f"{name}-{side}.safetensors")
    theirs = load_file(folder / f"{name}-{reference}.safetensors")
    difference, cosine = 0.0, 1.0
    for key, frames in theirs.items():
        difference = max(difference, float((ours[key] - frames).abs().max()))
        similar = torch.cosine_similarity(ours[key], frames, dim=-1)
        cosine = min(cosine, float(similar.min()))
    return difference, cosine


def bfloat16_in_hardware():
    """Whether this processor multiplies bfloat16 itself."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def processor():
    """The processor's name and what matters here of its instructions."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor(), []
    name = next(
        (line for line in text.splitlines() if line.startswith("model name")),
        "",
    ).partition(": ")[2]
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return name, [flag for flag in wanted if f" {flag}" in text]


def main():
    """Runs the benchmark and prints its tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=None)
    parser.add_argument("--rounds", type=int, default=2, metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), metavar="N"
    )
    parser.add_argument(
        "--bf16",
        choices=("auto", "yes", "no"),
        default="auto",
        help="auto: where the processor has bfloat16 instructions",
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()

    config = official_config(SIZES[options.size])
    settings = {k: SETTINGS[k] for k in options.settings or SETTINGS}
    pythons = {"funasr": make_environment(), "ours": sys.executable}
    sides = {
        "FunASR": {"side": "funasr", "dtype": "float32"},
        "ours": {"side": "ours", "dtype": "float32"},
    }
    if options.bf16 == "yes" or (
        options.bf16 == "auto" and bfloat16_in_hardware()
    ):
        sides["ours bf16"] = {"side": "ours", "dtype": "bfloat16"}
    name, flags = processor()
    report = {
        "size": options.size,
        "processor": name,
        "instructions": flags,
        "threads": options.threads,
        "torch": torch.__version__,
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        job = {
            "config": config,
            "weights": str(folder / "weights.safetensors"),
            "threads": options.threads,
            "repeats": options.repeats,
        }
        work(pythons["funasr"], {**job, "side": "funasr", "action": "make"})
        results = measure(pythons, job, settings, sides, options.rounds, folder)
        report["settings"] = {
            setting: describe(
                setting, lengths, results[setting], config, folder
            )
            for setting, lengths in settings.items()
        }
        report["limits"] = limits(
            report["settings"], sides, pythons, job, folder
        )
    summarise(report)
    print_tables(report)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=1, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


def describe(setting, lengths, results, config, folder):
    """Everything about one setting."""
    audio = sum(lengths)
    flops = sum(operations(config, seconds) for seconds in lengths)
    description = {"audio_seconds": audio, "gflop": flops / 1e9, "sides": {}}
    for side, result in results.items():
        seconds = result["seconds"]
        description["sides"][side] = {
            **result,
            "audio_seconds_per_second": audio / seconds,
            "gflop_per_second": flops / seconds / 1e9,
            "ratio": results["FunASR"]["seconds"] / seconds,
        }
        if side != "FunASR":
            difference, cosine = compare(folder, setting, side, "FunASR")
            description["sides"][side]["max_abs_diff"] = difference
            description["sides"][side]["min_cosine"] = cosine
    return description


def limits(settings, sides, pythons, job, folder):
    """What the time of the last setting goes to, and the machine's limit."""
    setting = settings[list(settings)[-1]]
    rates = {}
    for side, special in sides.items():
        if special["side"] != "ours":
            continue
        common = {**job, **special, "wavs": str(folder / "wavs.safetensors")}
        rate = work(sys.executable, {**common, "action": "matmul"})["flops"]
        profile = work(pythons["ours"], {**common, "action": "profile"})
        total = sum(profile["seconds"].values())
        ideal = setting["gflop"] * 1e9 / rate
        rates[side] = {
            "plain_matmul_gflop_per_second": rate / 1e9,
            "seconds_as_plain_matmul": ideal,
            "share_of_plain_matmul": ideal / setting["sides"][side]["seconds"],
            "share_of_time": {
                kind: seconds / total
                for kind, seconds in sorted(
                    profile["seconds"].items(), key=lambda item: -item[1]
                )
            },
        }
    return rates


def summarise(report):
    """The figures that are looked for, at the top level."""
    settings = report["settings"]
    mixed = settings.get("mixed", {"sides": {}})["sides"]
    for key, side in (("fp32", "ours"), ("bf16", "ours bf16")):
        report[f"ratio_mixed_{key}"] = mixed.get(side, {}).get("ratio")
    singles = [s for name, s in settings.items() if name != "mixed"]
    report["ratio_single_fp32"] = {
        name: settings[name]["sides"]["ours"]["ratio"]
        for name in settings
        if name != "mixed"
    }
    report["max_abs_diff"] = max(
        (s["sides"]["ours"]["max_abs_diff"] for s in singles), default=None
    )
    report["min_cosine_bf16"] = min(
        (
            s["sides"]["ours bf16"]["min_cosine"]
            for s in settings.values()
            if "ours bf16" in s["sides"]
        ),
        default=None,
    )


def print_tables(report):
    """Prints what was measured."""
    print(
        f"\n{report['processor']} ({', '.join(report['instructions'])}), "
        f"{report['threads']} threads, torch {report['torch']}, size "
        f"{report['size']}\n"
    )
    row = "{:8} {:10} {:>9} {:>9} {:>7} {:>8} {:>9} {:>10} {:>9}"
    print(
        row.format(
            "setting",
            "side",
            "seconds",
            "audio/s",
            "ratio",
            "GFLOP/s",
            "peak MiB",
            "max diff",
            "cosine",
        )
    )
    for name, setting in report["settings"].items():
        for side, result in setting["sides"].items():
            compared = "max_abs_diff" in result
            print(
                row.format(
                    name,
                    side,
                    f"{result['seconds']:.3f}",
                    f"{result['audio_seconds_per_second']:.1f}",
                    f"{result['ratio']:.2f}x",
                    f"{result['gflop_per_second']:.0f}",
                    f"{result['peak_mib']:.0f}",
                    f"{result['max_abs_diff']:.1e}" if compared else "",
                    f"{result['min_cosine']:.6f}" if compared else "",
                )
            )
    for side, limit in report["limits"].items():
        print(
            f"\n{side}, {list(report['settings'])[-1]}: "
            f"{100 * limit['share_of_plain_matmul']:.0f} % of a plain matmul "
            f"of the same operations "
            f"({limit['plain_matmul_gflop_per_second']:.0f} GFLOP/s, "
            f"{limit['seconds_as_plain_matmul']:.3f} s). The time goes to:"
        )
        for kind, share in limit["share_of_time"].items():
            print(f"  {kind:12} {100 * share:5.1f} %")


if __name__ == "__main__":
    sys.exit(main())
