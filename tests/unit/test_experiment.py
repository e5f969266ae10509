"""Overlays, overrides and the record of a run."""

import json

import pytest
import torch

from speechbrain_c2ser.training.experiment import (
    find_base,
    load_experiment,
    merge_yaml,
)

BASE = """
seed: 3
output_folder: !PLACEHOLDER
lr: 0.1
encoder: !new:torch.nn.Linear
    in_features: 2
    out_features: 3
decoder: !ref <encoder>
"""


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base.yaml"
    path.write_text(BASE)
    return path


def load(base, tmp_path, *arguments):
    folder = tmp_path / "out"
    argv = [str(base), f"--output_folder={folder}", *arguments]
    return load_experiment(argv)[0]


def test_command_line_wins_over_overlay(base, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("lr: 0.2\nseed: 4\n")
    hparams = load(base, tmp_path, f"--overlay={overlay}", "--lr=0.3")
    assert (hparams["lr"], hparams["seed"]) == (0.3, 4)


def test_overlay_takes_an_object_away(base, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("encoder: null\n")
    hparams = load(base, tmp_path, "--overlay", str(overlay))
    assert hparams["encoder"] is None and hparams["decoder"] is None


def test_overlay_replaces_an_object_and_its_references(base, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("encoder: !new:torch.nn.Identity\n")
    hparams = load(base, tmp_path, "--overlay", str(overlay))
    assert type(hparams["decoder"]).__name__ == "Identity"


def test_plain_mapping_changes_arguments_only(base, tmp_path):
    hparams = load(base, tmp_path, "--encoder={out_features: 5}")
    assert hparams["encoder"].out_features == 5
    assert hparams["decoder"] is hparams["encoder"]


def test_mapping_reaches_the_arguments_of_a_tag_without_any(base, tmp_path):
    (tmp_path / "block.yaml").write_text(
        "!new:torch.nn.Linear\nin_features: 4\nout_features: 6\n"
    )
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("encoder: !include:block.yaml\n")
    two.write_text("encoder:\n    out_features: 7\n")
    hparams = load(base, tmp_path, f"--overlay={one}", f"--overlay={two}")
    encoder = hparams["encoder"]
    assert (encoder.in_features, encoder.out_features) == (4, 7)


def test_an_overlay_adds_one_argument_at_any_depth(base, tmp_path):
    with open(base, "a") as file:
        file.write(
            "heads: !new:builtins.dict\n    heads:\n        a: {x: 1, y: 2}\n"
        )
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("heads: {heads: {b: !ref <more>, a: {y: 3}}}\nmore: 7\n")
    two.write_text("heads: {heads: {c: {z: 4}}}\n")
    given = [f"--overlay={one}", f"--overlay={two}", "--more=8"]
    heads = load(base, tmp_path, *given)["heads"]["heads"]
    assert heads == {"a": {"x": 1, "y": 3}, "b": 8, "c": {"z": 4}}
    assert list(heads) == ["a", "b", "c"]
    two.write_text("heads: {heads: {a: null}}\n")
    assert load(base, tmp_path, *given)["heads"]["heads"]["a"] is None


def test_a_mapping_fills_a_placeholder(base, tmp_path):
    base.write_text(BASE + "train_manifest: !PLACEHOLDER\n")
    given = "--train_manifest={manifest: a.arrow, label: weak}"
    hparams = load(base, tmp_path, given)
    pool = {"manifest": "a.arrow", "label": "weak"}
    assert hparams["train_manifest"] == pool


def test_a_key_that_nothing_refers_to_is_a_slip(base, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("learning_rate: 1\n")
    with pytest.raises(ValueError, match="'learning_rate' .*overlay.yaml"):
        merge_yaml(base, [overlay])


def test_unknown_key_is_named(base, tmp_path):
    with pytest.raises(ValueError, match="'learning_rate'"):
        merge_yaml(base, overrides="learning_rate: 1")
    assert not (tmp_path / "out").exists()


def test_an_option_given_twice_is_named(base):
    with pytest.raises(ValueError, match="--seed is given twice"):
        merge_yaml(base, [], "seed: 1\nseed: 2")


def test_missing_overlay_is_named(base):
    with pytest.raises(FileNotFoundError, match="gone.yaml"):
        merge_yaml(base, ["gone.yaml"])


def test_overlay_without_a_file(base):
    with pytest.raises(ValueError, match="--overlay needs"):
        load_experiment([str(base), "--overlay"])


def test_run_is_recorded(base, tmp_path):
    load(base, tmp_path)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["seed"] == 3
    assert record["versions"]["speechbrain"]
    saved = (tmp_path / "out" / "hyperparams.yaml").read_text()
    assert "lr: 0.1" in saved and "PLACEHOLDER" not in saved


def test_a_file_in_the_place_of_the_model_is_told_first(base, tmp_path):
    model = tmp_path / "out" / "c2ser"
    argv = [str(base), f"--output_folder={tmp_path / 'out'}"]
    base.write_text(BASE + "c2ser_folder: !ref <output_folder>/c2ser\n")
    load_experiment(argv)
    model.mkdir()
    (model / "notes.txt").touch()
    with pytest.raises(ValueError, match="c2ser exists and is no model folder"):
        load_experiment(argv)
    # what is read, not written, may hold anything
    load_experiment([argv[0], f"--output_folder={tmp_path / 'other'}",
                     f"--c2ser_folder={model}"])  # fmt: skip


@pytest.mark.parametrize("has_bf16", [True, False])
def test_bf16_only_where_the_processor_has_it(
    base, tmp_path, monkeypatch, has_bf16
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(
        torch.cpu,
        "get_capabilities",  # torch 2.6 has none
        lambda: {"avx512_bf16": has_bf16},
        raising=False,
    )
    base.write_text(BASE + "precision: bf16\n")
    argv = [str(base), f"--output_folder={tmp_path / 'out'}"]
    hparams, run_opts = load_experiment(argv)
    assert hparams["precision"] == ("bf16" if has_bf16 else "fp32")
    if not has_bf16:
        assert run_opts.precision == "fp32"
    hparams, run_opts = load_experiment([*argv, "--precision=bf16"])
    assert run_opts.precision == "bf16"  # asked for by name


def test_an_overlay_stands_on_the_one_yaml_that_it_names(tmp_path):
    (tmp_path / "sizes").mkdir()
    (tmp_path / "a.yaml").write_text("lr: 1\nseed: 2\n")
    tiny, more = tmp_path / "sizes" / "tiny.yaml", tmp_path / "more.yaml"
    tiny.write_text("# Overlay on: a.yaml\nlr: 3\n")
    more.write_text("# Overlay on: a.yaml b.yaml\nseed: 4\n")
    assert merge_yaml(*find_base(tiny, [more])) == "lr: 3\nseed: 4\n"
    assert find_base(tmp_path / "a.yaml") == (tmp_path / "a.yaml", [])
    with pytest.raises(ValueError, match="give one of a.yaml, b.yaml, then"):
        find_base(more)
    tiny.write_text("# Overlay on: gone.yaml\nlr: 3\n")
    with pytest.raises(FileNotFoundError, match="overlay on gone.yaml"):
        find_base(tiny)


@pytest.mark.parametrize("given", [["--modules", "mine"], ["--modules=mine"]])
def test_own_blocks_given_as_modules_name_the_option(base, tmp_path, given):
    with pytest.raises(ValueError, match="given by --user_modules FILE.py"):
        load(base, tmp_path, *given)
    assert not (tmp_path / "out").exists()
