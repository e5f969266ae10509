"""Forms of a generated answer: JSON, tags, quotes, a sentence.

Language models think aloud first, answer in JSON, in tags or after "Emotion:",
and put the label into quotation marks; recognisers of rich transcripts write
it as a tag before the words. What is found here is text that names the emotion
and nothing else.
"""

import ast
import json
import re
import unicodedata
from collections.abc import Callable

from speechbrain_c2ser.labels.emotion_words import concept_of

THOUGHTS = "think|thinking|thought|thoughts|reasoning|reflection|analysis"
THINKING = re.compile(
    rf"(?:<({THOUGHTS})>|◁think▷).*?(?:</(?:{THOUGHTS})>|◁/think▷|\Z)",
    re.IGNORECASE | re.DOTALL,
)
THOUGHT_END = re.compile(rf"</(?:{THOUGHTS})>|◁/think▷", re.IGNORECASE)
ANSWER = re.compile(
    r"<(answer|final_answer|final|emotion|label|result|output|sentiment|mood"
    r"|prediction|class|category)>(.*?)"
    r"(?:</\1>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
BOXED = re.compile(r"\\boxed\{(?:\\text\w*\{)?([^{}]*)\}")
FENCE = re.compile(r"```[a-z]*|`", re.IGNORECASE)
# Names of what an answer decides, in JSON and before a colon; best first.
KEYS = (
    "finalemotion predictedemotion primaryemotion mainemotion dominantemotion "
    "emotion emotionlabel emotionalstate emotions finalanswer answer label "
    "predictedlabel prediction predicted class category result mood tone "
    "feeling sentiment output response 情绪 情感 情绪标签 情感标签 情緒 标签 "
    "答案 结果 gefühl stimmung antwort"
).split()
# Values of these are what was said, or why, and never the answer.
ASIDE = (
    "text transcript transcription content words utterance reason reasoning "
    "explanation rationale thought thoughts analysis evidence style 内容 理由 "
    "原因 解释 文本"
).split()
SAID = re.compile(
    r"(?:\b(?:says?|said|saying|speaks|uttered|utters|asks?|shouts?|words?"
    r"|phrases?|sentence|content|transcript|text|line|statement|sagt|sagte"
    r"|worte)|[说說喊问問道]|内容|台词)\W{0,3}(?:是|为|of|are|is|that)?\W{0,3}$",
    re.IGNORECASE,
)
CARRIED = re.compile(
    r"\s*(?:sounds?|sounded|conveys?|is (?:said|spoken)|are|was said|听起来)",
    re.IGNORECASE,
)
MARKS = '"“”„‟「」『』«»‹›＂'
QUOTED = re.compile(
    rf"[{MARKS}]\s*([^{MARKS}]{{1,40}}?)\s*[{MARKS}]"
    r"|(?<!\w)['‘＇]\s*([^'‘’＇\n]{1,40}?)\s*['’＇](?!\w)"
)
LINE = re.compile(
    r"(?:^|[\n.;。；,，{])[\s*_#>-]*(?:the |final |overall |detected )*"
    r"[\"']?([^\W\d_][\w ]{1,24}?|[\u4e00-\u9fff]{2,4})[\"']?[\s*_]*"
    r"(?::|：|=|->|→)[\s*_]*(?:[\"“']([^\"”'\n]{1,60})[\"”']"
    r"|([^\n.;。；{}]*))",
    re.IGNORECASE,
)
# Rich transcripts: <|en|><|HAPPY|><|Speech|>words, [ANGRY] words.
TAG = re.compile(r"<\s*\|\s*([\w /]{1,30}?)\s*\|\s*>")
BRACKET = re.compile(
    r"^\s*[\[【<(（]([^\[\]【】<>()（）]{1,40})[\]】>)）]"
    r"|[\[【<]([^\[\]【】<>]{1,40})[\]】>]\s*$"
)
KEYED = re.compile(r"\s*([^\W\d_][\w ]{1,24}?)\s*[:：=]\s*(.+)")
# Each emotion with its verdict: "angry: no, sad: yes", "❌ angry ✅ sad".
VERDICT = re.compile(
    r"([^\W\d_]{2,20})[\"'*]*\s*(?::|：|=|->|→|–|-|\bis)\s*[\"'*]*"
    r"(?:(yes|true|1(?:\.0)?|ja|是|✅|✓|✔)|(no|false|0(?:\.0)?|nein|否|❌|✗|✘))"
    r"(?!\w|\.\d)",
    re.IGNORECASE,
)
MARKED = re.compile(r"(?:([✅✓✔☑])|([❌✗✘☒]))\ufe0f?\s*\**([^\W\d_]{2,20})")
STRUCK = re.compile(
    r"~~[^~\n]{1,80}~~|<(s|del|strike)>.{1,80}?</\1>", re.IGNORECASE
)
YES = ("yes", "true", "y", "ja", "是")
NO = ("no", "false", "n", "nein", "否")
# Before a label in quotation marks.
DEGREE = re.compile(
    r"(?:(?:very|quite|slightly|somewhat|extremely|deeply|mildly|highly|sehr"
    r"|etwas)\s+|非常|十分|有点|很)+",
    re.IGNORECASE,
)
# What an assistant says of itself: no emotion of the speaker.
COURTESY = re.compile(
    r"(?:\b(?:i|we)(?:['’]?m|['’]?re| am| are|['’]?d be| would be|['’]?ll be"
    r"| will be)(?: (?:very|so|more than|always))?"
    r" (?:happy|glad|pleased|delighted|excited|sad|sorry|afraid)"
    r"(?: that)? (?:i|we|there|your?|the|to (?:help|assist|say|report|inform"
    r"|tell|answer|provide|do|analy[sz]e|support|be of))"
    r"|(?:^|[.!?]) (?:happy|glad|pleased) to (?:help|assist))\b"
    r"|很?(?:高兴|乐意|开心)(?:能|可以)?(?:为[您你]|帮|回答|协助|和您|与您)",
    re.IGNORECASE,
)
ASKED = re.compile(
    r"\s*[#*]*(?:human|user|instruction|用户)\s*\**[:：]", re.IGNORECASE
)
REPLY = re.compile(
    r"\[/INST\]|<\|im_start\|>assistant|<start_of_turn>model"
    r"|\n[\s#*]*(?:assistant|model|response|助手)\s*\**[:：]",
    re.IGNORECASE,
)
NO_FEELING = re.compile(
    r"\b(?:no|without(?: any)?|lacks? (?:of )?(?:any )?)"
    r"(?: (?:particular|strong|obvious|clear|specific|evident|discernible"
    r"|noticeable|apparent|distinct|significant|real|special))?"
    r" emotions?\b(?! (?:of|like|such))"
    r"|(?:没有|无)(?:什么|任何|明显的?|特别的?|特殊的?)?(?:情绪|感情|情感)",
    re.IGNORECASE,
)
NO_EMOTION = ("emo unknown", "emo unk", "unk", "unknown")
# At the beginning they mark a transcript, not an answer.
LONGEST = 20000
EVENT = re.compile(
    r"^\s*[(\[（【*<]\s*(?:laugh(?:s|ing|ter)?|chuckl\w+|giggl\w+|sigh\w*|sob\w*"
    r"|cry(?:ing)?|cries|cough\w*|gasp\w*|breath\w*|sneez\w+|applause|music"
    r"|noise|silence|笑声?|大笑|叹气|哭声?|咳嗽|音乐|掌声)\s*[)\]）】*>]\s*\S",
    re.IGNORECASE,
)


def final_answer(text: str) -> str:
    """What a model answered, without what it thought and how it marked it.

    Arguments
    ---------
    text : str
        All that it wrote.

    Returns
    -------
    str
        Without <think> (empty where the thought never ends) and code fences;
        what stands in the last <answer> or \\boxed{}, where there is one.

    Example
    -------
    >>> final_answer("<think>sad?</think> <answer>happy</answer>")
    'happy'
    """
    text = STRUCK.sub(" ", THINKING.sub(" ", _own_turn(text)))
    # Escaped, and as LaTeX and careful typists write them.
    text = re.sub(r"\\\"|''|``(?!`)(?<!```)", '"', text)
    ends = list(THOUGHT_END.finditer(text))
    if ends:
        text = text[ends[-1].end() :]
    for pattern in (ANSWER, BOXED):
        matches = pattern.findall(text)
        if matches:
            last = matches[-1]
            text = last if isinstance(last, str) else last[-1]
    text = COURTESY.sub(" ", f" {text}").removeprefix(" ")
    return FENCE.sub(" ", text) if "`" in text else text


def says_no_emotion(text: str) -> bool:
    """Whether a text says that no emotion is to be heard.

    Example
    -------
    >>> says_no_emotion("She shows no particular emotion.")
    True
    """
    return bool(NO_FEELING.search(text))


def _own_turn(text):
    """The reply alone, where a model repeats what it was asked."""
    replies = REPLY.split(text)
    if len(replies) == 2 and ("[/INST]" in text or ASKED.match(text)):
        return replies[1]
    return text


def decided(text: str, read: Callable) -> tuple[bool, str | None]:
    """A label that stands in a form of its own: JSON, or a recogniser's tag.

    Arguments
    ---------
    text : str
        Of :func:`final_answer`.
    read : callable
        Words -> the one label that they name, or None.

    Returns
    -------
    is_form : bool
        Whether there is such a form; then nothing else is to be read.
    label : str | None
        None where it names no label of the set, or several.

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> space = LabelSpace(["happy", "sad"])
    >>> decided("<|en|><|HAPPY|><|Speech|>I was sad", space.parse)
    (True, 'happy')
    >>> decided('{"emotion": "sad", "text": "happy days"}', space.parse)
    (True, 'sad')
    """
    tags = [_plain_tag(tag) for tag in TAG.findall(text)]
    tags = [tag for tag in tags if tag in NO_EMOTION or concept_of(tag)]
    if not tags:
        brackets = [_unkeyed(a or b) for a, b in BRACKET.findall(text)]
        tags = [t for t in map(_plain_tag, brackets) if concept_of(t)]
    if tags:
        return True, _one({read(tag) for tag in tags})
    if EVENT.match(text):
        return True, None
    content = _json(text)
    if content is not None:
        return True, _in_json(content, read)
    verdicts = _verdicts(text, read)
    if len(verdicts) > 1:
        return True, _one({name for name, holds in verdicts if holds})
    return False, None


def stated(text: str, read: Callable) -> str | None:
    """The label after "Emotion:", "Answer:" and the like, or None.

    Arguments
    ---------
    text : str
        Of :func:`final_answer`.
    read : callable
        Words -> the one label that they name, or None.

    Returns
    -------
    str | None
        Of several such lines the best named and then the last counts.

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> space = LabelSpace(["happy", "sad"])
    >>> stated("Reason: a happy word.\\nEmotion: sad", space.parse)
    'sad'
    """
    lines = {}
    for key, quoted, plain in LINE.findall(text):
        rank = _rank(key)
        if rank is not None:
            lines.setdefault(rank, []).append(quoted or plain)
    return read(lines[min(lines)][-1]) if lines else None


def without_label_quotes(text: str, space) -> str:
    """A text whose quotation marks around mere labels are blanks.

    Quotation marks around what somebody says stay.

    Example
    -------
    >>> from speechbrain_c2ser.labels import LabelSpace
    >>> space = LabelSpace(["happy", "sad"])
    >>> without_label_quotes('She says "sad"; it is "happy".', space)
    'She says "sad"; it is  happy .'
    """

    def bare(match):
        is_said = SAID.search(text[max(0, match.start() - 40) : match.start()])
        is_said = is_said or CARRIED.match(text, match.end())
        words = match[1] or match[2]
        inside = DEGREE.sub("", words.strip(" .,!?。，！？"))
        if is_said or space.map(inside) is None:
            return match[0]
        return f" {words} "

    return QUOTED.sub(bare, text)


def _unkeyed(tag):
    """What a tag such as "Emotion: sad" says."""
    keyed = KEYED.fullmatch(tag)
    return keyed[2] if keyed and _rank(keyed[1]) is not None else tag


def _verdicts(text, read):
    """[(label, whether it holds)] of a list that judges each emotion."""
    judged = [(name, bool(yes)) for name, yes, _ in VERDICT.findall(text)]
    if len(judged) < 2:
        judged = [(name, bool(yes)) for yes, _, name in MARKED.findall(text)]
    named = [(read(name), holds) for name, holds in judged]
    return [(name, holds) for name, holds in named if name is not None]


def _plain_tag(tag):
    return " ".join(tag.replace("_", " ").lower().split())


def _one(labels):
    return labels.pop() if len(labels) == 1 else None


def _plain_key(key):
    text = unicodedata.normalize("NFKC", str(key)).casefold()
    return re.sub(r"[\W_]+", "", text)


def _rank(key):
    """Place of a key among those that name an answer, or None."""
    plain = _plain_key(key)
    return KEYS.index(plain) if plain in KEYS else None


def _json(text):
    """The first JSON (or Python) object or list of a text, or None."""
    start = min((i for i in map(text.find, "{[") if i >= 0), default=-1)
    if start < 0:
        return None
    part = text[start : start + LONGEST]
    try:
        value = json.JSONDecoder().raw_decode(part)[0]
    except (ValueError, RecursionError):
        end = max(part.rfind("}"), part.rfind("]"))
        try:
            value = ast.literal_eval(part[: end + 1])
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    # "[1]" is a footnote.
    is_list = isinstance(value, list) and any(
        isinstance(each, str | dict) for each in value
    )
    return value if is_list or isinstance(value, dict) and value else None


def _in_json(content, read):
    """The label that JSON decides; None for none or several."""
    best = min(_named(content), key=lambda pair: pair[0], default=None)
    if best is not None:
        return _label(best[1], read)
    if isinstance(content, dict):
        values = [v for k, v in content.items() if _plain_key(k) not in ASIDE]
        if len(_scores(content)) == len(content):
            return _label(content, read)
        return _label(values, read)
    return _label(content, read)


def _named(content, depth=0):
    """(rank, value) of all keys that name an answer, however deep."""
    if depth > 20:
        return
    if isinstance(content, dict):
        for key, value in content.items():
            rank = _rank(key)
            inner = list(_named(value, depth + 1))
            told = value not in (None, "") and _number(value) is None
            if rank is not None and not inner and told:
                yield rank + 100 * depth, value
            yield from inner
    elif isinstance(content, list):
        for value in content:
            yield from _named(value, depth + 1)


def _label(value, read):
    if isinstance(value, str):
        return read(value)
    if isinstance(value, dict):
        scores = _scores(value)
        if not scores:
            return _one({_label(v, read) for v in value.values()} or {None})
        most = max(scores.values())
        if most is False:
            return None
        best = {read(str(k)) for k, v in scores.items() if v == most}
        return _one(best)
    if isinstance(value, list | tuple):
        labels = {_label(each, read) for each in value}
        return _one(labels - {None} or {None})
    return None


def _scores(content):
    """Key -> number, or verdict, of the keys that have one."""
    scores = {key: _number(value) for key, value in content.items()}
    return {key: score for key, score in scores.items() if score is not None}


def _number(value):
    """A score, also as a text ("90 %"); True or False for a verdict."""
    if isinstance(value, int | float):
        return None if value != value else value
    text = value.strip(" %").lower() if isinstance(value, str) else ""
    if text in YES or text in NO:
        return text in YES
    try:
        return float(text)
    except ValueError:
        return None
