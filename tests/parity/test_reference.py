"""The golden numbers of the official code, and a checker that can fail."""

import importlib.util
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="module")
def check(root):
    """The checker's main function: check(folder) -> exit status."""
    spec = importlib.util.spec_from_file_location(
        "check_reference", root / "tests/parity/check_reference.py"
    )
    checker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checker)
    return lambda *arguments: checker.main([str(a) for a in arguments])


def test_every_copied_bundle_passes(check, root, capsys):
    status = check(root / "tests/parity/reference")
    table = capsys.readouterr().out
    assert status == 0 and " 0 failed." in table, table


def test_the_large_bundle_passes(check, shared_dir, tmp_path, capsys):
    for suffix in (".json", ".safetensors"):
        shutil.copy(shared_dir / "reference" / f"c2ser_llm{suffix}", tmp_path)
    assert check(tmp_path) == 0, capsys.readouterr().out


@pytest.fixture
def bundle(tmp_path, root):
    """One bundle alone, as (json path, safetensors path)."""
    stem = root / "tests/parity/reference" / "emotion2vec_s_6heads"
    for suffix in (".json", ".safetensors"):
        shutil.copy(stem.with_suffix(suffix), tmp_path)
    stem = tmp_path / stem.name
    return stem.with_suffix(".json"), stem.with_suffix(".safetensors")


def test_a_changed_number_fails(check, bundle, capsys):
    tensors = load_file(bundle[1])
    tensors["outputs/single/x"][0, 5, 7] += 0.01
    save_file(tensors, bundle[1])
    assert check(bundle[0].parent) == 1
    table = capsys.readouterr().out
    failed = [line for line in table.splitlines() if line.endswith("NO")]
    assert len(failed) == 1 and "1.00e-02" in failed[0], table


def test_an_unknown_output_fails(check, bundle, capsys):
    spec = json.loads(bundle[0].read_text())
    outputs = spec["cases"]["single"]["outputs"]
    outputs["surprise"] = dict(outputs["x"])
    bundle[0].write_text(json.dumps(spec))
    assert check(bundle[0].parent) == 1
    assert "surprise" in capsys.readouterr().out


def test_a_foreign_bundle_fails(check, bundle, capsys):
    bundle[0].write_text(json.dumps({"config": {"family": "other"}}))
    assert check(bundle[0].parent) == 1
    assert "no parity module understands" in capsys.readouterr().out


def test_missing_files_fail(check, bundle, tmp_path, capsys):
    bundle[0].unlink()
    assert check(tmp_path) == 1
    assert "json is missing" in capsys.readouterr().out
    bundle[1].unlink()
    assert check(tmp_path) == 1
