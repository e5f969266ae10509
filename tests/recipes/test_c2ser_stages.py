"""What a C2SER stage is given batch by batch, and where it starts."""

import json
from pathlib import Path

import pytest
import speechbrain as sb
import torch
from safetensors.torch import load_file

from speechbrain_c2ser.lobes.encoders.whisper import WhisperEncoder
from speechbrain_c2ser.training.experiment import load_experiment

HPARAMS = Path(__file__).parents[2] / "hparams" / "c2ser"
TINY = HPARAMS / "sizes" / "tiny.yaml"
DEBUG = ("--debug", "--debug_batches=1", "--debug_epochs=1")


@pytest.fixture
def run(recipe, corpus, models, options, tmp_path, monkeypatch):
    """run(stage, *arguments, **changes) -> Brain, whose batches were noted.

    ``brain.seen`` holds (stage, progress, batch) of each batch,
    ``brain.started`` the weights before the first update.
    """
    explicit = recipe("train_explicit").ExplicitBrain
    forward, fit_start = explicit.compute_forward, explicit.on_fit_start

    def noted(self, batch, stage):
        output = forward(self, batch, stage)
        if hasattr(self, "seen"):  # not in the rehearsal
            self.seen.append((stage, self.progress, batch))
        return output

    def started(self):
        fit_start(self)
        self.seen, state = [], self.hparams.model.state_dict()
        self.started = {key: value.clone() for key, value in state.items()}

    monkeypatch.setattr(explicit, "compute_forward", noted)
    monkeypatch.setattr(explicit, "on_fit_start", started)

    def run(stage, *arguments, yaml=TINY, **changes):
        given = tuple(f"--{name}=" for name in changes)
        rest = [option for option in models if not option.startswith(given)]
        argv = [str(yaml), *options(corpus, tmp_path, rest, **changes)]
        module = recipe(f"train_{stage}")
        brain = getattr(module, f"{stage.title()}Brain")
        return module.train(brain, *load_experiment([*argv, *arguments]))

    return run


def test_explicit_answers_give_way(run):
    """Stage 2 begins with explicit answers alone and ends with hardly any."""
    brain = run("implicit", batching="{batch_seconds: 6.0, num_buckets: 2}")
    train = [
        (progress, batch.modes)
        for stage, progress, batch in brain.seen
        if stage == sb.Stage.TRAIN
    ]
    assert train[0][0] == 0 and set(train[0][1]) == {"explicit"}
    shares = [
        modes.count("explicit") / len(modes)
        for progress, modes in train
        if progress >= 0.75
    ]
    assert sum(shares) / len(shares) < 0.3
    valid = [b for stage, _, b in brain.seen if stage == sb.Stage.VALID]
    assert valid
    for batch in valid:
        assert set(batch.modes) == {"implicit"}
        for item, answer in zip(batch.item, batch.answers, strict=True):
            assert item.get("transcript") not in answer


def test_stage_one_asks_for_explicit_answers(run):
    brain = run("explicit", *DEBUG)
    modes = {mode for _, _, batch in brain.seen for mode in batch.modes}
    assert modes == {"explicit"}


@pytest.mark.parametrize("phrasings", ["null", "1"])
def test_training_phrases_anew_and_validation_does_not(run, phrasings):
    brain = run("explicit", f"--answers={{phrasings: {phrasings}}}")
    train, valid = {}, {}
    for stage, _, batch in brain.seen:
        told = train if stage == sb.Stage.TRAIN else valid
        for key, answer in zip(batch.id, batch.answers, strict=True):
            told.setdefault(key, set()).add(answer)
    assert {len(answers) for answers in valid.values()} == {1}
    # two epochs: most of the items are phrased in two ways
    anew = sum(len(answers) > 1 for answers in train.values()) / len(train)
    assert anew > 0.5 if phrasings == "null" else anew == 0


def test_stage_two_starts_from_the_weights_of_stage_one(
    run, recipe, corpus, models, options, tmp_path_factory
):
    output = tmp_path_factory.mktemp("stage_1")
    stage = recipe("train_explicit")
    argv = [str(TINY), *options(corpus, output, models, number_of_epochs=1)]
    stage.train(stage.ExplicitBrain, *load_experiment(argv))
    start = output / "c2ser"
    changes = {"start_from": start, "llm_source": start / "llm"}
    brain = run("implicit", *DEBUG, **changes)
    saved = load_file(start / "model.safetensors")
    assert saved and all(
        torch.equal(brain.started[key].cpu(), tensor)
        for key, tensor in saved.items()
    )
    words = load_file(start / "llm" / "model.safetensors")
    for key, tensor in words.items():
        ours = brain.started[f"language_model.model.{key}"]
        assert torch.equal(ours.cpu(), tensor), key
    # the language model that stage 1 began with is not what it made of it
    with pytest.raises(ValueError, match="--llm_source="):
        run("implicit", *DEBUG, start_from=start)


@pytest.mark.parametrize(
    "start, overlay, warned",
    [
        (None, None, True),
        ("stage_1", None, False),
        (None, "no_chain_of_thought", False),
    ],
)
def test_stage_two_without_stage_one_is_told(
    recipe, corpus, models, options, tmp_path, monkeypatch, start, overlay,
    warned,
):  # fmt: skip
    module, trained = recipe("train_implicit"), []
    monkeypatch.setattr(module, "train_stage", lambda *x: trained.append(x))
    argv = [str(TINY), *options(corpus, tmp_path, models)]
    if overlay:
        argv += ["--overlay", str(HPARAMS / "ablations" / f"{overlay}.yaml")]
    hparams, run_opts = load_experiment(argv)
    hparams["start_from"] = start
    told = []
    monkeypatch.setattr(module.logger, "warning", told.append)
    module.train(module.ImplicitBrain, hparams, run_opts)
    assert len(trained) == 1 and trained[0][1] is hparams
    assert len(told) == warned
    assert all("--start_from=" in each for each in told)


@pytest.mark.parametrize("stage", ["explicit", "implicit"])
def test_terms_are_weighted_and_logged_by_name(run, stage, tmp_path):
    terms = tmp_path / "terms.yaml"
    terms.write_text(
        f"# Overlay on: {TINY.relative_to(HPARAMS.parents[1])}\n"
        "terms:\n    size: !new:recipes_terms.Size\n        weight: 0.5\n"
    )
    (tmp_path / "recipes_terms.py").write_text(
        "class Size:\n"
        "    def __init__(self, weight):\n"
        "        self.weight, self.values = weight, []\n"
        "    def __call__(self, model, output, batch):\n"
        "        value = output.hidden.square().mean()\n"
        "        self.values.append(value.item())\n"
        "        return value\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        brain = run(stage, f"--overlay={terms}", number_of_epochs=1)
    values = brain.hparams.terms["size"].values
    (line,) = (tmp_path / "train_log.jsonl").read_text().splitlines()
    figures = json.loads(line)
    mean = sum(values) / len(values)
    assert values and figures["train_size"] == pytest.approx(mean, rel=1e-5)
    assert figures["train_loss"] > 0.5 * mean  # the term is part of the loss


def test_a_batch_is_heard_once(run, monkeypatch):
    """Loss and label scores of a valid batch share one encoding."""
    calls, extract = [], WhisperEncoder.extract
    monkeypatch.setattr(
        WhisperEncoder,
        "extract",
        lambda self, *inputs: calls.append(1) or extract(self, *inputs),
    )
    brain = run("explicit", *DEBUG)
    assert len(brain.seen) == 2 and len(calls) == 3  # with the rehearsal's
