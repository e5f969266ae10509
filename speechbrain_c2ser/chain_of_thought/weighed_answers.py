"""Answers that weigh several emotions: shares, ranks, "mostly angry".

Only where the text itself says which one counts most; else several labels are
none.
"""

import re

from speechbrain_c2ser.labels.negation import is_listed

NUMBER = r"(\d{1,3}(?:[.,]\d+)?)\s*(%|％|percent\b|per cent\b)?"
BEHIND = re.compile(rf"[\s\"'*_:：=()（\-–—|~≈]{{0,6}}{NUMBER}")
BEFORE = re.compile(rf"(?<![\d.]){NUMBER}[\s\"'*_:：()of-]{{0,6}}\Z")
FIRST = re.compile(r"(?:^|[\s:：(])1\s*(?:[.)、]|st\b)[\s\"'*_]*\Z")
NEXT = re.compile(
    r"[\s,;.，；|\"'*_]*(\d)\s*(?:[.)、]|(?:nd|rd|th)\b)[\s\"'*_]*"
)
GREATER = re.compile(r"\s*[>＞≫]+\s*")
MOST = re.compile(
    r"(?:\b(?:mostly|mainly|primarily|predominantly|chiefly|largely"
    r"|overwhelmingly|above all|most (?:likely|probably)|hauptsächlich"
    r"|überwiegend|vor allem)\b(?:\s+(?:to be|is|sounds?|seems?|feels?|of"
    r"|a|an|the|very))?|最?主要[是为]?|最(?:有)?可能[是为]?|以)\s*[\"'*_]*\Z",
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
    shares = _shares([BEHIND.match(part) for part in behind])
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
    marked = [n for n, part in enumerate(before) if MOST.search(part)]
    if len(marked) != 1:
        return None
    (place,) = marked
    joined = place + 1 < len(labels) and is_listed(
        text[mentions[place][2] : mentions[place + 1][1]]
    )
    return None if joined else labels[place]


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
    shares = [float(match[1].replace(",", ".")) for match in matches]
    if all(match[2] for match in matches):
        return shares
    return shares if max(shares) <= 1 or abs(sum(shares) - 100) <= 1 else None
