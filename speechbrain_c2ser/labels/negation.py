"""Which of the emotions that a text names are denied.

Rules, not grammar: a denial stands within a few words before a name ("not",
"lack of", "rather than", 没有, ohne) or right after it ("... is absent",
"...不起来"), reaches over a list ("no anger, fear or sadness") and is undone by
a second one ("cannot hide her joy"). Each name looks at a bounded stretch of
text, so that time grows with a text's length alone.
"""

import re

# A word of a script without spaces, or a pictured face, may stand inside
# anything.
UNSPACED = re.compile(
    "[\u2600-\u27bf\u2e80-\u9fff\uf900-\ufaff\U0001f300-\U0001faff]"
)
# Characters before and after a name that are looked at.
BEFORE, AFTER = 90, 40

# What looks like a denial and is none, or undoes one; longest first.
AFFIRMED = re.compile(
    r"\b(?:not (?:only|just|merely|simply|to mention|without)"
    r"|(?:no|little) (?:doubt|question)|without (?:a )?doubt"
    r"|no (?:wonder|mistaking|denying|lack of|shortage of)"
    r"|(?:nothing|none) (?:but|other than)|undoubtedly"
    r"|(?:cannot|can['’]?t|could ?n['’]?t|can not|could not|does not|do not"
    r"|doesn['’]?t|don['’]?t|barely|hardly|fail(?:s|ed)? to)"
    r" (?:hide|deny|conceal|suppress|mask|help(?: but)?|contain)"
    r"|(?:never been|could(?:n['’]?t| not| hardly| scarcely) be)"
    r"(?= (?:any )?(?:so|more|\w+ier|sadder)\b)"
    r"|nicht (?:nur|bloß|ohne)|kein(?:e[nr]?)? zweifel|ohne zweifel)\b",
    re.IGNORECASE,
)
CUES = (
    r"not|never|no|none|neither|nor|without|sans|minus|hardly|barely|scarcely"
    r"|rarely|seldom|nowhere near|cannot"
    r"|(?:ai|ca|wo|do|does|did|is|are|was|were|would|could|should)nt"
    r"|n['’]t|lacks?|lacking|absence|devoid"
    r"|bereft of|stripped of|free (?:of|from)|far from|fails? to|failed to"
    r"|(?:any|every)thing but|all but|(?:apart|aside) from|other than"
    r"|(?:hard|difficult|impossible|unable) to (?:say|tell|determine|judge|know"
    r"|believe|imagine|call|find|hear|detect|discern|identify|decide)"
    r"|used to (?:be|feel|sound)"
    r"|(?:tr(?:y|ies|ied|ying)|attempt(?:s|ed|ing)?) to"
    r" (?:be|sound|seem|appear|look|act)"
    r"|(?:supposed|meant|want(?:s|ed)?|hop(?:es?|ed)|wish(?:es|ed)?) to"
    r" (?:be|sound|feel|seem)"
    r"|rather than|instead of|opposed to|unlike|less|nothing"
    r"|than(?: to| of| with| by| an?)?|(?<!\ba )little|zero|opposite of"
    r"|except(?: for)?|nobody|doubts?(?: that)?|doubtful (?:that|whether)"
    r"|wrong to|false to|stop(?:s|ped)? (?:being|feeling|sounding)"
    r"|rul(?:es?|ed|ing) out|excludes?|denies|denied|avoids?|avoiding"
    r"|refus(?:es?|ed|ing) to|mistaken for|confused with"
    r"|(?<!\bat )(?<!\bin the )least|void of|absent(?= any)|unlikely"
    r"|pretend(?:s|ed|ing)? to|feign(?:s|ed|ing)?"
    r"|alles andere als|als(?: an)?"
    r"|(?<!\bein )wenig(?:er)?|nicht|nichts|kein|keine|keinen|keiner|keinem"
    r"|keinerlei|nie|niemals"
    r"|ohne|weder|anstatt|statt|kaum|fern von|frei von|nicht mehr"
    r"|abgesehen von|außer(?! sich)|bar (?:jeder|jedes|jeglicher|aller)"
    r"|fehlt (?:jede[rs]?|jegliche[rs]?|es an)|mangelt(?: es)? an"
    r"|keineswegs|keinesfalls"
)
# A mark such as in "__not__" is no letter.
CUE = re.compile(
    rf"(?<![^\W_])(?:{CUES})(?![^\W_])|n['’]t(?!\w)", re.IGNORECASE
)
# "Lack of energy suggests sadness": a lack that tells of something.
TELLS = re.compile(
    r"(?: (?!(?:that|which|to)\b)\w+)+ (?:(?:suggest|indicate|mean|reveal)s?"
    r"|impl(?:y|ies)|(?:points?|hints?) (?:to|at))\b",
    re.IGNORECASE,
)
# Words that turn a sentence round: nothing before them denies what follows.
TURN = (
    r"(?<!thing )(?<!all )but|rather(?!\s+than)|instead(?!\s+of)|yet|however"
    r"|though|although|while|whereas|because|sondern|aber|jedoch"
    r"|and(?=\s+(?:is|was|sounds?|seems?|feels?|has|shows?|appears?|rather"
    r"|instead|therefore)\b)"
)
TURNED = re.compile(rf"(?<!\w)(?:{TURN})(?!\w)", re.IGNORECASE)
# After these a whole clause is denied.
OPINION = re.compile(
    r"\b(?:thinks?|thought|believes?|find|feels?|says?|sense|hear|detect|see"
    r"|perceive|suppose|consider|expect|suggests?|indicates?|means?|impl(?:y|ies)"
    r"|seems?|appears?|sounds?|evidence|sign|signs|trace|traces|hint|hints"
    r"|indications?|true|case|longer|tell|determine|know|judge|decide|confirm"
    r"|(?:describe|characteri[sz]e|label)d?\b[^,]*\bas"
    r"|(?:emotions?|feelings?) (?:such as|like|including)"
    r"|recogni[sz]e|identify|certain|sure|whether|sagen|erkennen|dass|ob|denke|glaube|finde|meine|höre|anzeichen"
    r"|spur)\b",
    re.IGNORECASE,
)
NEAR, FAR = 3, 8
LESS = re.compile(r"\b(?:less|weniger)\s+[^\W\d_]+$", re.IGNORECASE)
RATHER_DE = re.compile(r"\b(?:eher|mehr|vielmehr)\s+[^\W\d_]+$", re.IGNORECASE)
# They deny what stands right behind them and no later name.
TOUCHING = (
    "less",
    "least",
    "than",
    "little",
    "zero",
    "als",
    "wenig",
    "weniger",
)
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
CLAUSE_END = re.compile(
    r"[.!?;:\n。！？；，]|,(?!\s+(?:or|nor|and|oder|noch|dass|ob)\b)"
)
CROSS = "[✗✘✖❌]"
CROSSED = re.compile(rf"(?:^|[,;.])[\s>*-]*{CROSS}\ufe0f? *\Z", re.MULTILINE)
AFTER_NAME = re.compile(
    rf" ?{CROSS}\ufe0f?\s*(?:[,;.\n]|\Z)"
    r"|\s*(?:\?\s*(?:(?:probably|certainly|definitely|absolutely)\s+)?"
    r"(?:no|nope|not|nein|hardly|never)\b|it is not\b"
    r"|(?:is|are|was|were)\s+(?:absent|missing|lacking|wrong|false"
    r"|(?:clearly |simply )?not"
    r"(?!\s+(?:only|just))|ruled out|excluded|out of the question)"
    r"|(?:is|was|are|were)n['’]t\b|can be (?:ruled out|excluded)"
    r"|(?:can(?:not| not|['’]?t)|could(?: not|n['’]?t)) be"
    r" (?:heard|detected|found|felt|discerned|observed|perceived)"
    r"|(?:do|does|did)(?: not|n['’]?t) (?:come (?:through|across)|exist)"
    r"|(?:is|are|was|were) nowhere"
    r"|(?:is|are|was|seems?) (?:very |highly )?(?:unlikely|improbable)"
    r"|,?\s*but (?:it|s?he|they|this|that) (?:is|was|are|were|do|does|did)"
    r"(?:n['’]t| not)(?=\s*(?:[.!?;,]|\Z))"
    r"|(?:ist|klingt|wirkt|scheint)\s+(?:[^\W\d_]+\s+)?nicht\b"
    r"|[\"'*]*\s*[:=]\s*(?:no|false|0(?:\.0)?|nein|否|none|absent"
    r"|not (?:present|detected|heard))(?![\w.])"
    r"|[-\s]free\b|nicht\b|fehlt\b)",
    re.IGNORECASE,
)

# "Is the speaker angry?" names nothing unless it says yes.
ASKS = re.compile(
    r"(?:\A|[.!?;:\n])\W*(?:is|are|was|were|do|does|did)\s[^.!?;:\n]*\Z",
    re.IGNORECASE,
)
ASKED = re.compile(
    r"[^.!?;:\n]*\?(?!\W*(?:yes|yeah|yep|indeed|correct|right|definitely"
    r"|absolutely|certainly|of course)\b)",
    re.IGNORECASE,
)

# Chinese: the denial, then words that may stand between it and the name.
AFFIRMED_ZH = re.compile(
    "不仅仅|不仅|不但|不只|不光|不单|不禁|不由得|不由|不得不|不愧|不如说|不妨"
    "|无(?:处|时|一|人)?不|无时无刻不|说不出的"
    "|无疑|毫无疑问|掩饰不住|忍不住|抑制不住|止不住|难掩|禁不住|掩不住|藏不住"
    "|难以(?:掩饰|抑制|掩盖|隐藏)"
)
CUE_ZH = re.compile(
    "(?:[不未]能?|无法|没法|[难不好]以|难)(?:确定|判断|断定|肯定|知道)[^，。,.!?！？；;\n]{0,8}?是否"
    "|很难|难说|并非|绝非|毫无|没有|缺乏|缺少|排除|与其说|而非|不再|无法|[谈算说称]不上|难以|难称"
    "|没法|看不出|听不出|感觉不到|感受不到|去除|去掉|不含|未见|不|没|未|无|非"
    "|(?<![特分性个差区告离级识类辨])别(?![人提处的])"
)
BETWEEN_ZH = re.compile(
    "(?:[ \"'*_`“‘「『【《〈(]|是|太|很|够|见得|一定"
    "|那么|这么|怎么|再|觉得|感到|感觉|感受|显得|任何|什么|出|到|有|的|一点"
    "|一丝|丝毫|特别|非常|十分|真的|真正|完全|在|他|她|它|这|那|说话人|说话者|讲话者|听"
    "|起来|像|会|可能|能|说|[算称](?:得上)?|认为|以为|表现|表达|表示|流露|明显|所谓|情绪|情感|语气|声音|带|因为)*"
)
AFTER_NAME_ZH = re.compile(
    "不起来|吗|[?？]\\s*(?:不|否|没)|的?(?:情绪|成分)?(?:并?不(?:明显|存在|多)"
    "|(?:很|极)少|是?不可能的?(?!\\w))"
)

# Between two names of one list.
LIST = re.compile(
    r"\s*(?:(?P<sign>[,/、，])\s*)?"
    r"(?:(?P<word>or|nor|and|oder|noch|und|或者|或|和|以及|及|与|跟)\s*)?"
    r"(?:(?:the|a|an|any|of|even|der|die|das)\s+)?",
    re.IGNORECASE,
)
ALTERNATIVE = re.compile(
    r"\s*,?\s*(?:or|nor|oder|noch)\b(?:\s+[^\W\d_]+){0,4}\s*", re.IGNORECASE
)
FILLERS = re.compile(
    r"(?:\s+(?:emotions?|feelings?|at all|gefühle?))?", re.IGNORECASE
)


def denied(text: str, places: list[tuple[int, int]]) -> list[bool]:
    """Whether each name of an emotion is denied.

    Arguments
    ---------
    text : str
        Simplified Chinese, or Latin letters.
    places : list of tuple
        (start, end) of each name, in order.

    Returns
    -------
    list of bool

    Example
    -------
    >>> text = "no anger or fear, but joy"
    >>> denied(text, [(3, 8), (12, 16), (22, 25)])
    [True, True, False]
    """
    verdicts, group, last = [], [], 0
    for index, (start, end) in enumerate(places):
        verdicts.append(_denied_itself(text, start, end, last))
        link = None
        if index and start - last <= BEFORE:
            link = _link(text[last:start])
        if not link:
            _share(verdicts, group)
            group = []
        group.append((index, link))
        last = end
    _share(verdicts, group)
    return verdicts


def _share(verdicts, group):
    """Names of a list share the denial before its first one.

    Only up to an "or", "and" or Chinese comma: in "not happy, sad" the
    second name stands by itself.
    """
    joined = False
    reached = set()
    for index, link in reversed(group):
        joined = joined or link == "word"
        if joined and link:
            reached.add(index)
    for index, link in group:
        if link and index in reached:
            verdicts[index] = verdicts[index] or verdicts[index - 1]


def is_listed(gap: str) -> bool:
    """Whether what stands between two names makes a list of them.

    Example
    -------
    >>> is_listed(" or "), is_listed(" with some ")
    (True, False)
    """
    return _link(gap) is not None


def _link(gap):
    """How a list goes on between two names: "word", "sign" or None."""
    gap = FILLERS.sub("", gap, count=1)
    if gap == "/":  # "no anger/fear", and not "not angry / happy"
        return "word"
    matched = LIST.fullmatch(gap)
    if matched and (matched["word"] or matched["sign"] == "、"):
        return "word"
    if matched and matched["sign"]:
        return "sign"
    return "word" if ALTERNATIVE.fullmatch(gap) else None


def _denied_itself(text, start, end, last):
    after = text[end : end + AFTER]
    if UNSPACED.match(text[start]):
        before = text[max(last, start - BEFORE) : start]
        return bool(_odd_zh(before) or AFTER_NAME_ZH.match(after))
    before = text[max(last, start - BEFORE) : start]
    if CROSSED.search(text, max(0, start - 9), start):
        return True
    if AFTER_NAME.match(after) or ASKED.match(after) and ASKS.search(before):
        return True
    # The name itself tells "never been angry" from "never been angrier".
    affirmed = AFFIRMED.sub(lambda m: " " * len(m[0]), before + text[start:end])
    return _odd(affirmed[: len(before)], text[max(0, last - BEFORE) : last])


def _odd(before, earlier):
    """Whether an odd number of denials of this clause reaches its end."""
    for limit in (CLAUSE_END, TURNED):
        ends = [match.end() for match in limit.finditer(before)]
        if ends:
            before = before[ends[-1] :]
    count = 0
    for cue in CUE.finditer(before):
        between = before[cue.end() :]
        words = len(WORD.findall(between))
        kind = cue[0].lower().split()[0]
        # "more sad than angry" denies the second, "less sad than angry" not.
        if kind in ("than", "als") and LESS.search(earlier):
            continue
        if kind == "als" and not RATHER_DE.search(earlier):
            continue
        if kind in TOUCHING and words:
            continue
        if kind in ("lack", "absence") and TELLS.match(between):
            continue
        is_far = OPINION.search(between) or cue[0].lower().endswith(" that")
        count += words <= (FAR if is_far else NEAR)
    return bool(count % 2)


def _odd_zh(before):
    """The same of the Chinese denials that touch what follows."""
    before = AFFIRMED_ZH.sub("＊", before)
    count, rest = 0, before
    cues = list(CUE_ZH.finditer(rest))
    for cue in reversed(cues):
        if not BETWEEN_ZH.fullmatch(rest, cue.end()):
            break
        count += 1
        rest = rest[: cue.start()]
    return bool(count % 2)
