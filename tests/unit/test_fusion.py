"""Words beside the voice: encoders, fusions, and the classifier with them."""

import json
from pathlib import Path

import pytest
import torch
from tiny_encoders import TEXTS

from speechbrain_c2ser.checkpoints.classifier_folder import (
    load_classifier,
    save_classifier,
)
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.data.dataset import read_item
from speechbrain_c2ser.data.manifest import write_manifest
from speechbrain_c2ser.inference.classifier import (
    EmotionClassifier as Interface,
)
from speechbrain_c2ser.lobes import (
    CategoryHead,
    ConcatFusion,
    CrossAttentionFusion,
    EmotionClassifier,
    FrameHead,
    GateFusion,
    LastFrame,
    LayerMix,
    LogMel,
    MaskedMean,
    MultiHead,
    TextEncoder,
    UtteranceTokens,
    WordsAlone,
)

ROWS = [
    {"id": "a", "transcript": "oh no it is a sad day"},
    {"id": "b", "transcript": "never mind"},
    {"id": "c", "transcript": "how nice"},
]
FUSIONS = {
    "concat": ConcatFusion,
    "gate": GateFusion,
    "cross": CrossAttentionFusion,
    "queries": CrossAttentionFusion,
}
MELS = 20


def fusion_of(name, voice=MELS, words=8, size=12):
    more = {"queries": 3} if name == "queries" else {}
    return FUSIONS[name](voice, words, size, **more)


def classifier(text, fusion="cross", **settings):
    torch.manual_seed(0)
    head = CategoryHead(12, ["angry", "sad"])
    return EmotionClassifier(
        LogMel(n_mels=MELS),
        MultiHead({"emotion": head}),
        MaskedMean(12),
        text_encoder=TextEncoder(text, 8, **settings),
        fusion=fusion_of(fusion),
    ).eval()


@pytest.fixture
def clips():
    wavs = torch.randn(3, 6400) * 0.1
    return wavs, torch.tensor([1.0, 0.5, 0.75])


def alone(clips, i):
    wavs, lens = clips
    size = round(float(lens[i]) * wavs.shape[1])
    return wavs[i : i + 1, :size], torch.ones(1)


@pytest.mark.parametrize("kind", [*TEXTS, "llm"])
@torch.no_grad()
def test_words_alone_as_in_a_batch(kind, text_folder, tiny_llm):
    source = tiny_llm if kind == "llm" else text_folder(kind)
    encoder = TextEncoder(str(source), 8).eval()
    together = encoder.read(ROWS)
    if kind != "llm":
        assert together.lengths.tolist() == [7, 2, 2]
    for i, row in enumerate(ROWS):
        single = encoder.read([row])
        size = int(single.lengths[0])
        frames = together.frames[i, :size]
        assert (single.frames[0] - frames).abs().max() <= 1e-5
        assert not together.frames[i, size:].any()
    # Another word is another frame.
    other = encoder.read([{"transcript": "how sad"}]).frames
    last = together.frames[2, together.lengths[2] - 1]
    assert not torch.allclose(other[0, -1], last)


@pytest.mark.parametrize("name", FUSIONS)
@torch.no_grad()
def test_classifier_alone_as_in_a_batch_and_from_what_is_kept(
    name, text_folder, clips
):
    model = classifier(text_folder("bert"), name)
    assert model.cached_kind == "frames"
    together = model(*clips, rows=ROWS)["emotion"]
    kept = model.from_cache(model.cached_features(*clips))
    again = model.classify(kept, ROWS)["emotion"]
    assert (again - together).abs().max() <= 1e-5
    for i, row in enumerate(ROWS):
        single = model(*alone(clips, i), rows=[row])["emotion"][0]
        assert (single - together[i]).abs().max() <= 1e-5
    changed = [{"transcript": "oh no"}, *ROWS[1:]]
    other = model(*clips, rows=changed)["emotion"]
    assert (other[0] - together[0]).abs().max() > 1e-4
    torch.testing.assert_close(other[1:], together[1:], atol=1e-5, rtol=0)


def test_means_of_layers_are_not_enough_for_a_fusion(text_folder):
    model = classifier(text_folder("bert"))
    model.layer_mix = LayerMix(1)
    assert model.cached_kind == "layers"
    model.text_encoder = model.fusion = None
    assert model.cached_kind == "layer_means"


@pytest.mark.parametrize("name", FUSIONS)
def test_voice_and_words_both_learn(name):
    fuse = fusion_of(name)
    voice = torch.randn(2, 5, MELS, requires_grad=True)
    words = torch.randn(2, 4, 8, requires_grad=True)
    lengths, counts = torch.tensor([5, 3]), torch.tensor([4, 1])
    frames, sizes = fuse(voice, lengths, words, counts)
    assert sizes.tolist() == ([3, 3] if name == "queries" else [5, 3])
    assert frames.shape[1] == int(sizes.max())
    frames.square().sum().backward()
    for stream, count in ((voice, lengths), (words, counts)):
        used = stream.grad.abs().sum(-1) > 0
        wanted = torch.arange(stream.shape[1]) < count.unsqueeze(1)
        assert torch.equal(used, wanted)  # nothing of the padding
    assert all(p.grad is not None for p in fuse.parameters())


def test_concatenation_is_that_of_two_means():
    fuse = ConcatFusion(3, 2, 4)
    voice, words = torch.randn(1, 5, 3), torch.randn(1, 4, 2)
    full, counts = torch.tensor([5]), torch.tensor([4])
    fused = fuse(voice, full, words, counts)[0].mean(1)
    weight = torch.cat([fuse.frames.weight, fuse.other.weight], 1)
    means = torch.cat([voice.mean(1), words.mean(1)], 1)
    torch.testing.assert_close(fused, means @ weight.T + fuse.frames.bias)


def test_words_are_dropped_in_training_alone(text_folder):
    encoder = TextEncoder(text_folder("bert"), 8, drop=0.5)
    torch.nn.init.ones_(encoder.absent)
    many = ROWS * 100
    words = encoder.lose_some(encoder.train().read(many))
    lost = (words.frames[:, 0] == 1).all(-1)
    assert 0.4 < lost.float().mean() < 0.6
    assert (words.lengths[lost] == 1).all()
    assert not words.frames[lost, 1:].any()
    words = encoder.eval().lose_some(encoder.read(many))
    assert not (words.frames[:, 0] == 1).all(-1).any()
    assert encoder.absent.requires_grad and encoder.project.weight.requires_grad
    assert not any(p.requires_grad for p in encoder.model.parameters())
    assert not encoder.train().model.training


def test_a_row_without_words_is_one_sentence_or_a_learned_frame(
    text_folder, clips
):
    rows = [*ROWS[:2], {"id": "c", "transcript": " "}]
    model = classifier(text_folder("bert"))
    with pytest.raises(ValueError, match="1 of 3 items .*first: 'c'.*drop"):
        model(*clips, rows=rows)
    with pytest.raises(ValueError, match="3 of 3 items"):
        model(*clips)
    with pytest.raises(ValueError, match="'transcript_asr'"):
        classifier(text_folder("bert"), key="transcript_asr").check_rows(ROWS)
    model = classifier(text_folder("bert"), drop=0.2)
    model.check_rows(rows)
    together = model(*clips, rows=rows)["emotion"]
    single = model(*alone(clips, 2))["emotion"][0]
    assert (single - together[2]).abs().max() <= 1e-5


@torch.no_grad()
def test_saved_and_loaded_without_the_encoders_own_folder(
    text_folder, clips, tmp_path
):
    model = classifier(text_folder("xlm_roberta"), "queries", drop=0.2)
    save_classifier(model, tmp_path / "classifier")
    text = (tmp_path / "classifier/hyperparams.yaml").read_text()
    assert text_folder("xlm_roberta") not in text
    again = load_classifier(tmp_path / "classifier")["model"]
    torch.testing.assert_close(
        again(*clips, rows=ROWS)["emotion"], model(*clips, rows=ROWS)["emotion"]
    )


def test_what_cannot_go_together_is_refused(text_folder, tmp_path):
    text = TextEncoder(text_folder("bert"), 8)
    heads = MultiHead({"emotion": CategoryHead(12, ["angry", "sad"])})
    parts = (LogMel(n_mels=MELS), heads, MaskedMean(12))
    with pytest.raises(ValueError, match="neither a fusion nor a head"):
        EmotionClassifier(*parts, text_encoder=text)
    with pytest.raises(ValueError, match="has no text_encoder"):
        EmotionClassifier(*parts, fusion=fusion_of("gate"))
    both = {"text_encoder": text, "fusion": fusion_of("queries")}
    framed = MultiHead({"frames": FrameHead(12, ["sad", "neutral"], 100.0)})
    with pytest.raises(ValueError, match="keeps no frames in time"):
        EmotionClassifier(parts[0], framed, parts[2], **both)
    with pytest.raises(ValueError, match="fusion with words has no effect"):
        EmotionClassifier(
            torch.nn.Identity(), heads, UtteranceTokens(12), **both
        )
    with pytest.raises(ValueError, match="drop is a share"):
        TextEncoder(text_folder("bert"), 8, drop=1.0)
    with pytest.raises(ValueError, match="5 heads do not divide 12"):
        CrossAttentionFusion(4, 4, 12, num_heads=5)
    for path in Path(text_folder("bert")).iterdir():
        if path.suffix == ".json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no safetensors"):
        TextEncoder(str(tmp_path), 8)


def test_interfaces_and_commands_are_told_what_is_said(
    text_folder, write_wav, tmp_path, capsys
):
    torch.manual_seed(0)
    model = classifier(text_folder("bert"))
    save_classifier(model, tmp_path / "strict")
    wavs = [write_wav(tmp_path / f"{n}.wav", 0.3 + 0.1 * n) for n in range(3)]
    rows = [
        {**row, "wav": str(wav), "duration": 0.3}
        for row, wav in zip(ROWS, wavs, strict=True)
    ]
    interface = Interface.from_hparams(tmp_path / "strict")
    results = interface.classify_files(rows, progress=False)
    for row, result in zip(rows, results, strict=True):
        wave = read_item(row).unsqueeze(0)
        expected = model.predict(wave, rows=[row])["emotion"][0]
        assert (result.result.probabilities - expected).abs().max() <= 1e-5
        own = interface.classify_file(row).probabilities
        assert (own - expected).abs().max() <= 1e-5
    # Without words: one line, and the others are none the worse.
    results = interface.classify_files([rows[0], str(wavs[1])], progress=False)
    assert results[0].error is None and "no 'transcript'" in results[1].error
    write_manifest({row["id"]: row for row in rows}, tmp_path / "rows.json")
    words = ["classify", "--model", str(tmp_path / "strict"), "--json"]
    assert main([*words, str(tmp_path / "rows.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = json.loads(lines[2])["probabilities"]
    found = interface.classify_file(rows[2]).probabilities
    assert list(told.values()) == pytest.approx(found.tolist(), abs=1e-5)
    assert main([*words, str(wavs[0])]) == 1
    assert "'transcript', which the text" in capsys.readouterr().err
    # A model that some training items had no words for needs none.
    loose = classifier(text_folder("bert"), drop=0.2)
    save_classifier(loose, tmp_path / "loose")
    words[2] = str(tmp_path / "loose")
    assert main([*words, str(wavs[0])]) == 0


@pytest.mark.parametrize("layer", [0, 1, 2])
@torch.no_grad()
def test_a_layer_of_a_language_model(layer, tiny_llm):
    encoder = TextEncoder(str(tiny_llm), 8, layer=layer).eval()
    texts = ["The speaker sounds sad.", "angry", "The speaker."]
    rows = [{"transcript": text} for text in texts]
    together = encoder.read(rows)
    pool = LastFrame(8)
    vectors = pool(together.frames, together.lengths)
    for row, vector in zip(rows, vectors, strict=True):
        ids = encoder.tokenizer(row["transcript"], return_tensors="pt")
        states = encoder.model(**ids, output_hidden_states=True).hidden_states
        expected = encoder.project(states[layer][0, -1])
        assert (vector - expected).abs().max() <= 1e-5
        single = encoder.read([row])
        own = pool(single.frames, single.lengths)[0]
        assert (vector - own).abs().max() <= 1e-5
    last = TextEncoder(str(tiny_llm), 8).eval()
    last.project = encoder.project
    same = torch.allclose(last.read(rows).frames, together.frames, atol=1e-5)
    assert same == (layer == 2)


def test_a_layer_that_there_is_not(tiny_llm):
    with pytest.raises(ValueError, match="has 2 layers: .* not 3"):
        TextEncoder(str(tiny_llm), 8, layer=3)


@torch.no_grad()
def test_words_without_a_voice(text_folder, clips, tmp_path):
    head = CategoryHead(8, ["angry", "sad"])
    parts = LogMel(n_mels=MELS), MultiHead({"emotion": head}), LastFrame(8)
    text = TextEncoder(text_folder("bert"), 8)
    both = {"text_encoder": text, "fusion": WordsAlone()}
    model = EmotionClassifier(*parts, **both).eval()
    together = model(*clips, rows=ROWS)["emotion"]
    silent = model(clips[0] * 0, clips[1], rows=ROWS)["emotion"]
    assert torch.equal(silent, together)
    for i, row in enumerate(ROWS):
        single = model(*alone(clips, i), rows=[row])["emotion"][0]
        assert (single - together[i]).abs().max() <= 1e-5
    save_classifier(model, tmp_path / "classifier")
    again = load_classifier(tmp_path / "classifier")["model"]
    assert torch.equal(again(*clips, rows=ROWS)["emotion"], together)
    framed = MultiHead({"frames": FrameHead(8, ["sad", "neutral"], 100.0)})
    with pytest.raises(ValueError, match="WordsAlone keeps no .* another"):
        EmotionClassifier(parts[0], framed, parts[2], **both)
