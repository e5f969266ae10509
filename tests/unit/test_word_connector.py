"""A connector in the language model's words, and how it is taught them."""

import pytest
import torch

from speechbrain_c2ser.chain_of_thought.thresholds import StyleThresholds
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes import (
    LanguageModel,
    SpecAugment,
    TimeStretch,
    UtteranceStatistics,
    WhisperEncoder,
    WordConnector,
)
from speechbrain_c2ser.training.word_teaching import FrameTeacher, teach_heads

STYLE = ["low", "normal", "high"]
WORDS = {"emotion": ["sad", "happy"], "pitch": STYLE}


@pytest.fixture
def connector():
    torch.manual_seed(0)
    return WordConnector(8, 24, utterance_size=6, num_vectors=2, words=WORDS)


@pytest.fixture
def language_model(tiny_llm):
    return LanguageModel(tiny_llm)


def test_an_item_alone_as_in_a_batch(connector):
    frames, lengths = torch.randn(2, 11, 8), torch.tensor([11, 6])
    vectors = torch.randn(2, 2, 6)
    together, counts = connector(frames, lengths, vectors)
    assert counts.tolist() == [2 + 3, 2 + 2]
    alone, _ = connector(frames[1:, :6], lengths[1:], vectors[1:])
    torch.testing.assert_close(together[1, :4], alone[0], atol=1e-6, rtol=0)
    assert not together[1, 4:].any()


def test_either_input_alone(connector):
    frames, lengths = torch.randn(2, 8, 8), torch.tensor([8, 8])
    assert connector(frames, lengths)[0].shape == (2, 2, 24)
    embeddings, counts = connector(None, None, torch.randn(2, 2, 6))
    assert embeddings.shape == (2, 2, 24) and counts.tolist() == [2, 2]
    with pytest.raises(ValueError, match="frames, utterance vectors or both"):
        connector()


def test_without_an_input_nothing_is_built_for_it():
    vectors_alone = WordConnector(None, 24, 6, 2, WORDS)
    assert vectors_alone(None, None, torch.randn(2, 2, 6))[0].shape[1] == 2
    frames_alone = WordConnector(8, 24, None, None, WORDS)
    frames, lengths = torch.randn(2, 8, 8), torch.tensor([8, 8])
    assert frames_alone(frames, lengths)[0].shape == (2, 2, 24)
    names = {n.split(".")[0] for n, _ in vectors_alone.named_parameters()}
    assert names == {"heads"}
    names = {n.split(".")[0] for n, _ in frames_alone.named_parameters()}
    assert names == {"projection", "norm"}


def test_wrong_widths_are_named(connector):
    with pytest.raises(ValueError, match="2 utterance vectors of 6"):
        connector(None, None, torch.randn(2, 3, 6))
    with pytest.raises(ValueError, match="frames are 7 wide"):
        connector(torch.randn(1, 8, 7), torch.tensor([8]))


def test_a_sure_head_says_its_word(connector):
    with torch.no_grad():
        connector.heads["emotion"].bias.copy_(torch.tensor([0.0, 50.0]))
    said = connector(None, None, torch.randn(1, 2, 6))[0][0, 0]
    torch.testing.assert_close(said, connector.words_emotion[1])


def test_sharpness_sounds_surer_and_scores_stay(connector):
    with torch.no_grad():
        connector.heads["emotion"].bias.copy_(torch.tensor([0.0, 1.0]))
    vectors = torch.zeros(1, 2, 6)
    with torch.no_grad():
        connector.heads["emotion"].weight.zero_()
    calibrated = connector.scores(vectors)["emotion"]
    connector.sharpness = 50.0
    said = connector.read_words(vectors)[0, 0]
    torch.testing.assert_close(said, connector.words_emotion[1])
    torch.testing.assert_close(connector.scores(vectors)["emotion"], calibrated)


def test_noise_reaches_the_frames_in_training_alone():
    clean = WordConnector(8, 24, 6, 2, WORDS)
    noisy = WordConnector(
        8, 24, 6, 2, WORDS, dropout=0.5, augment=SpecAugment(time_width=4)
    )
    noisy.load_state_dict(clean.state_dict())
    frames, lengths = torch.randn(2, 12, 8), torch.tensor([12, 6])
    vectors = torch.randn(2, 2, 6)
    expected, _ = clean(frames, lengths, vectors)
    actual, _ = noisy.eval()(frames, lengths, vectors)
    torch.testing.assert_close(actual, expected)
    noisy.train()
    actual, _ = noisy(frames, lengths, vectors)
    torch.testing.assert_close(actual[:, :2], expected[:, :2])
    assert (actual[0, 2:] != expected[0, 2:]).any(1).all()
    noisy.dropout.p = 0.0  # what is left: the masks
    actual, _ = noisy(frames, lengths, vectors)
    assert (actual != expected).any()


def test_frames_are_stretched_each_by_its_own_factor():
    torch.manual_seed(0)
    stretch = TimeStretch(0.5)
    ramp = torch.arange(40.0)[None, :, None].repeat(8, 1, 2)
    lengths = torch.tensor([40, 40, 40, 40, 20, 20, 2, 1])
    x, longer = stretch(ramp, lengths)
    assert x.shape == (8, longer.max(), 2) and len(set(longer[:4])) > 1
    assert ((longer - lengths).abs() <= 0.5 * lengths + 1).all()
    assert (longer >= 1).all()
    for row, before, after in zip(x, lengths, longer, strict=True):
        ends = row[0], row[after - 1]
        assert ends[0].eq(0).all() and not row[after:].any()
        if after > 1:
            torch.testing.assert_close(ends[1], ramp[0, before - 1])
            steps = row[1:after] - row[: after - 1]  # a ramp stays one
            torch.testing.assert_close(steps, steps[:1].expand_as(steps))
    _, longer = TimeStretch(0.9)(
        ramp[:, :1].repeat(9, 1, 1), torch.ones(72).long()
    )
    assert (longer >= 1).all()  # never nothing
    same, kept = stretch.eval()(ramp, lengths)
    assert same is ramp and kept is lengths
    with pytest.raises(ValueError, match="amount must lie in"):
        TimeStretch(1.0)


def test_a_connector_stretches_in_training_alone():
    connector = WordConnector(8, 24, 6, 2, WORDS, stretch=TimeStretch(0.5))
    frames, lengths = torch.randn(16, 40, 8), torch.full((16,), 40)
    torch.manual_seed(0)
    assert len(set(connector.read_frames(frames, lengths)[1].tolist())) > 1
    _, kept = connector.eval().read_frames(frames, lengths)
    assert kept.tolist() == [10] * 16


def test_a_projection_with_a_hidden_layer_alone_as_in_a_batch():
    connector = WordConnector(8, 24, 6, 2, WORDS, dropout=0.5, hidden_size=5)
    connector.eval()
    frames, lengths = torch.randn(2, 12, 8), torch.tensor([12, 6])
    together, _ = connector.read_frames(frames, lengths)
    alone, _ = connector.read_frames(frames[1:, :6], lengths[1:])
    torch.testing.assert_close(together[1, :2], alone[0], atol=1e-6, rtol=0)
    shapes = [p.shape[0] for n, p in connector.projection.named_parameters()]
    assert shapes == [5, 5, 24, 24]


def test_heads_stay_frozen_unless_told(connector):
    trained = {n for n, p in connector.named_parameters() if p.requires_grad}
    assert not any(name.startswith("heads") for name in trained)
    other = WordConnector(8, 24, 6, 2, WORDS, freeze_heads=False)
    assert all(p.requires_grad for p in other.heads.parameters())


def spoken(number):
    """Items of four speakers and their vectors: the first value is the
    emotion, the second the pitch between its cuts."""
    torch.manual_seed(1)
    items, vectors = [], 0.1 * torch.randn(number, 2, 6)
    for n in range(number):
        pitch = float(torch.randn(()))
        emotion = ["sad", "happy"][n % 2]
        vectors[n, 0, 0] += n % 2
        vectors[n, 0, 1] += pitch
        prosody = {"f0": 200 + 50 * pitch, "loudness": -20.0, "rate": None}
        row = {"id": str(n), "emotion": emotion, "prosody": prosody}
        items.append({**row, "speaker": str(n % 8 // 2), "language": "en"})
    return items, vectors


def test_heads_are_taught_emotion_and_style(connector, language_model):
    connector = WordConnector(8, language_model.hidden_size, 6, 2, words=WORDS)
    items, vectors = spoken(80)
    space = LabelSpace(WORDS["emotion"])
    figures = teach_heads(connector, language_model, items, vectors, space)
    assert figures["emotion"]["ua"] > 0.9 and figures["pitch"]["error"] < 0.5
    scores = connector.scores(vectors)
    emotions = [WORDS["emotion"].index(item["emotion"]) for item in items]
    right = scores["emotion"].argmax(1) == torch.tensor(emotions)
    assert right.float().mean() > 0.95
    told = scores["pitch"].argmax(1)
    true = StyleThresholds.fit(items)
    words = [true.words(item["prosody"])["pitch"] for item in items]
    assert {"low", "normal", "high"} == set(words)
    right = told == torch.tensor([STYLE.index(word) for word in words])
    assert right.float().mean() > 0.8
    words = language_model.embed([language_model.tokenize(" sad")])[0]
    torch.testing.assert_close(connector.words_emotion[0], words.mean(0))


def test_items_without_prosody_are_named(connector, language_model):
    items, vectors = spoken(8)
    del items[3]["prosody"]
    space = LabelSpace(WORDS["emotion"])
    with pytest.raises(ValueError, match="no prosody .*'3'"):
        teach_heads(connector, language_model, items, vectors, space)


def test_frames_are_taught_words(language_model):
    torch.manual_seed(0)
    connector = WordConnector(8, language_model.hidden_size, 6, 2, words=WORDS)
    texts = ["a b", "b a"]
    teacher = FrameTeacher(connector, language_model, texts)
    frames = torch.randn(2, 60, 8)
    lengths = torch.tensor([60, 52])
    trained = [p for p in teacher.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 0.01)
    losses = []
    for _ in range(40):
        loss = teacher(frames, lengths, texts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert teacher.spell(frames, lengths) == texts
    rows = language_model.embed([[0]])[0]
    assert not rows.requires_grad or rows.grad is None


class AsTheyAre(torch.nn.Module):
    """A connector whose frames are embeddings already."""

    def read_frames(self, frames, lengths):
        return frames, lengths


def test_frames_spell_tokens_without_blanks_and_repeats(language_model):
    teacher = FrameTeacher(AsTheyAre(), language_model, ["a b"])
    first, *_, last = language_model.tokenize("a b")
    a, b = language_model.embed([[first], [last]])
    frames = torch.cat([a, a, teacher.blank, a, b, b])[None].repeat(2, 1, 1)
    spelled = teacher.spell(frames, torch.tensor([6, 2]))
    decode = language_model.tokenizer.decode
    assert spelled == [decode([first, first, last]), decode([first])]


def test_statistics_are_those_of_the_valid_frames():
    torch.manual_seed(0)
    whisper = WhisperEncoder(
        num_layers=2, size=16, num_heads=2, ffn_size=32
    ).eval()
    encoder = UtteranceStatistics(whisper, layers=[1])
    wavs, lens = torch.randn(2, 8000), torch.tensor([1.0, 0.5])
    with torch.no_grad():
        tokens = encoder.extract(wavs, lens).tokens
        layer = whisper.extract(wavs[1:, :4000], all_layers=True).layers[1][0]
    torch.testing.assert_close(tokens[1, 0], layer.mean(0))
    torch.testing.assert_close(tokens[1, 1], layer.std(0, correction=0))
    with pytest.raises(ValueError, match="layers is \\[2\\]"):
        UtteranceStatistics(whisper, layers=[2])
