"""Small data: the connector is taught, training goes on from it and listens."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from speechbrain_c2ser.data.synthetic import corpus as synthetic
from speechbrain_c2ser.evaluation.metrics import edit_rate
from speechbrain_c2ser.inference.c2ser import C2SER
from speechbrain_c2ser.lobes import LanguageModel, WordConnector
from speechbrain_c2ser.training.experiment import load_experiment
from speechbrain_c2ser.training.word_teaching import FrameTeacher

ROOT = Path(__file__).parents[2]
FULL = str(ROOT / "hparams" / "c2ser" / "full.yaml")
SIZE = ROOT / "hparams" / "c2ser" / "sizes" / "small_data.yaml"


@pytest.fixture(scope="module")
def arguments(corpus, options, tiny_llm, tiny_whisper):
    """arguments(output, **changes) -> the command line at tiny size."""
    labels = json.dumps(list(synthetic.EMOTIONS))

    def build(output, **changes):
        return [
            FULL,
            "--overlay",
            str(SIZE),
            *options(
                corpus,
                output,
                whisper_source=tiny_whisper,
                llm_source=tiny_llm,
                label_names=labels,
                acoustic_encoder="{layers: [0, -1]}",
                **changes,
            ),
        ]

    return build


@pytest.fixture(scope="module")
def connector(recipe, arguments, tmp_path_factory):
    """Output folder of a taught connector."""
    output = tmp_path_factory.mktemp("connector")
    argv = arguments(output, number_of_epochs=None)
    recipe("train_connector").train(*load_experiment(argv))
    return output


def test_the_connector_is_taught(connector):
    figures = json.loads((connector / "connector.json").read_text())
    assert figures["heads"].keys() == {"emotion", "speed", "pitch", "volume"}
    losses = [epoch["train_loss"] for epoch in figures["frames"]]
    assert losses[-1] < losses[0]
    errors = [epoch["valid_content_error"] for epoch in figures["frames"]]
    assert all(0 < error < 3 for error in errors)
    tensors = load_file(connector / "c2ser" / "model.safetensors")
    head = tensors["perception.connector.heads.emotion.weight"]
    assert head.abs().sum(1).min() > 0
    deviation = tensors["perception.connector.deviation"]
    assert not torch.equal(deviation, torch.ones_like(deviation))


def test_training_goes_on_from_it(recipe, arguments, connector, tmp_path):
    stage = recipe("train_mixed")
    start = connector / "c2ser"
    argv = arguments(tmp_path, number_of_epochs=1, start_from=start)
    brain = stage.train(stage.MixedBrain, *load_experiment(argv))
    modes = brain.modes(
        type("Batch", (), {"id": [str(n) for n in range(40)]}), None
    )
    assert set(modes) == {"implicit"}  # evaluated now
    brain.modules.train()
    mixed = brain.hparams.curriculum.modes([str(n) for n in range(40)], 1.0)
    assert set(mixed) == {"implicit", "explicit"}
    before = load_file(start / "model.safetensors")
    after = load_file(tmp_path / "c2ser" / "model.safetensors")
    for key in before:
        kept = "heads" in key or "encoder" in key or ".words_" in key
        if kept:
            assert torch.equal(before[key], after[key]), key
    assert any(not torch.equal(before[key], after[key]) for key in before)
    line = json.loads((tmp_path / "train_log.jsonl").read_text())
    assert line["valid_loss_of_other_speech"] > 0


def test_a_frozen_base_is_held_as_its_computation_asks(recipe):
    asked = []
    lm = SimpleNamespace(frozen=True, hold_for=asked.append)
    hold = recipe("train_explicit").hold_frozen_base
    hold(lm, "bf16")
    hold(lm, "fp32")
    lm.frozen = False
    hold(lm, "bf16")
    assert asked == [torch.bfloat16, torch.float32]


def test_an_opened_base_is_held_as_its_computation_asks(connector, monkeypatch):
    module = "speechbrain_c2ser.lobes.speech_llm.language_model.type_to_hold"
    asked = []
    for wanted in (None, torch.float32):

        def answer(model, dtype, wanted=wanted):
            asked.append(dtype)
            return wanted

        monkeypatch.setattr(module, answer)
        c2ser = C2SER.from_hparams(connector / "c2ser")
        dtype = c2ser.mods.model.language_model.model.dtype
        assert dtype == (wanted or torch.bfloat16)
    assert asked == [c2ser.dtype] * 2


def test_the_folder_answers(connector, corpus):
    c2ser = C2SER.from_hparams(connector / "c2ser")
    wavs = 0.1 * torch.randn(2, 16000)
    lens = torch.tensor([1.0, 0.6])
    together = c2ser.describe_batch(wavs, lens, max_new_tokens=4)
    alone = c2ser.describe_batch(wavs[1:, :9600], None, max_new_tokens=4)
    assert together[1].probabilities == pytest.approx(
        alone[0].probabilities, abs=1e-5
    )


@pytest.mark.parametrize("gap, warned", [(0.0, True), (1.0, False)])
def test_a_model_that_does_not_listen_is_told(recipe, caplog, gap, warned):
    stage = recipe("train_explicit")
    losses = {"own": 1.0, "others": 1.0 + gap}
    stage.warn_if_deaf(3, losses)
    assert ("Epoch 3: the model does not listen" in caplog.text) == warned


@pytest.fixture
def demo(monkeypatch):
    """The module of the demo's steps on pre-trained parts."""
    monkeypatch.syspath_prepend(str(ROOT / "recipes" / "Synthetic"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield __import__("pretrained_demo")
    sys.modules.pop("pretrained_demo")


def test_demo_names_a_part_that_cannot_be_had(demo):
    sources = {"whisper": "no/whisper", "llm": None, "emotion2vec": None}
    with pytest.raises(demo.StepFailed, match="the Whisper no/whisper .*WHIS"):
        demo.PretrainedDemo("small_data", sources)
    with pytest.raises(demo.StepFailed, match="SIZE=huge"):
        demo.PretrainedDemo("huge", sources)


@pytest.fixture
def sources(tiny_whisper, tiny_llm):
    return {
        "whisper": str(tiny_whisper),
        "llm": str(tiny_llm),
        "emotion2vec": None,
    }


def test_demo_names_a_part_that_the_memory_cannot_hold(
    demo, sources, monkeypatch
):
    monkeypatch.setattr(demo, "memory_of_machine", lambda: 1000)
    with pytest.raises(demo.StepFailed, match="Whisper .* GiB of memory"):
        demo.PretrainedDemo("small_data", sources)


@pytest.mark.parametrize(
    ("spoken", "message"),
    [
        ({"angry": "aa", "sad": "a"}, "are of one speaker .'a'."),
        ({"angry": "ab", "sad": "bb"}, "'sad' by one speaker only .'b'."),
        ({"angry": "ab" * 3, "sad": "ababa"}, "are 5 recordings of 'sad'"),
        ({"angry": "ab" * 3, "sad": "ba" * 3}, None),
    ],
)
def test_speakers_too_few_are_refused_before_long_work(
    demo, sources, tmp_path, spoken, message
):
    items = {
        f"{emotion}{n}": {
            "wav": "a.wav",
            "duration": 1.0,
            "emotion": emotion,
            "speaker": speaker,
        }
        for emotion, speakers in spoken.items()
        for n, speaker in enumerate(speakers)
    }
    (tmp_path / "train.json").write_text(json.dumps(items))
    check = demo.PretrainedDemo("small_data", sources).check
    if message is None:
        check(tmp_path)
    else:
        with pytest.raises(demo.StepFailed, match=message):
            check(tmp_path)


def test_a_corpus_is_told_as_done_only_if_it_is_not_refused(
    demo, tmp_path, monkeypatch, capsys
):
    run_demo = __import__("run_demo")
    seen = []

    class Pretrained:
        def check(self, corpus):
            seen.append(corpus)
            raise run_demo.StepFailed("refused")

    monkeypatch.setattr(run_demo.Step, "run", lambda *arguments: 1.0)
    output = tmp_path / "out"
    with pytest.raises(run_demo.StepFailed, match="refused"):
        run_demo.run(output, tmp_path, False, Pretrained())
    assert seen == [output / "corpus"] and not output.exists()
    assert capsys.readouterr().out == ""
    sys.modules.pop("run_demo")


def test_the_connector_is_not_taught_by_one_speaker(
    recipe, arguments, corpus, tmp_path, monkeypatch
):
    stage = recipe("train_connector")

    def late(*arguments):
        raise AssertionError("the encoders were run")

    monkeypatch.setattr(stage, "listen", late)
    rows = json.loads((corpus / "train.json").read_text())
    for row in rows.values():
        row["speaker"] = "one"
    (tmp_path / "one.json").write_text(json.dumps(rows))
    argv = arguments(
        tmp_path / "out",
        number_of_epochs=None,
        train_manifest=tmp_path / "one.json",
    )
    with pytest.raises(ValueError, match="are of one speaker"):
        stage.train(*load_experiment(argv))


@pytest.mark.parametrize(
    "overlay",
    sorted((ROOT / "hparams/c2ser/ablations/small_data").glob("*.yaml")),
    ids=lambda path: path.stem,
)
def test_ablations_of_this_size_run(recipe, arguments, overlay, tmp_path):
    name = overlay.stem

    def command(output, **changes):
        argv = [*arguments(output, **changes), f"--overlay={overlay}"]
        if name in ("last_layer", "no_acoustic"):
            # the miniature's own layers would win over the overlay
            argv = [a for a in argv if not a.startswith("--acoustic_encoder")]
        return argv

    argv = command(tmp_path / "connector", number_of_epochs=None)
    figures = recipe("train_connector").train(*load_experiment(argv))
    assert ("heads" in figures) == (name != "no_acoustic")
    assert ("frames" in figures) == (name != "no_semantic")
    stage = recipe("train_mixed")
    start = tmp_path / "connector" / "c2ser"
    argv = command(tmp_path / "model", number_of_epochs=1, start_from=start)
    hparams, run_opts = load_experiment([*argv, "--debug"])
    brain = stage.train(stage.MixedBrain, hparams, run_opts)
    perception = brain.hparams.model.perception
    if name == "explicit_only":
        assert hparams["curriculum"].modes(["a"], 0.9) == ["explicit"]
    elif name == "last_layer":
        assert perception.acoustic_encoder.layers == [-1]
    elif name == "no_acoustic":
        assert perception.acoustic_encoder is None
    else:
        assert perception.semantic_encoder is None
    assert (tmp_path / "model" / "c2ser" / "model.safetensors").is_file()


def test_the_rates_of_the_frames_training_are_the_schedules(
    recipe, tiny_llm, monkeypatch
):
    stage = recipe("train_connector")
    asked = []

    class Still:
        peak = 1.0

        def __call__(self, update, updates):
            asked.append((update, updates))
            return 0.0

    monkeypatch.setattr(stage, "SCHEDULE", Still())
    lm = LanguageModel(tiny_llm)
    connector = WordConnector(8, lm.hidden_size, None, None, {})
    before = connector.projection.weight.clone()
    items = [{"transcript": "a b", "language": "en"}] * 17
    frames = [torch.randn(60, 8) for _ in items]
    teacher = FrameTeacher(connector, lm, ["a b"])
    valid = items[:2], frames[:2]
    curve = stage.teach_frames(teacher, (items, frames), valid)
    texts = teacher.spell(torch.stack(frames[:2]), torch.tensor([60, 60]))
    error = edit_rate(["a b"] * 2, texts, ["en"] * 2)
    assert [e["valid_content_error"] for e in curve] == [error] * 20
    assert asked == [(n, 40) for n in range(1, 41)]
    assert torch.equal(connector.projection.weight, before)
