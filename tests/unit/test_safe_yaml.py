"""A stranger's model folder: nothing in its yaml runs, opens or imports."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from scripts import load_script

from speechbrain_c2ser.checkpoints.c2ser_folder import load_c2ser
from speechbrain_c2ser.checkpoints.converters.emotion2vec import load_encoder
from speechbrain_c2ser.checkpoints.safe_yaml import (
    build_yaml,
    parse_yaml,
    refuse_foreign,
)
from speechbrain_c2ser.checkpoints.size_limit import no_larger_than
from speechbrain_c2ser.inference import (
    C2SER,
    Emotion2VecSEncoder,
    EmotionClassifier,
)

ROOT = Path(__file__).parents[2]
# Each makes the file OWNED, imports the module `owned`, or reads a file.
HOSTILE = {
    "object_apply": "a: !!python/object/apply:os.system ['touch OWNED']",
    "object_new": "a: !!python/object/new:os.system ['touch OWNED']",
    "object": "a: !!python/object:owned.Thing {}",
    "name": "a: !!python/name:owned.thing ''",
    "module": "a: !!python/module:owned ''",
    "verbatim": "a: !<tag:yaml.org,2002:python/name:owned.thing> ''",
    "percent_encoded": "a: !!python%2Fobject%2Fapply:os.system ['touch OWNED']",
    "tag_alias": "%TAG !x! tag:yaml.org,2002:python/\n---\n"
    "a: !x!object/apply:os.system ['touch OWNED']",
    "tag_alias_hyperpyyaml": "%TAG !x! !apply:\n---\n"
    "a: !x!os.system ['touch OWNED']",
    "anchor": "a: &x !!python/object/apply:os.system ['touch OWNED']\nb: *x",
    "anchor_plain": "a: &x {b: 1}\nc: *x",
    "cycle": "a: &x [*x]",
    "bomb": "a: &a [1, 1]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]",
    "merge_key": "a: {<<: {b: 1}}",
    "apply": "a: !apply:os.system ['touch OWNED']",
    "applyref": "a: !applyref:os.system ['touch OWNED']",
    "hyperpyyaml_name": "a: !name:os.system ['touch OWNED']",
    "hyperpyyaml_module": "a: !module:owned",
    "include": "a: !include:secret.yaml",
    "include_space": "a: !include secret.yaml",
    "foreign_class": "a: !new:subprocess.Popen [['touch', 'OWNED']]",
    "foreign_module": "a: !new:owned.Thing",
    "deep_attribute": "a: !new:speechbrain_c2ser.lobes.padding.torch.nn.Linear "
    "[1, 1]",
    "attribute_of_labels": "a: !new:speechbrain_c2ser.labels.space.Lexicon",
    "function_of_lobes": "a: !new:speechbrain_c2ser.lobes.import_module [os]",
    "lookalike": "a: !new:speechbrain_c2ser.lobes_evil.MaskedMean [4]",
    "lookalike_labels": "a: !new:speechbrain_c2ser.labels_evil.LabelSpace []",
    "tag_of_a_key": "? !!python/object/apply:os.system ['touch OWNED']\n: 1",
    "nested_in_arguments": "a: !new:speechbrain_c2ser.lobes.MaskedMean\n"
    "    input_size: !apply:os.system ['touch OWNED']",
    "directive_behind_bom": "\ufeff%TAG ! tag:yaml.org,2002:\n---\na: !str b",
    "second_document": "a: 1\n---\n"
    "a: !!python/object/apply:os.system ['touch OWNED']",
    "ref_to_object": "m: {b: 1}\na: !ref <m.b.__class__>",
    "ref_nowhere": "a: !ref <b> * 3",
    "copy": "b: {c: 1}\na: !copy <b>",
    "placeholder": "a: !PLACEHOLDER",
    "no_mapping": "- 1",
    "empty": "",
    "twice": "a: 1\na: 2",
    "too_deep": "a: " + "[" * 3000 + "]" * 3000,
    "binary_python": "a: !!python/bytes 'AA=='",
    "tuple": "a: !!python/tuple [1]",
    "set": "a: !!set {b}",
    "timestamp_tag": "a: !!timestamp 2020-01-01",
}
REFUSED = "refused|no readable yaml|no mapping|refers to|twice|has no model"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """folder(text) -> a model folder with this yaml; a module to import."""
    (tmp_path / "owned.py").write_text("open('OWNED', 'w')\nThing = dict\n")
    (tmp_path / "secret.yaml").write_text("password: 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def build(text):
        place = tmp_path / "model"
        place.mkdir()
        (place / "hyperparams.yaml").write_text(text + "\n")
        save_file({"a": torch.zeros(1)}, place / "model.safetensors")
        return place

    yield build
    assert not (tmp_path / "OWNED").exists()
    assert "owned" not in sys.modules


LOADERS = {
    "C2SER": C2SER.from_hparams,
    "EmotionClassifier": EmotionClassifier.from_hparams,
    "Emotion2VecSEncoder": Emotion2VecSEncoder.from_hparams,
    "load_c2ser_with_llm": lambda folder: load_c2ser(folder, llm="elsewhere"),
    "emotion2vec_source": load_encoder,
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_refused(folder, name, loader):
    place = folder(HOSTILE[name])
    with pytest.raises(ValueError, match=REFUSED):
        LOADERS[loader](place)


LOBE = "model: !new:speechbrain_c2ser.lobes."
BLOCK = LOBE + "Block {output_size: 1, of: "
# Nothing of these runs code; they fill memory, hang, write or crash.
WRONG = {
    "key_of_list": ("? [a]\n: 1", "a key that is no text"),
    "key_of_map": ("a: {? {b: 1} : 2}", "a key that is no text"),
    "number": ("a: " + "9" * 5000, "is no int"),
    "bool": ("a: !!bool x", "'x' is no bool"),
    "command": (
        BLOCK + "os.system, arguments: {command: touch OWNED}}",
        "not built of os.system",
    ),
    "hub": (
        BLOCK + "torch.hub.load, arguments: {repo_or_dir: owned}}",
        "not built of torch.hub.load",
    ),
    "attribute": (
        BLOCK + "torch.nn.functional.os.system, arguments: {}}",
        "not built of torch.nn.functional.os.system",
    ),
    "negative": (
        BLOCK + "torch.nn.Linear, arguments: "
        "{in_features: -5, out_features: 3}}",
        "hyperparams.yaml: Block cannot be built",
    ),
    "terabytes": (
        BLOCK + "torch.nn.Linear, arguments: "
        "{in_features: 900000, out_features: 900000}}",
        "Block cannot be built",
    ),
    "gigabytes": (
        BLOCK + "torch.nn.Linear, arguments: "
        "{in_features: 30000, out_features: 30000}}",
        "larger than the weights beside it",
    ),
    "layers": (
        BLOCK + "torch.nn.GRU, arguments: "
        "{input_size: 64, hidden_size: 64, num_layers: 1000000}}",
        "larger than the weights beside it",
    ),
    "small_layers": (
        BLOCK + "torch.nn.GRU, arguments: "
        "{input_size: 1, hidden_size: 1, num_layers: 1000000}}",
        "larger than the weights beside it",
    ),
    "tables": (
        LOBE + "LogMel {n_mels: 100000, window: 0.1}",
        "LogMel cannot be built: it is larger than the weights beside it",
    ),
    "tables_at_once": (
        LOBE + "LogMel {n_mels: 1000000, window: 1.0}",
        "LogMel cannot be built: it is larger than the weights beside it",
    ),
    "spectrum": (
        LOBE + "Emotion2VecS {conv_layers: [[96, 5, 2]], spectrum: "
        "{bands: 80, lags: 1000000, window: 1000000, hop: 320}}",
        "Emotion2VecS cannot be built: it is larger than the weights beside",
    ),
    "cepstra": (
        LOBE + "SpeechFunctionals {n_mels: 1000000, n_cepstra: 1000}",
        "SpeechFunctionals cannot be built: it is larger than the weights",
    ),
    "columns": (
        LOBE + "SpeechFunctionals {n_mels: 8, n_cepstra: 1000000}",
        "8 mel bands have no 1000000 cepstral coefficients",
    ),
    "whisper_filters": (
        LOBE + "WhisperEncoder {num_layers: 1, size: 4, num_heads: 1, "
        "ffn_size: 1, max_positions: 2, n_mels: 300000}",
        "300000 mel bands are too many",
    ),
    "filters": (LOBE + "LogMel {n_mels: 1000000000}", "more than any size"),
    "hidden_by_nan": (
        LOBE + "LogMel {hop: .nan, n_mels: 1000000000}",
        "number of nan, which is more than any size, or no number",
    ),
    "no_float": (LOBE + f"LogMel {{n_mels: 1{400 * '0'}}}", "number of 1e.300"),
    "division": (
        LOBE + "Emotion2VecS {num_heads: 0, embed_dim: 8}",
        "Emotion2VecS cannot be built",
    ),
    "cache": (
        LOBE + "WhisperEncoder {source: a/b, save_path: OWNED}",
        "wants to write to 'OWNED'",
    ),
    "written_by_place": (
        LOBE + "WhisperEncoder [a/b, false, OWNED]",
        "wants to write to 'OWNED'",
    ),
    "too_many_by_place": (
        LOBE + "MaskedMean [1, 2, 3, 4, 5, 6, 7]",
        "too many positional arguments",
    ),
    "long": ("# " + "a" * 300000, "more than any settings"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_built_is_one_sentence(folder, name):
    text, problem = WRONG[name]
    place = folder(f"format: 1\n{text}")
    for loader in (C2SER.from_hparams, EmotionClassifier.from_hparams):
        with pytest.raises(ValueError, match=problem):
            loader(place)


@pytest.mark.parametrize(
    "build",
    [
        lambda: torch.zeros(10**12),
        lambda: torch.arange(10**6).unsqueeze(1) * torch.arange(10**6),
        lambda: torch.zeros(1).expand(10**12).clone(),
        lambda: [torch.zeros(10**6) for _ in range(100)],
        lambda: [torch.zeros(1) for _ in range(100_000)],
    ],
)
def test_tensors_are_counted_before_they_take_memory(build):
    with pytest.raises(RuntimeError, match="larger than the weights beside"):
        with no_larger_than(1000):
            build()


def test_what_takes_no_memory_is_not_counted():
    with no_larger_than(1000):
        torch.zeros(1).expand(10**12).view(10**6, 10**6)
        torch.nn.Linear(10**6, 10**6, device="meta").double()
        changed = torch.zeros(10**6)
        for _ in range(100):
            changed.add_(1)


def test_settings_that_are_no_text(folder):
    place = folder("a: 1")
    (place / "hyperparams.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="no text in UTF-8"):
        C2SER.from_hparams(place)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_baseline_builds_nothing_of_it(folder, name, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "recipes" / "Baselines"))
    module = load_script(ROOT / "recipes/Baselines/speechbrain_wav2vec2.py")
    place = folder(HOSTILE[name])
    before = sorted(place.parent.rglob("*")), set(sys.modules)
    with pytest.raises(ValueError, match="names no wav2vec2_hub|no readable"):
        module.load(place)
    assert (sorted(place.parent.rglob("*")), set(sys.modules)) == before


def test_a_hostile_tail_is_seen_before_anything_is_built(folder, monkeypatch):
    from speechbrain_c2ser.lobes.classifier import poolings

    def build(self, input_size):
        pytest.fail("built before the whole text was checked")

    monkeypatch.setattr(poolings.MaskedMean, "__init__", build)
    text = "a: !new:speechbrain_c2ser.lobes.MaskedMean [4]\n"
    with pytest.raises(ValueError, match="refused"):
        C2SER.from_hparams(folder(text + HOSTILE["apply"]))


def test_what_a_folder_needs_is_read():
    text = """
folder: .
number: 1e-05
nothing: null
words: ["yes", 'no', 1, 1.5, true]
space: !new:speechbrain_c2ser.labels.LabelSpace
    names: [angry, sad]
old_path: !new:speechbrain_c2ser.lobes.poolings.MaskedMean
    input_size: 4
place: !ref <folder>/llm
"""
    root = parse_yaml(text, "x.yaml", {"folder": "here"})
    settings = build_yaml(root, "x.yaml")
    assert settings["number"] == 1e-5 and settings["nothing"] is None
    assert settings["words"] == ["yes", "no", 1, 1.5, True]
    assert settings["space"].names == ["angry", "sad"]
    assert settings["old_path"].output_size == 4
    assert settings["place"] == "here/llm"


def test_own_classes_by_allow(tmp_path, monkeypatch):
    (tmp_path / "blocks_of_mine.py").write_text(
        "from collections import OrderedDict\nclass Mine:\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "a: !new:blocks_of_mine.Mine"
    with pytest.raises(ValueError, match="name its module in `allow`"):
        refuse_foreign(text, "x.yaml")
    allow = ["blocks_of_mine"]
    root = parse_yaml(text, "x.yaml", allow=allow)
    assert type(build_yaml(root, "x.yaml")["a"]).__name__ == "Mine"
    root = parse_yaml(text.replace("Mine", "OrderedDict"), "x.yaml", {}, allow)
    with pytest.raises(ValueError, match="there is no blocks_of_mine.Ordered"):
        build_yaml(root, "x.yaml")
