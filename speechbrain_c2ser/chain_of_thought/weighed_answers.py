"""Answers that weigh several emotions: shares, ranks, "mostly angry".

Only where the text itself says which one counts most; else several labels are
none.
"""

import re
from itertools import pairwise

from speechbrain_c2ser.labels.negation import is_listed

NUMBER = (
    r"(\d{1,3}(?:[.,]\d+)?)(?!:?\d)\s*"
    r"(%|％|percent\b|per cent\b|/\s*(?:5|10|100)\b|out of (?:5|10|100)\b)?"
)
SIGNS = r"[\s\"'*_:：=()（\-–—|~≈]{0,6}"
BEHIND = re.compile(
    rf"{SIGNS}(?:(?:with|at)\s+(?=[\d.,]+\s*(?:%|per))"
    rf"|(?:confidence|probability|score|置信度|概率){SIGNS})?{NUMBER}",
    re.IGNORECASE,
)
BEFORE = re.compile(
    rf"(?<![\d.]){NUMBER}\s*(?:chance|probability|likelihood|confidence)?"
    r"[\s\"'*_:：()of-]{0,6}\Z"
)
FIRST = re.compile(
    r"(?:^|[\s:：(])(?:top[ -])?1\s*(?:[.)、]|(?<=top[ -]1):|st\b:?)"
    r"[\s\"'*_]*\Z",
    re.IGNORECASE,
)
NEXT = re.compile(
    r"[\s,;.，；|\"'*_]*(?:top[ -])?(\d)"
    r"\s*(?:[.)、]|(?<=top[ -]\d):|(?:nd|rd|th)\b:?)[\s\"'*_]*",
    re.IGNORECASE,
)
# Behind a score; else the number counts something: "2 seconds".
ENDED = re.compile(r"[ \t\"'*_)）]*(?:[,;，；\n]|[.。]?\s*\Z)")
NO_SCORE = re.compile(
    r"\b(?:rank|turn|label|class(?:es)?\b|order|index|indices|ids?\b|codes?\b)"
    r"|排名|排序|顺序|标签|类别|编号",
    re.IGNORECASE,
)
GREATER = re.compile(r"\s*[>＞≫]+\s*")
# What is said of the one that is meant: by degree, by name, by decision.
MOST = re.compile(
    r"(?:\b(?:mostly|mainly|primarily|predominantly|chiefly|largely"
    r"|overwhelmingly|above all|(?:most|more) (?:likely|probably)|actually"
    r"|in fact|in reality|hauptsächlich|überwiegend|vor allem|tatsächlich"
    r"|(?:dominant|primary|main|strongest|principal|prevailing|top|overall)"
    r"(?: (?:emotion|feeling|tone|mood)|(?=:))|answer(?=:| is| would)"
    r"|(?<!secondary )emotion(?:al (?:state|tone))?(?= is)"
    r"|(?:i|we)(?:['’]d|['’]ll| would| will)? (?:choose|pick|select|conclude"
    r"|classify|label|go with|say)(?: (?:it|this))?(?: (?:as|is|that))?)\b:?"
    r"(?:\s+(?:to be|is|sounds?|seems?|feels?|of|a|an|the|very)){0,2}"
    r"|最?主要[是为]?|最(?:有)?可能[是为]?|更可能[是为]?|实际上[是为]?|其实[是为]?"
    r"|情[绪感][是为]|以)\s*[\"'*_]*\Z",
    re.IGNORECASE,
)
# The same behind it: "sad (primary), angry (secondary)".
CHOSEN = re.compile(
    r"\s*[(（](?:primary|main|dominant|主要)\b[^()（）\n]{0,20}[)）]",
    re.IGNORECASE,
)
# And of one beside it.
LESS = re.compile(
    r"(?:\b(?:(?:hints?|traces?|touch|undertones?|overtones?|tinge|dash|bit"
    r"|elements?|shades?) of(?: an?| the| some)?|with (?:some|a little|slight)"
    r"|secondary(?: \w+)?(?: is|:)?|leichte[rmns]?|etwas)|略带|带着?"
    r"(?:一点|一丝|些))\s*[\"'*_]*\Z",
    re.IGNORECASE,
)
# Between names: one after the other, and none beside it.
CHANGE = re.compile(
    r"\b(?:then|later|becom\w+|turn(?:s|ed|ing)|shift\w*|chang\w+|afterwards"
    r"|finally|eventually|until|dann|später)\b|然后|后来|接着|转为|变成|最后",
    re.IGNORECASE,
)
REACH = 40  # characters before a name that are looked at


def most_weighed(text: str, mentions: list[tuple]) -> str | None:
    """The label to which a text gives the most weight.

    Arguments
    ---------
    text : str
        Free text.
    mentions : list of tuple
        (label, start, end) of the names in it that are not denied, in order.

    Returns
    -------
    str | None
        None where no weights tell one.

    Example
    -------
    >>> mentions = [("angry", 0, 5), ("sad", 12, 15)]
    >>> most_weighed("angry: 90%, sad: 10%", mentions)
    'angry'
    """
    if len({label for label, *_ in mentions}) < 2:
        return None
    edges = [0, *(end for *_, end in mentions)]
    before = [
        text[max(edge, start - REACH) : start]
        for edge, (_, start, _) in zip(edges, mentions, strict=False)
    ]
    stops = [*(start for _, start, _ in mentions[1:]), len(text)]
    behind = [
        text[end:stop] for (*_, end), stop in zip(mentions, stops, strict=True)
    ]
    labels = [label for label, *_ in mentions]
    matches = [BEHIND.match(part) for part in behind]
    shares = _shares(matches)
    if shares is None and _are_scores(text, mentions, matches, before):
        shares = [_number(match) for match in matches]
    if shares is None and _are_ranks(before):
        return labels[0]
    if shares is None:
        shares = _shares([BEFORE.search(part) for part in before])
    if shares is not None:
        best = {
            label
            for label, share in zip(labels, shares, strict=True)
            if share == max(shares)
        }
        return best.pop() if len(best) == 1 else None
    if any(map(CHANGE.search, before[1:])):
        return None
    chosen = [n for n, part in enumerate(behind) if CHOSEN.match(part)]
    if len(chosen) == 1:
        return labels[chosen[0]]
    joined = [False, *(is_listed(part) for part in behind[:-1])]
    marked = [n for n, part in enumerate(before) if MOST.search(part)]
    if len(marked) == 1 and not any(joined[marked[0] + 1 :][:1]):
        return labels[marked[0]]
    return None if marked else _without_less(labels, before, joined)


def _without_less(labels, before, joined):
    """The one label that is left without those of which there is a hint."""
    rest, is_less = set(), False
    for label, part, is_joined in zip(labels, before, joined, strict=True):
        is_less = bool(LESS.search(part)) or is_less and is_joined
        if not is_less:
            rest.add(label)
    return rest.pop() if len(rest) == 1 else None


def _are_ranks(before):
    """Whether names are numbered from 1 on, or in the order of ">"."""
    if all(GREATER.fullmatch(part) for part in before[1:]):
        return True
    ranks = [NEXT.fullmatch(part) for part in before[1:]]
    told = [int(rank[1]) for rank in ranks if rank]
    return bool(FIRST.search(before[0])) and told == list(
        range(2, len(before) + 1)
    )


def _shares(matches):
    """Numbers that are all percentages, or all from 0 to 1; else None."""
    if not all(matches):
        return None
    shares = [_number(match) for match in matches]
    if all(match[2] for match in matches):
        return shares
    return shares if max(shares) <= 1 or abs(sum(shares) - 100) <= 1 else None


def _are_scores(text, mentions, matches, before):
    """Whether free numbers behind names weigh them: "angry: 10, sad: 80".

    Each stands alone behind a colon, and they do not count the names.
    """
    if not all(matches) or any(map(NO_SCORE.search, before)):
        return False
    steps = {b - a for a, b in pairwise(sorted(map(_number, matches)))}
    return steps != {1} and all(
        re.search("[:：=]", match[0])
        and (match[2] or ENDED.match(text, end + match.end(1)))
        for (*_, end), match in zip(mentions, matches, strict=True)
    )


def _number(match):
    return float(match[1].replace(",", "."))
