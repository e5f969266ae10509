"""Answers as chat models and recognisers mark them: quotes, tags, thoughts."""

import pytest

from speechbrain_c2ser.chain_of_thought.answer_parsing import parse_answer
from speechbrain_c2ser.labels import LabelSpace

SEVEN = LabelSpace.from_name("emo_emilia")
SPOKEN = "<|en|><|{}|><|Speech|><|woitn|>"


@pytest.mark.parametrize(
    "text, label",
    [
        # A whole answer.
        ('"The speaker sounds sad."', "sad"),
        ("'The speaker's voice sounds sad.'", "sad"),
        ("“说话人听起来很悲伤。”", "sad"),
        ('"I am so happy."', None),
        ("“我很高兴。”", None),
        ("```sad```", "sad"),
        ("```json\nsad\n```", "sad"),
        # A label, whatever it is of.
        ('The emotion of the text is "sad".', "sad"),
        ('The emotion behind these words is "sad".', "sad"),
        ("这段话的情感内容是“悲伤”", "sad"),
        ('The text is "sad".', None),
        ('In a low tone the speaker says "sad".', None),
        # Where an emotion is told, words around the label.
        ('The emotion is "sad and depressed".', "sad"),
        ('The emotion is "a bit sad".', "sad"),
        ('Then there is "a bit sad".', None),
        # The label in one kind of marks, what was said in another.
        ("The speaker says 'happy birthday to you', sounding \"sad\".", "sad"),
        ("The mood is \"sad\", the words are: 'I'm happy'.", "sad"),
    ],
)
def test_quotation_marks(text, label):
    assert parse_answer(text, SEVEN).emotion == label


@pytest.mark.parametrize(
    "text, label",
    [
        (SPOKEN.format("EMO_UNKOWN") + "so happy", None),
        (SPOKEN.format("EMO_UNKOWN") + "so " + SPOKEN.format("SAD"), "sad"),
        (SPOKEN.format("HAPPY") + "so " + SPOKEN.format("SAD"), None),
        ("<|EMO_SAD|>I am happy", "sad"),
        ("<FEMALE><ADULT><SAD>I am happy", "sad"),
        ("[laughs] [sad, female] I am happy", "sad"),
        ("[angry, sad] I am happy", None),
        # A transcript without an emotion.
        ("<|en|><|Speech|><|withitn|>I was so happy", None),
        ("<|startoftranscript|><|en|>I am happy<|endoftext|>", None),
        ("<|0.00|> I am so happy<|2.00|>", None),
        ("SO HAPPY <EXCLAMATIONPOINT>", None),
        ("🎼I am so angry", None),
        # The whole rest, and another kind of tag.
        ("<|en|>sad", "sad"),
        ("<|en|>The speaker sounds sad.", "sad"),
        ("<|en|>She sounds sad.", "sad"),
        ("<|zh|>她很生气。", "angry"),
        ("<|0.00|> The speaker is angry. <|3.20|>", "angry"),
        ("<|en|><|Speech|><|withitn|>she is so happy", None),
        ("<|nospeech|>The speaker is happy", None),
        ("<|bos|>The speaker sounds sad.", "sad"),
        # Marked-up speech.
        ('<prosody emotion="sad">I am happy</prosody>', "sad"),
        ('<emotion value="sad">I am happy</emotion>', "sad"),
        ('<mstts:express-as style="sad">happy</mstts:express-as>', "sad"),
        ("EMOTION: SAD TEXT: I AM HAPPY", "sad"),
    ],
)
def test_tags(text, label):
    assert parse_answer(text, SEVEN).emotion == label


@pytest.mark.parametrize(
    "text",
    [
        "<think >happy</think >sad",
        "&lt;think&gt;happy&lt;/think&gt;sad",
        "【思考】高兴吗【答案】悲伤",
        "Thinking...\nMaybe happy.\n...done thinking.\n\nsad",
        '<details type="reasoning" done="true">happy</details>sad',
        "<details>happy?</details> sad",
        # Beside nothing else they are the answer.
        "<details>The speaker sounds sad.</details>",
        "<details><summary>Answer</summary>Emotion: sad</details>",
        "<SUMMARY>happy?</SUMMARY><CONCLUSION>sad</CONCLUSION>",
        "<result><text>I am happy</text><emotion>sad</emotion></result>",
    ],
)
def test_thoughts(text):
    assert parse_answer(text, SEVEN).emotion == "sad"


@pytest.mark.parametrize(
    "text, label",
    [
        ("angry: 1, sad: 5, happy: 0", "sad"),
        ("angry: 0, sad: 1, happy: 0", "sad"),
        ("angry: 1, sad: 2, happy: 3", None),
        ("Angry: 10\nSad: 80\nHappy: 5", "sad"),
        ("Angry: 00:10, sad: 00:20", None),
        ("Angry: 1/10, sad: 7/10, happy: 3/10", "sad"),
        # Ranks, classes, turns and counts.
        ("Ranking: angry: 1, sad: 2, neutral: 4", None),
        ("Ranks - sad: 1, angry: 3, happy: 5", None),
        ("Emotion labels: 0: angry, 2: sad", None),
        ("Class labels: angry: 1, sad: 4", None),
        ("Turn 3: angry. Turn 7: sad", None),
        ("Angry: 2 seconds, sad: 5 seconds", None),
        ("Sad: 5 words, angry: 2 words", None),
        ("Emotion: sad (primary), angry (secondary)", "sad"),
        ("Top-1: sad, Top-2: angry", "sad"),
        ("Speaker 1: sad, 2: angry", None),
        ("It is not clear. My best guess: sad; not: angry, happy", "sad"),
        ("Angry or sad? Sad.", "sad"),
        ("Angry? Yes, or sad.", None),
        ("| Text | Emotion |\n|---|---|\n| I am happy | sad |", "sad"),
        ("| Clip | Emotion |\n|---|---|\n| 1 | happy |\n| 2 | sad |", None),
        ("1) Emotion: sad\n2) Reason: happy", "sad"),
    ],
)
def test_weights_and_lists(text, label):
    assert parse_answer(text, SEVEN).emotion == label


@pytest.mark.parametrize(
    "text, label",
    [
        ("The speaker sounds sad. Hope that helps! 😊", "sad"),
        ("he is so happy😔", "sad"),
        ("I am afraid that is not possible.", None),
        ("I can't listen to audio. If she is happy, tell me.", None),
        (
            "Sorry, I am unable to process audio files. Could you send the "
            "words, happy or not?",
            None,
        ),
        ("I can't process audio. Can you? She sounds sad.", "sad"),
        ("I can't hear the audio. If you ask me, she sounds sad.", "sad"),
        (
            "I'm sorry, I can't be fully certain from the audio alone. If I "
            "had to choose, the speaker sounds sad.",
            "sad",
        ),
        ("I can't detect anger in this audio. Could be sad.", "sad"),
        (
            "I cannot hear any anger in the recording. If anything, she sounds "
            "sad.",
            "sad",
        ),
        (
            "Unfortunately I can't hear the words in the recording clearly. "
            "Please note the speaker sounds sad.",
            "sad",
        ),
        ("I can't listen to all of the audio. The speaker sounds sad.", "sad"),
    ],
)
def test_courtesy(text, label):
    assert parse_answer(text, SEVEN).emotion == label


@pytest.mark.parametrize(
    "text, label",
    [
        ("s\u200bad", "sad"),
        ("Emo\u00adtion: sad. Reason: happy", "sad"),
        ("𝐬𝐚𝐝", "sad"),
        ("ANG", "angry"),
        ("neu", "neutral"),
    ],
)
def test_unseen_signs_and_codes(text, label):
    assert parse_answer(text, SEVEN).emotion == label
    assert parse_answer("ANG", SEVEN, synonyms=False).emotion is None
