"""Forms of a generated answer: JSON, tags, quotes, a sentence.

Language models think aloud first, answer in JSON, in tags or after "Emotion:",
and put the label into quotation marks; recognisers of rich transcripts write
it as a tag before the words. What is found here is text that names the emotion
and nothing else.
"""

import html
import re
from collections.abc import Callable

from speechbrain_c2ser.chain_of_thought.answer_json import (
    ASIDE,
    in_json,
    json_answer,
    key_rank,
    only_one,
)
from speechbrain_c2ser.labels.emotion_words import concept_of
from speechbrain_c2ser.labels.spelling import MARKS as AROUND
from speechbrain_c2ser.labels.spelling import PLAIN, clean_text

THOUGHTS = (
    "(?:seed:)?think|thinking|thoughts?|reasoning|reflection|analysis|reason"
    "|rationale|scratchpad|transcript|transcription"
)
# Of Qwen and DeepSeek, Kimi, Magistral, OpenThinker, Cohere, gpt-oss, ollama.
THOUGHT_START = (
    rf"<(?:{THOUGHTS})(?:\s[^<>]{{0,80}})?>|\AThinking\.\.\.\s"
    r"|【(?:思考|思考过程|推理|分析)】|◁think▷|\[think\]"
    r"|<\|(?:begin_of_thought|start_thinking)\|>"
    r"|<\|channel\|>(?:analysis|commentary)<\|message\|>"
)
THOUGHT_STOP = (
    rf"</(?:{THOUGHTS})\s*>|\.\.\.done thinking\.?"
    r"|【(?:最终)?(?:答案|结论|回答)】|◁/think▷|\[/think\]"
    r"|<\|(?:end_of_thought|end_thinking)\|>"
)
THINKING = re.compile(
    rf"(?:{THOUGHT_START}).*?(?:{THOUGHT_STOP}|<\|end\|>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
THOUGHT_END = re.compile(THOUGHT_STOP, re.IGNORECASE)
# Thoughts beside an answer; alone they are the answer.
DETAILS = re.compile(
    r"<details(?:\s[^<>]{0,80})?>.*?(?:</details\s*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
ANSWER = re.compile(
    r"<(answer|final_answer|final|emotion|emo|label|result|output|sentiment|mood"
    r"|prediction|class|category|conclusion)>(.*?)"
    r"(?:</\1>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
BOXED = re.compile(r"\\boxed\{(?:\\text\w*\{)?([^{}]*)\}")
# With the language of what follows: "```sad```" has none.
FENCE = re.compile(r"```(?:[a-z]*(?=[\s{\[]\s*[^\s`]))?|`", re.IGNORECASE)
SAID = re.compile(
    r"(?:\b(?:says?|said|saying|speaks|uttered|utters|asks?|shouts?|words?"
    r"|phrases?|sentence|content|transcript|text|line|statement|sagt|sagte"
    r"|worte)|[说說喊问問道]|内容|台词)\W{0,3}(?:是|为|of|are|is|that)?\W{0,3}$",
    re.IGNORECASE,
)
# "The emotion of the text is": what follows was not said.
FEELING = re.compile(
    r"(?:\b(?:emotion|tone|mood|feeling)|情绪|情感|语气)"
    r"(?:(?!\b(?:said|sa(?:y|g)|speak|utter|ask|shout))[^.!?;,\n。！？；，说問问喊])*\Z",
    re.IGNORECASE,
)
# What a judge would say, and nobody said.
OWN_SAYING = re.compile(
    r"\b(?:i|we|one)(?:['’]d|['’]ll| would| will| can| could| should| must)? "
    r"(?:say|call it|label it)\W*\Z",
    re.IGNORECASE,
)
# Before the label of a multiple choice: "B) happy".
CHOICE = re.compile(r"\A\(?[A-Ia-i1-9][).:、]\s*")
CARRIED = re.compile(
    r"\s*(?:sounds?|sounded|conveys?|is (?:said|spoken)|are|was said|听起来)",
    re.IGNORECASE,
)
MARKS = '"“”„‟「」『』«»‹›＂'
QUOTED = re.compile(
    rf"[{MARKS}]\s*([^{MARKS}]{{1,40}}?)\s*[{MARKS}]"
    r"|(?<!\w)['‘＇]\s*([^'‘’＇\n]{1,40}?)\s*['’＇](?!\w)"
    rf"|[{MARKS}]([^{MARKS}]{{1,40}})\Z"  # never closed
)
LINE = re.compile(
    r"(?:^|[\n.;。；,，{)|])[\s*_#>-]{0,20}"
    r"(?:the |my |final |overall |detected )*"
    r"[\"']?([^\W\d_][\w ]{1,24}?|[\u4e00-\u9fff]{2,4})[\"']?[\s*_]*"
    r"(?::|：|=|->|→)[\s*_]*(?:[\"“']([^\"”'\n]{1,60})[\"”']"
    r"|([^\n.;。；{}]*))",
    re.IGNORECASE,
)
NEXT_KEY = re.compile(
    r"[,，、|]\s*[\"']?[^\W\d_][\w ]{0,20}[\"']?\s*[:：=]"
    rf"|\s(?:{'|'.join(ASIDE)})\s*[:：=]",
    re.IGNORECASE,
)
# Markdown: the names of the columns, a rule, rows.
TABLE = re.compile(
    r"^[ \t]*\|(.+)\|[ \t]*\n[ \t]*\|[ \t:|-]+\|[ \t]*\n"
    r"((?:[ \t]*\|.*(?:\n|\Z))+)",
    re.MULTILINE,
)
# Rich transcripts: <|en|><|HAPPY|><|Speech|>words, [ANGRY] words.
TAG = re.compile(r"<\s*\|\s*([\w /:=]{1,30}?)\s*\|\s*>")
# How recognisers begin or punctuate what was said, emotion or not.
TRANSCRIPT = re.compile(
    r"\A\s*<\|(?:startoftranscript|nospeech)\|>|<\|(?:withitn|woitn)\|>"
    r"|<(?:COMMA|PERIOD|EXCLAMATIONPOINT|QUESTIONMARK)>"
    r"|\A\s*[\U0001f3bc\U0001f44f\U0001f927](?=\w)"  # music, applause, sneeze
)
# So they begin too, and models that were trained on them their judgements.
TAGGED = re.compile(r"\A\s*<\|(?:[a-z]{2}|yue|\d+\.\d+)\|>")
ABOUT = re.compile(
    r"\bs?he (?:sounds|is|seems)\b|[他她]|說話人|語氣|情緒", re.IGNORECASE
)
ANY_TAG = re.compile(r"<\|[^<>|]{1,30}\|>")
# Mark-up of speech: <prosody emotion="sad">.
ATTRIBUTE = re.compile(
    r"<[a-z][\w:-]{0,30}(?:\s[^<>]{0,80})?\s"
    r"(?:emotion|emo|style|mood|value|label|type|name)\s*=\s*"
    r"[\"']([^\"'<>]{1,40})[\"']",
    re.IGNORECASE,
)
# Before them, who speaks or when; around a word, how a script writes it.
SPEAKER = re.compile(
    r"\s{0,9}[\[(<](?:(?:speaker|spk|s)[ _-]?\d{1,3}|[\d:.,\s>-]+)[\])>]:?",
    re.IGNORECASE,
)
MANNER = re.compile(
    r"(?:in |with )?an? | (?:voice|tone|mood)\s*\Z|(?:语气|語氣)\s*\Z",
    re.IGNORECASE,
)
BRACKET = re.compile(r"[\[【<(（]([^\[\]【】<>()（）]{1,40})[\]】>)）]")
BRACKETS = re.compile(
    rf"\A(?:\s*{BRACKET.pattern}){{1,5}}"
    r"|(?:[\[【<][^\[\]【】<>]{1,40}[\]】>]\s*){1,5}\Z"
)
# SenseVoice's readable form ends in a face, whatever the words are.
FACE = re.compile(
    "\\A\\s*([\U0001f600-\U0001f64f\U0001f910-\U0001f97a])"
    "|([\U0001f600-\U0001f64f\U0001f910-\U0001f97a])\\s*\\Z"
)
# In a sentence about a speaker a face is no more than friendly.
JUDGED = re.compile(
    r"\b(?:speaker|emotion|tone|voice)\b|说话人|情绪|情感|语气",
    re.IGNORECASE,
)
KEYED = re.compile(r"\s*([^\W\d_][\w ]{1,24}?)\s*[:：=]\s*(.+)")
# Each emotion with its verdict: "angry: no, sad: yes", "❌ angry ✅ sad".
VERDICT = re.compile(
    r"([^\W\d_]{2,20})[\"'*]*\s*(?::|：|=|->|→|–|-|\bis)\s*[\"'*]*"
    r"(?:(yes|true|1(?:\.0)?|ja|是|✅|✓|✔)|(no|false|0(?:\.0)?|nein|否|❌|✗|✘))"
    r"(?!\w|\.\d)",
    re.IGNORECASE,
)
COUNTED = re.compile(r"([^\W\d_]{2,20})[\"'*]*\s*[:：=]\s*(?:[2-9]|1\d)")
MARKED = re.compile(
    r"(?:([✅✓✔☑●]|\[[xX]\])|([❌✗✘☒☐○]|\[ ?\]))\ufe0f?\s*\**([^\W\d_]{2,20})"
)
STRUCK = re.compile(
    r"~~[^~\n]{1,80}~~|<(s|del|strike)>.{1,80}?</\1>", re.IGNORECASE
)
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
    r"|(?:^|[.!?]) (?:happy|glad|pleased) to (?:help|assist)"
    r"|\bi(?:['’]?m| am) afraid (?:that|this|it|not|so)"
    r"|sorry to hear\b[^.!?\n]*)(?!\w)"
    r"|很?(?:高兴|乐意|开心)(?:能|可以)?(?:为[您你]|帮|回答|协助|和您|与您)",
    re.IGNORECASE,
)
# And what it says instead of an answer.
REFUSAL = re.compile(
    r"\A\W*(?:(?:i['’]?m |i am )?(?:sorry|unfortunately|as an? (?:ai|language))"
    r"\b[^.!?\n]{0,99}?\b)?i(?: can(?:no|['’])t| can not"
    r"|(?: am|['’]m) (?:unable|not able) to)(?: directly| currently)?"
    r" (?:listen to|access|process|hear)"
    r"(?: (?:the|this|your|any|an|these))?(?: (?:audio|sound))?"
    r" (?:audio|recordings?|files?)\b(?:(?!\bbut\b)[^.!?\n]){0,99}[.!?]\s*"
    r"(?:if you\b[^.!?\n]{0,40}\b(?:provide|share|upload|describe|give)"
    r"|if [^.!?\n]{0,40}\b(?:tell me|let me know)"
    r"|please (?:provide|share|upload)|could you|can you)\b"
    r"(?:(?!\bbut\b)[^.!?\n])*[.!?]?",
    re.IGNORECASE,
)
ASKED = re.compile(
    r"\s*[#*]*(?:human|user|instruction|用户)\s*\**[:：]", re.IGNORECASE
)
REPLY = re.compile(
    r"\[/INST\]|<\|im_start\|>assistant|<start_of_turn>model"
    r"|\n[\s#*]{0,20}(?:assistant|model|response|助手)\s*\**[:：]",
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
NO_EMOTION = ("unk", "unknown", "unkown")  # the last is SenseVoice's own
# At the beginning they mark a transcript, not an answer.
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
    text = clean_text(text)
    if "&" in text:
        text = html.unescape(text)
    text = STRUCK.sub(" ", THINKING.sub(" ", _own_turn(text)))
    outside = DETAILS.sub(" ", text)
    text = outside if re.search(r"\w", outside) else text
    # Escaped, and as LaTeX and careful typists write them.
    if "{" not in text:  # JSON reads its own
        text = text.replace("\\n", "\n")
    text = re.sub(r"\\\"|''|``(?!`)(?<!```)", '"', text)
    ends = list(THOUGHT_END.finditer(text))
    if ends:
        text = text[ends[-1].end() :]
    for pattern in (ANSWER, ANSWER, BOXED):  # <result><emotion>
        matches = pattern.findall(text)
        if matches:
            last = matches[-1]
            text = last if isinstance(last, str) else last[-1]
    text = REFUSAL.sub(" ", text)
    text = COURTESY.sub(" ", f" {text}").removeprefix(" ")
    return FENCE.sub(" ", text) if "`" in text else text


def says_no_emotion(text: str) -> bool:
    """Whether a text says that no emotion is to be heard.

    Example
    -------
    >>> says_no_emotion("She shows no particular emotion.")
    True
    """
    return bool(NO_FEELING.search(text.translate(PLAIN)))


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
    tags = [_plain_tag(_unkeyed(tag)) for tag in TAG.findall(text)]
    tags = [tag for tag in tags if tag in NO_EMOTION or concept_of(tag)]
    if not tags:
        words = SPEAKER.sub("", text, count=2)
        marked = [m[0] for m in BRACKETS.finditer(words)]
        tags = [_of_bracket(b) for m in marked for b in BRACKET.findall(m)]
        tags = [
            tag for tag in tags + ATTRIBUTE.findall(text) if concept_of(tag)
        ]
    if tags:
        # A stretch of speech without emotion says nothing of the others.
        named = [tag for tag in tags if tag not in NO_EMOTION]
        return True, only_one({read(tag) for tag in named or ["unknown"]})
    faces = {read(first or last) for first, last in FACE.findall(text)}
    if label := only_one(faces - {None}):
        is_told = JUDGED.search(text)
        return True, is_told and read(FACE.sub(" ", text)) or label
    words = ANY_TAG.sub(" ", text).strip(AROUND)
    is_judged = JUDGED.search(text) or ABOUT.search(text)
    is_spoken = TRANSCRIPT.search(text)
    is_spoken = is_spoken or TAGGED.match(text) and not is_judged
    if is_spoken and not concept_of(words) or EVENT.match(text):
        return True, None
    content = json_answer(text)
    if content is not None:
        return True, in_json(content, read)
    verdicts = _verdicts(text, read)
    if len(verdicts) > 1:
        return True, only_one({name for name, holds in verdicts if holds})
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
        rank = key_rank(key)
        if rank is not None:
            value = quoted or NEXT_KEY.split(plain)[0]
            lines.setdefault(rank, []).append(value)
    for names, rows in TABLE.findall(text):
        cells = [row.strip(" \t|").split("|") for row in rows.splitlines()]
        for name, *column in zip(names.split("|"), *cells, strict=False):
            rank = key_rank(name)
            if rank is not None:
                lines.setdefault(rank, []).append(", ".join(column))
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
        before = text[max(0, match.start() - 40) : match.start()]
        is_felt = FEELING.search(before)
        is_said = SAID.search(before) and not OWN_SAYING.search(before)
        is_said = is_said and not is_felt
        is_said = is_said or CARRIED.match(text, match.end())
        words = CHOICE.sub("", match[match.lastindex], count=1)
        inside = DEGREE.sub("", words.strip(" .,!?。，！？"))
        label = space.map(inside) or is_felt and space.parse(inside)
        if is_said or not label:
            return match[0]
        return f" {words} "

    return QUOTED.sub(bare, text)


def _unkeyed(tag):
    """What a tag such as "Emotion: sad" says."""
    keyed = KEYED.fullmatch(tag)
    return keyed[2] if keyed and key_rank(keyed[1]) is not None else tag


def _of_bracket(words):
    """The emotion in a bracket, alone or beside who speaks: "sad, female"."""
    parts = re.split("[,，;|]", _unkeyed(words))
    plain = [_plain_tag(MANNER.sub(" ", part)) for part in parts]
    named = [part for part in plain if concept_of(part)]
    return named[0] if len(named) == 1 else ""


def _verdicts(text, read):
    """[(label, whether it holds)] of a list that judges each emotion."""
    if any(map(read, COUNTED.findall(text))):
        return []
    judged = [(name, bool(yes)) for name, yes, _ in VERDICT.findall(text)]
    if len(judged) < 2:
        judged = [(name, bool(yes)) for yes, _, name in MARKED.findall(text)]
    named = [(read(name), holds) for name, holds in judged]
    return [(name, holds) for name, holds in named if name is not None]


def _plain_tag(tag):
    plain = " ".join(tag.replace("_", " ").lower().split())
    return re.sub("^emo(?:tion)? ", "", plain)
