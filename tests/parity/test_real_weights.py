"""Real Whisper and language model: what tiny random ones cannot show.

Set REAL_WEIGHTS to a folder that holds ``whisper-base`` and ``qwen-0.5b``
(Hugging Face folders of any Whisper and of any causal language model).
"""

import os
from pathlib import Path

import pytest
import torch
from transformers import WhisperFeatureExtractor, WhisperModel

from speechbrain_c2ser.checkpoints.c2ser_folder import load_c2ser, save_c2ser
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.lobes import (
    ContextualPerception,
    LanguageModel,
    LinearConnector,
    SpeechEmotionLLM,
    WhisperEncoder,
)

WEIGHTS = Path(os.environ.get("REAL_WEIGHTS", "no such folder"))
WHISPER, LLM = str(WEIGHTS / "whisper-base"), str(WEIGHTS / "qwen-0.5b")

pytestmark = pytest.mark.skipif(
    not WEIGHTS.is_dir(), reason="REAL_WEIGHTS names no folder of real weights"
)


@pytest.fixture(scope="module")
def speech():
    """Two seconds like a vowel that rises and falls [1, T]."""
    time = torch.arange(32000) / 16000
    phase = 2 * torch.pi * (140 * time + 12 * torch.sin(5 * time))
    tones = [torch.sin(n * phase) / n for n in range(1, 20)]
    loudness = 0.1 * (1.1 + torch.sin(9 * time))
    return (loudness * torch.stack(tones).sum(0)).unsqueeze(0)


@pytest.fixture(scope="module")
def their_layers(speech):
    """Of transformers' own encoder: layers, the last one normed."""
    extractor = WhisperFeatureExtractor.from_pretrained(WHISPER)
    mel = extractor(speech[0].numpy(), 16000, return_tensors="pt")
    encoder = WhisperModel.from_pretrained(WHISPER, dtype=torch.float32).encoder
    with torch.no_grad():
        outputs = encoder(mel.input_features, output_hidden_states=True)
    return [x[:, :100] for x in outputs.hidden_states[1:]]


def test_padded_every_layer_of_whisper_is_transformers_own(
    speech, their_layers
):
    encoder = WhisperEncoder(WHISPER, freeze=True, pad_to_30s=True)
    ours = encoder.extract(speech, all_layers=True)
    assert ours.lengths.tolist() == [100]
    for layer, theirs in zip(ours.layers[:-1], their_layers, strict=False):
        torch.testing.assert_close(layer, theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.frames, their_layers[-1], atol=1e-4, rtol=0)


def test_unpadded_the_first_layer_changes_least(speech, their_layers):
    layers = WhisperEncoder(WHISPER, freeze=True).extract(speech, None, True)
    changes = [
        float((ours - theirs).norm() / theirs.norm())
        for ours, theirs in zip(
            [*layers.layers[:-1], layers.frames], their_layers, strict=True
        )
    ]
    # padded all the same would be no change at all
    assert 0.01 < changes[0] == min(changes) < 0.5 * changes[-1]


@pytest.fixture(scope="module")
def build():
    """build(**of LanguageModel) -> C2SER of a random encoder, in eval."""

    def make(lower_case=False, **options):
        torch.manual_seed(4)
        encoder = WhisperEncoder(
            num_layers=1, size=16, num_heads=2, ffn_size=32
        )
        lm = LanguageModel(LLM, **options)
        perception = ContextualPerception(
            encoder, None, LinearConnector(16, lm.hidden_size)
        )
        return SpeechEmotionLLM(perception, lm, lower_case).eval()

    return make


@pytest.fixture(scope="module")
def model(build):
    return build()


def probabilities(model, heard, prompt, answers, prefix=""):
    """The labels' by definition: each whole answer through the model."""
    scores = []
    for texts in answers.values():
        sums = []
        for text in texts:
            ids = model.answer_ids(prefix + text)
            before = model.answer_ids(prefix, end=False)
            told = 0
            while told < len(before) and before[told] == ids[told]:
                told += 1
            merged = model.merge(heard, [prompt], [ids])
            logits = model.language_model.model(
                inputs_embeds=merged.embeddings,
                attention_mask=merged.attention_mask,
                position_ids=merged.position_ids,
            ).logits[0, -len(ids) - 1 : -1]
            picked = logits.log_softmax(1)[range(len(ids)), ids]
            sums.append(picked[told:].sum())
        scores.append(torch.stack(sums).logsumexp(0))
    return torch.stack(scores).softmax(0)


ENGLISH = {
    "sad": ["sad."],
    "disillusioned": ["downhearted and disillusioned.", "blue."],
    "happy": ["Overjoyed."],
}
CHINESE = {
    "sad": ["悲伤。"],
    "happy": ["欣喜若狂，喜出望外。", "高兴。"],
    "angry": ["怒不可遏。"],
}


@pytest.mark.parametrize("lower_case", [False, True])
@pytest.mark.parametrize(
    ("prompt", "prefix", "answers"),
    [
        ("How does the speaker feel?", "", ENGLISH),
        # the space at the end becomes a part of the label's first token
        ("Reason, then answer.", "Spoken LOUDLY, so it is ", ENGLISH),
        ("说话人的情绪是什么？", "", CHINESE),
        ("先分析，再回答。", "语速快，音调高，因此情绪是", CHINESE),
    ],
)
@torch.no_grad()
def test_labels_of_several_tokens(
    model, speech, monkeypatch, prompt, prefix, answers, lower_case
):
    monkeypatch.setattr(model, "lower_case", lower_case)
    texts = [text for forms in answers.values() for text in forms]
    lengths = {len(model.answer_ids(prefix + text)) for text in texts}
    assert len(lengths) > 1, "labels of one length show nothing"
    if prefix.endswith(" "):
        before = model.answer_ids(prefix, end=False)
        whole = model.answer_ids(prefix + texts[0])
        assert whole[: len(before)] != before
    heard = model.listen(speech)
    scored = model.score_labels(
        heard, [prompt], answers, [prefix] if prefix else None
    )
    expected = probabilities(model, heard, prompt, answers, prefix)
    torch.testing.assert_close(scored[0], expected, atol=1e-4, rtol=0)


def test_lower_case_reaches_the_tokens(model, monkeypatch):
    kept = model.answer_ids("The Emotion is HAPPY.")
    monkeypatch.setattr(model, "lower_case", True)
    assert model.answer_ids("The Emotion is HAPPY.") != kept
    assert model.answer_ids("The Emotion is HAPPY.") == model.answer_ids(
        "the emotion is happy."
    )


def test_lora_learns_is_saved_and_an_answer_ends(build, speech, tmp_path):
    lora = {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"]}
    model = build(lora=lora)
    prompts, answers = ["How is it?"], ["She sounds 难过, I think."]
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-3)
    for _ in range(25):
        loss = model(speech, None, prompts, answers).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    assert model.generate(model.listen(speech), prompts, 30) == answers

    save_c2ser(model, tmp_path / "c2ser", LabelSpace(["happy", "sad"]))
    assert not (tmp_path / "c2ser" / "llm").exists()
    loaded = load_c2ser(tmp_path / "c2ser")["model"].eval()
    with torch.no_grad():
        again = loaded(speech, None, prompts, answers).loss
        now = model(speech, None, prompts, answers).loss
    torch.testing.assert_close(again, now, atol=1e-5, rtol=0)
    assert loaded.generate(loaded.listen(speech), prompts, 30) == answers
