"""Labels read out of what models and recognisers write, in any form."""

import json
import re

import pytest

from speechbrain_c2ser.chain_of_thought import answer_forms
from speechbrain_c2ser.chain_of_thought.answer_parsing import parse_answer
from speechbrain_c2ser.cli import main
from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.labels.emotion_words import CONCEPTS
from speechbrain_c2ser.labels.lexicon import PLAIN

SEVEN = LabelSpace.from_name("emo_emilia")


@pytest.mark.parametrize(
    "text, label",
    [
        ("The speaker is not angry but sad.", "sad"),
        ("I do not think the speaker is angry.", None),
        ("She is anything but happy.", None),
        ("There is a complete lack of happiness in the voice.", None),
        ("He is not only angry but also disgusted.", None),
        ("The speaker sounds sad rather than angry.", "sad"),
        ("No signs of anger, fear or sadness; the tone is neutral.", "neutral"),
        ("I don't think that the speaker is angry; she is happy.", "happy"),
        ("not happy, sad", "sad"),
        ("neither angry nor sad", None),
        ("neither angry nor sad, just neutral", "neutral"),
        ("no longer angry, now happy", "happy"),
        ("She is no longer angry.", None),
        ("cannot hide her joy", "happy"),
        ("There is no doubt that she is happy", "happy"),
        ("nothing but joy", "happy"),
        ("He is not not happy", "happy"),
        ("I don't think she is not angry", "angry"),
        ("not without anger", "angry"),
        ("ohne Freude", None),
        ("weder traurig noch wütend", None),
        ("weder traurig noch wütend, sondern fröhlich", "happy"),
        ("nicht wütend, sondern traurig", "sad"),
        ("kein Anzeichen von Angst", None),
        ("nicht nur wütend", "angry"),
        ("不是生气，而是难过", "sad"),
        ("并非高兴", None),
        ("难过而不是生气", "sad"),
        ("没有生气、害怕或悲伤", None),
        ("没有生气、害怕或悲伤，很平静", "neutral"),
        ("不仅生气", "angry"),
        ("不得不高兴", "happy"),
        ("与其说生气不如说难过", "sad"),
        ("我不认为说话人生气", None),
        ("既不高兴也不难过", None),
        ("不再生气", None),
        ("他聽起來很生氣。", "angry"),
        ("語氣憤怒", "angry"),
        ("他很不高興", None),
        ("並非高興", None),
        ("沒有難過，很開心", "happy"),
        ("她說話時掩飾不住高興", "happy"),
        ("angry, not sad", "angry"),
        ("sad instead of happy", "sad"),
        ("more sad than angry", "sad"),
        ("less angry than sad", "sad"),
        ("Instead of anger, there is sadness.", "sad"),
        ("Far from happy, he is sad", "sad"),
        ("angry? No, sad.", "sad"),
        ("Anger is absent.", None),
        ("no anger but sadness", "sad"),
        ("isn't angry, sad, or afraid", None),
        ("The voice isn't calm but angry", "angry"),
        ("It is not that she is sad, she is angry", "angry"),
        ("not angry at all", None),
        ("without any anger", None),
        ("happy or sad", None),
        ("doesn't sound happy", None),
        ("The speaker, who is not happy, sounds sad", "sad"),
        ("not loud and angry", None),
        ("She does not speak loudly and sounds happy", "happy"),
        ("ＨＡＰＰＹ", "happy"),
        ("I wouldn't say happy, more like surprised", "surprised"),
        ("The speaker doesn't seem sad or angry, but surprised.", "surprised"),
        ("neither happy, sad, nor angry: neutral", "neutral"),
        ("There's no trace of sadness; instead, joy.", "happy"),
        ("not exactly happy", None),
        ("never happy", None),
        ("Not angry. Sad.", "sad"),
        ("unlike anger, this is sadness", "sad"),
        ("The emotion is not neutral, it is happy", "happy"),
        ("I can't hear any anger; the speaker is surprised", "surprised"),
        (
            "The speaker isn't feeling happy or excited, they are feeling sad",
            "sad",
        ),
        ("她不高兴也不生气，只是惊讶", "surprised"),
        ("说话人没有表现出生气的情绪", None),
        ("他不是在生气", None),
        ("不是不高兴", "happy"),
        ("Ich glaube nicht, dass er wütend ist.", None),
        ("alles andere als glücklich", None),
        ("eher traurig als wütend", "sad"),
        ("als er sprach, war er wütend", "angry"),
        ("the opposite of happy", None),
        ("no emotion except sadness", "sad"),
        ("I doubt that he is angry.", None),
        ("There is no doubt that he is angry.", "angry"),
        ("It would be wrong to call her angry.", None),
        ("Nobody would call this angry.", None),
        ("angry is wrong; sad", "sad"),
        ("Is it anger? Probably not. It is sadness.", "sad"),
        ("zero happiness", None),
        ("little happiness", None),
        ("a little happy", "happy"),
        ("The little boy is happy", "happy"),
        ("closer to sad than to angry", "sad"),
        ("no anger/fear/sadness, happiness only", "happy"),
        ("Not angry / not sad / happy", "happy"),
        ("She couldn't be more happy.", "happy"),
        ("never been happier", "happy"),
        ("never been happy", None),
        ("说不上高兴", None),
        ("难以称得上高兴", None),
        ("不能说是高兴", None),
        ("难以掩饰的高兴", "happy"),
        ("surprisingly", "surprised"),
        ("fears", "fearful"),
        ("minus the anger, the tone is neutral", "neutral"),
        ("bereft of joy", None),
        ("sans anger", None),
        ("anger-free", None),
        ("She feels free and happy", "happy"),
        ("no emotion other than anger", "angry"),
        ("unable to control her anger", "angry"),
        ("It is hard to say she is happy", None),
        ("used to be happy, now sad", "sad"),
        ("She tries to sound happy but is sad.", "sad"),
        ("She tries to hide her anger.", "angry"),
        ("rarely happy", None),
        ("everything but happy", None),
        ("nothing but joy, all but sad", "happy"),
        ("She wants to be happy.", None),
        ("supposed to sound happy but sad", "sad"),
        ("sad: no", None),
        ("sad = 0", None),
        ("sad: 0.9", "sad"),
        ("wouldnt call it happy", None),
        ("happy it is not", None),
        ("Is the speaker happy, sad or angry?", None),
        ("Is the speaker angry? Yes.", "angry"),
        ("Is she angry? She sounds sad.", "sad"),
        ("angry?", "angry"),
        ("abgesehen von Wut", None),
        ("außer sich vor Wut", "angry"),
        ("bar jeder Freude", None),
        ("es mangelt an Freude", None),
        ("不含愤怒", None),
        ("未见愤怒", None),
        ("生气？不，是难过", "sad"),
        ("wenig Freude", None),
        ("ein wenig traurig", "sad"),
        ("Ich kann nicht sagen, ob er wütend ist.", None),
        # 别 that denies nothing, and denials that affirm.
        ("他听起来特别悲伤。", "sad"),
        ("她特别高兴", "happy"),
        ("分别是悲伤", "sad"),
        ("特別悲傷", "sad"),
        ("别高兴", None),
        ("不特别高兴", None),
        ("说不出的悲伤", "sad"),
        ("无处不悲伤", "sad"),
        ("无时无刻不悲伤", "sad"),
        # Marks and blanks behind a Chinese denial.
        ("情绪不是“高兴”。", None),
        ("没有“高兴”的情绪", None),
        ("不是「高興」", None),
        ("不是【高兴】", None),
        ("不是《高兴》", None),
        ("不是**高兴**", None),
        ("他 不 高兴", None),
        ("不是“高兴”，而是“悲伤”", "sad"),
        ("他说“没有”，高兴地笑了", "happy"),
        ("很难说是高兴", None),
        ("难以判断是否高兴", None),
        ("不能确定说话人是否高兴", None),
        ("不知道他是否高兴，但他很悲伤", "sad"),
        ("是否高兴：是", "happy"),
        ("无法判断是高兴还是悲伤", None),
        ("不够高兴", None),
        ("不见得高興", None),
        ("高兴的成分很少", None),
        ("高兴是不可能的", None),
        ("I would not describe the speaker as happy.", None),
        ("I doubt that the speaker is really happy.", None),
        ("There is little doubt that she is happy.", "happy"),
        ("Happiness cannot be heard.", None),
        ("Happiness can't be detected here.", None),
        ("Happiness does not come through.", None),
        ("Happiness is nowhere to be found.", None),
        ("Sadness cannot be hidden.", "sad"),
        ("She stopped being happy.", None),
        ("She fails to hide her sadness.", "sad"),
        ("no mistaking the anger", "angry"),
        ("isn´t happy", None),
        ("isnʼt happy", None),
        ("isn`t happy", None),
        ('__not__ "happy"', None),
        ("happy: none, sad: strong", "sad"),
        ("happy: not detected", None),
        ("Happy ✗", None),
        ("❌ Happy", None),
        ("happy ❌, sad ✅", "sad"),
        ("- ❌ angry\n- ✅ sad", "sad"),
        ("no strong emotion such as anger or sadness; neutral", "neutral"),
        ("neutral, lacking any strong emotions like anger", "neutral"),
        ("The lack of energy suggests sadness.", "sad"),
        ("Lack of energy and slow pace indicate sadness.", "sad"),
        ("The absence of laughter indicates sadness.", "sad"),
        ("a lack of evidence that suggests sadness", None),
    ],
)
def test_denials(text, label):
    assert SEVEN.parse(text) == label


@pytest.mark.parametrize(
    "text, label",
    [
        ("The emotion is “angry”.", "angry"),
        ("情绪是“生气”。", "angry"),
        ("情绪是「難過」", "sad"),
        ("Die Emotion ist „traurig“.", "sad"),
        ("«happy»", "happy"),
        ("'Sad.'", "sad"),
        ("`angry`", "angry"),
        ("**Angry**", "angry"),
        ("*Emotion:* **sad**", "sad"),
        ("## Emotion\nhappy", "happy"),
        ('She says "I am so happy": sad', "sad"),
        ('She says "I am so happy". The emotion is "sad".', "sad"),
        ('The words "sad" sound', None),
        ('She says "happy".', None),
        ('He said "happy" in an angry tone', "angry"),
        ('The speaker says "I am sad" and sounds "happy"', "happy"),
        ("她说“我很高兴”，情绪是“难过”", "sad"),
        ("\"I am angry\" is said, the tone is 'neutral'", "neutral"),
        ('{"label":"happy"}', "happy"),
        ("{'emotion': 'sad'}", "sad"),
        ('{"result": {"emotion": "angry", "score": 0.8}}', "angry"),
        (
            '```\n{"Emotion": "Surprised"}\n```\nI am happy to assist.',
            "surprised",
        ),
        (
            'Sure, here it is: {"predicted_emotion": "fear"} Let me know.',
            "fearful",
        ),
        ('{"emotion": ["angry", "sad"]}', None),
        ('{"emotion": ["angry"]}', "angry"),
        ('[{"emotion": "sad"}]', "sad"),
        ('{"angry": 0.1, "sad": 0.8, "happy": 0.1}', "sad"),
        ('{"emotion": {"angry": 0.1, "sad": 0.9}}', "sad"),
        ('{"emotion": "angry", "reason": "The sp', "angry"),
        ('{"transcript": "I am so happy", "emotion": "sad"}', "sad"),
        ('{"text": "I am happy"}', None),
        ('{"emotion": null}', None),
        ('{"emotion": "none"}', None),
        ("{emotion: angry}", "angry"),
        ('{"情绪": "生气"}', "angry"),
        ('{"emotion": "not angry"}', None),
        ('{"answer": "The speaker is sad."}', "sad"),
        ('{"primary_emotion": "sad", "secondary_emotion": "angry"}', "sad"),
        ('{"emotion":"SAD",}', "sad"),
        ('["sad"]', "sad"),
        ("['生气/angry']", "angry"),
        ("<think>The voice is happy", None),
        ("I think angry. </think> sad", "sad"),
        ("<answer>sad", "sad"),
        ("\\boxed{sad}", "sad"),
        ("The answer is \\boxed{\\text{Happy}}. angry", "happy"),
        ("<reasoning>sad</reasoning><answer>Angry</answer>", "angry"),
        ("<emotion>happy</emotion>", "happy"),
        ("<|zh|><|SAD|><|BGM|><|withitn|>高兴", "sad"),
        ("<|HAPPY|><|Laughter|>i am sad", "happy"),
        ("<|NEUTRAL|>", "neutral"),
        ("<|EMO_UNKNOWN|>", None),
        ("[ANGRY] see you", "angry"),
        ("[happy]", "happy"),
        ("see you [SAD]", "sad"),
        ("(laughs) I am so happy", None),
        ("[laughter] see you", None),
        ("生气/angry", "angry"),
        ("<|im_start|>assistant\nThe speaker is sad<|im_end|>", "sad"),
        ("The speaker is sad.<|endoftext|>", "sad"),
        ("开心/happy", "happy"),
        ("A voice [unclear] sounds sad", "sad"),
        ("[1] sad", "sad"),
        ("😊", "happy"),
        ("😢see you", "sad"),
        ("The speaker sounds 😡", "angry"),
        ("😊 😢", None),
        ("SAD", "sad"),
        ("Label: Happy", "happy"),
        ("Emotion: angry\nReason: she does not sound happy or sad", "angry"),
        ("Reason: sounds sad\nFinal answer: angry", "angry"),
        ("情绪：生气", "angry"),
        ("Answer: (B) sad", "sad"),
        ("B. happy", "happy"),
        ("1. Emotion: Sad", "sad"),
        ("Antwort: traurig", "sad"),
        ("emotion=angry", "angry"),
        ("Angrier than before", "angry"),
        ("She is in a trauriger Stimmung", "sad"),
        ("mit wütender Stimme", "angry"),
        ("happy/sad", None),
        ("Primary emotion: sad. Secondary emotion: angry.", "sad"),
        ("The speaker sounds happy.\nuser: angry?", None),
        ("ｈａｐｐｙ", "happy"),
        ("情緒：高興", "happy"),
        ("<|happy|>", "happy"),
        ("Emotion - angry", "angry"),
        ("The speaker is _sad_.", "sad"),
        ("<b>sad</b>", "sad"),
        ("It’s ‘sad’.", "sad"),
        ("the speaker's tone isn't 'happy'", None),
        ('not "angry" but "sad"', "sad"),
        ("the emotion is ``sad''", "sad"),
        (r"The answer is \"sad\".", "sad"),
        ('The speaker feels "very angry".', "angry"),
        ('"sad', "sad"),
        ('The emotion is "sad.', "sad"),
        ('The emotion is "sad."', "sad"),
        ("情绪是“难过。", "sad"),
        ('She says "sad', None),
        ("Reason: tears\\nEmotion: sad", "sad"),
        (r'{"emotion": "sad", "why": "a\nb"}', "sad"),
        ("~~angry~~ sad", "sad"),
        ("<sentiment>sad</sentiment> I am happy", "sad"),
        ("<angry>hello, I am happy", "angry"),
        ("[Emotion=sad] I am happy", "sad"),
        ("<laugh> I am angry", None),
        ('{"angry": true, "sad": false, "happy": false}', "angry"),
        ('{"is_angry": "no", "is_sad": "yes"}', "sad"),
        ('{"angry": false, "sad": false}', None),
        ('{"angry": "90%", "sad": "10 %"}', "angry"),
        ('{"angry": -0.1, "sad": -3.2}', "angry"),
        ('{"label": 0, "name": "angry"}', "angry"),
        ("happy: no; sad: yes", "sad"),
        ("angry=0 sad=1", "sad"),
        ("Happy - no. Sad - yes.", "sad"),
        ("angry: yes, sad: yes", None),
        ("愤怒：否，悲伤：是", "sad"),
        ("❌ angry ✅ sad", "sad"),
        ("While the words are happy, the tone is sad.", "sad"),
        ("The content is happy but the voice is sad.", "sad"),
        ("虽然内容是高兴的，但语气是悲伤的", "sad"),
        ("The words are happy.", "happy"),
        ("The content is happy and sad.", None),
    ],
)
def test_forms(text, label):
    assert parse_answer(text, SEVEN).emotion == label


@pytest.mark.parametrize(
    "text, label",
    [
        # Shares, ranks and words that put one first.
        ("sad: 10%, angry: 90%", "angry"),
        ("90% angry, 10% sad", "angry"),
        ("sad 0.1 angry 0.9", "angry"),
        ("愤怒：80%，悲伤：20%", "angry"),
        ("angry 50%, sad 50%", None),
        ("1. Angry (0.8)\n2. Sad (0.1)\n3. Happy (0.1)", "angry"),
        ("1) angry\n2) sad", "angry"),
        ("angry > sad > happy", "angry"),
        ("1. happy 1. sad", None),
        ("Speaker 1: angry, speaker 2: sad", None),
        ("At 0.5 s angry, at 1.0 s sad", None),
        ("Primarily angry with some sadness.", "angry"),
        ("Most likely angry, less likely sad.", "angry"),
        ("mostly happy or sad", None),
        ("主要是愤怒，略带悲伤", "angry"),
        ("sad 8/10, angry 2/10", "sad"),
        ("Sad with 80% certainty, angry with 20%.", "sad"),
        ("Sad, with a hint of anger.", "sad"),
        ("A hint of anger and sadness", None),
        ("While it may seem angry, it is actually sad.", "sad"),
        ("It actually sounds happy at first, then sad.", None),
        ("The options are angry and sad. I choose sad.", "sad"),
        ("People may label this as angry, but it is sad.", None),
        ("It could be sad, but the answer is angry.", "angry"),
        ("The answer sounds happy; the question sounds sad.", None),
        ("The speaker says: I'm so happy. The emotion is sad.", "sad"),
        ("primary emotion is sadness, secondary emotion is anger", "sad"),
        ("The emotion is happy or sad", None),
        ("On top of anger, she sounds sad.", None),
        ("Sad (confidence: 0.8). Others: neutral (0.2).", "sad"),
        ("sadness at 80% and anger at 20%", "sad"),
        ("happy at 0.5 s, sad at 1.0 s", None),
        ("80% chance of sadness, 20% chance of anger", "sad"),
        ("Emotion: Sad | Confidence: 85% | Alternative: Fear", "sad"),
        ("- [ ] angry\n- [x] sad", "sad"),
        ('{"sad": 0.8, "angry": 0.2, "confidence": 0.9}', "sad"),
        ('{"sad": 0.2, "angry": 0.8, "reason": "sad words"}', "angry"),
        ('{"emotion": {"primary": "sad", "secondary": "angry"}}', "sad"),
        ('{"emotion": "sad"}\n{"emotion": "angry"}', None),
        ('{"emotion": "sad"}, {"emotion": "sad"}', "sad"),
        ("Words: I am happy. Voice: sad.", "sad"),
        ("Although she says she is happy, she sounds sad", "sad"),
        ("She claims to be happy but sounds sad.", "sad"),
        ("I'm sorry to hear that you are sad.", None),
        ("听起来像是生气，实际上是难过", "sad"),
        # What an assistant says of itself.
        ("I'm afraid I can't process audio.", None),
        ("I would be happy to help! Please provide the audio.", None),
        ("Happy to help! The speaker sounds angry.", "angry"),
        ("I'm sad to say that I cannot process audio.", None),
        ("很高兴为您服务，请提供音频。", None),
        ("I cannot tell if she is angry.", None),
        ("I'm not sure whether the speaker is happy.", None),
        ("She is afraid that he will leave", "fearful"),
        ("The speaker is happy to see you.", "happy"),
        # Prompts that are repeated, half-filled JSON, a tag in brackets.
        ("[INST] happy or sad? [/INST] angry", "angry"),
        ("User: which emotion, happy or sad?\nAssistant: angry", "angry"),
        ('{"emotion": null, "label": "sad"}', "sad"),
        ("(angry) I am happy", "angry"),
        # Further denials; and of every emotion.
        ("He is least happy.", None),
        ("The speaker avoids anger.", None),
        ("This could be mistaken for anger, but it is joy.", "happy"),
        ("没法说他生气", None),
        ("她生气吗？", None),
        ("The speaker shows no particular emotion.", "neutral"),
        ("没有明显的情绪", "neutral"),
        ("no emotion of anger is present", None),
        # Thoughts of further models, and scores in lists.
        ("[THINK]angry[/THINK] sad", "sad"),
        ("<|begin_of_thought|>angry?<|end_of_thought|>sad", "sad"),
        (
            "<|channel|>analysis<|message|>angry?<|end|><|start|>assistant"
            "<|channel|>final<|message|>sad",
            "sad",
        ),
        ("<transcript>I am so happy</transcript> sad", "sad"),
        (
            '[{"label": "happy", "score": 0.1}, {"label": "sad", "score": 1}]',
            "sad",
        ),
        (
            '{"emotions": [{"emotion": "sad", "confidence": "20%"}, '
            '{"emotion": "angry", "confidence": "70%"}]}',
            "angry",
        ),
        ('[{"label": "HAPPY", "start": 0}, {"label": "SAD"}]', None),
        ('{"detected_emotion": "angry", "note": "happy words"}', "angry"),
        # A multiple choice, a judge, a script, a face behind a transcript.
        ('The best option is "B) happy".', "happy"),
        ('I would say "fearful".', "fearful"),
        ('He says "happy".', None),
        ("<|emotion:sad|>i am happy", "sad"),
        ("<emo>sad</emo> i am happy", "sad"),
        ("(in a sad voice) I am happy", "sad"),
        ("[SPEAKER_00] [angry] i am happy", "angry"),
        ("<sad> i am happy", "sad"),
        ("i was so happy to see you😔", "sad"),
        # Denials again.
        ("The speaker is not in the least happy.", None),
        ("It could be angry, but it isn't.", None),
        ("She pretends to be happy but is actually sad.", "sad"),
        ("unlikely to be angry; likely sad", "sad"),
        ("absent any anger, the tone is neutral", "neutral"),
        ("keineswegs fröhlich", None),
        # Traditional characters, of keys too.
        ("說話者沒有情緒", "neutral"),
        ("嚇壞了", "fearful"),
        ("訝異", "surprised"),
        ("語氣：驚訝，內容：難過", "surprised"),
        ("情緒標籤：快樂", "happy"),
    ],
)
def test_what_other_models_write(text, label):
    assert parse_answer(text, SEVEN).emotion == label


def test_a_quoted_label_is_no_content():
    assert parse_answer('The tone is "sad".', SEVEN).content is None
    answer = parse_answer('She says "I am so happy": it is "sad"', SEVEN)
    assert (answer.content, answer.emotion) == ("I am so happy", "sad")


def test_strict_readings_of_forms():
    for text in ('{"emotion": "furious"}', "<|FURIOUS|>", "Emotion: furious"):
        assert parse_answer(text, SEVEN).emotion == "angry"
        assert parse_answer(text, SEVEN, synonyms=False).emotion is None


@pytest.mark.parametrize(
    "raw, label",
    [
        (" Angry. ", "angry"),
        ("**SAD**", "sad"),
        ("ＡＮＧＲＹ", "angry"),
        ("生氣／angry", "angry"),
        ("生气（angry）", "angry"),
        ("<|HAPPY|>", "happy"),
        ("<unk>", None),
        ("EMO_UNKNOWN", None),
        ("sad|angry", None),
    ],
)
def test_labels_as_others_write_them(raw, label):
    assert SEVEN.map(raw) == label


def test_traditional_characters_name_what_simplified_ones_do():
    pairs = {
        plain: old for old, plain in PLAIN.items() if isinstance(plain, str)
    }
    for concept, (_, _, words) in CONCEPTS.items():
        for word in words["zh"].split():
            old = "".join(chr(pairs[c]) if c in pairs else c for c in word)
            space = LabelSpace([concept, "a thing"])
            assert space.parse(f"他覺得很{old}。") == concept


def test_a_looping_answer_is_read_in_steps_of_its_length(monkeypatch):
    """What a name looks at is bounded, however long the text before it."""
    from speechbrain_c2ser.labels import negation

    seen = []
    odd = negation._odd

    def counted(before, earlier):
        seen.append(len(before) + len(earlier))
        return odd(before, earlier)

    monkeypatch.setattr(negation, "_odd", counted)
    assert SEVEN.parse("angry " * 5000) == "angry"
    assert len(seen) == 5000 and max(seen) <= 2 * negation.BEFORE
    assert parse_answer('{"emotion": "sad"}\n' * 2000, SEVEN).emotion == "sad"
    for text in ("{" * 20000, "[" * 50000, '"' * 5000, "'angry " * 4000):
        parse_answer(text, SEVEN)
    # Blank lines and bullets: what begins a line is bounded, too.
    for pattern in (answer_forms.LINE, answer_forms.REPLY):
        assert not re.search(r"\]\*(?!\*)\(\?:(?:the |ass)", pattern.pattern)
    for text in ("\n" * 30000, "\n* " * 10000, " " * 50000):
        parse_answer(text, SEVEN)


def test_the_command_reads_them(tmp_path, capsys):
    rows = [
        {"id": "a", "text": 'The emotion is "sad".', "emotion": "sad"},
        {"id": "b", "text": '{"emotion": "angry"}', "emotion": "angry"},
        {"id": "c", "text": "<|EMO_UNKNOWN|>so happy", "emotion": "happy"},
    ]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["evaluate", str(path), "--samples", "9"]) == 0
    assert "1 of 3 unparsed" in capsys.readouterr().out
