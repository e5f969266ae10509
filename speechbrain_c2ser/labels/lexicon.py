"""Words that name labels, found in free text: whole, longest, not denied."""

import re

from speechbrain_c2ser.labels.negation import UNSPACED, denied

# No letter or digit beside a word, Chinese ones apart. Case is kept off here:
# it would cost seconds to compile.
LETTER = r"[^\W_\u2e80-\uffff]"
START, STOP = f"(?-i:(?<!{LETTER})(?<!-))", f"(?-i:(?!{LETTER}))"
# Characters that stand for those of the words: traditional ones (of the
# emotions, and of what denies them) and full-width letters. One for one, so
# that positions stay.
TRADITIONAL = (
    "憤愤 氣气 傷伤 難难 過过 興兴 開开 樂乐 驚惊 訝讶 詫诧 "
    "異异 厭厌 惡恶 噁恶 懼惧 靜静 悅悦 歡欢 惱恼 煩烦 發发 "
    "緊紧 張张 擔担 憂忧 慮虑 無无 睏困 奮奋 動动 滿满 輕轻 "
    "視视 喪丧 緒绪 語语 聽听 說说 話话 顯显 覺觉 沒没 並并 "
    "會会 麼么 認认 為为 現现 達达 與与 僅仅 單单 帶带 這这 "
    "絕绝 還还 騷骚 嚇吓 嘆叹 慚惭 鬱郁 淚泪 憐怜 羨羡 慟恸 "
    "懷怀 戀恋 狀状 態态 聲声 棄弃 著着 鬆松 壓压 寧宁 穩稳 "
    "諷讽 鬧闹 謂谓 雖虽 卻却 實实 總总 確确 應应 該该 裡里 "
    "裏里 個个 種种 點点 絲丝 別别 讓让 從从 對对 當当 將将 "
    "來来 們们 後后 樣样 學学 見见 飾饰 輛辆 親亲 愛爱 結结 "
    "給给 願愿 歲岁 嗎吗 鎮镇 頹颓 慘惨 壞坏 標标 籤签 類类 預预 測测 論论 "
)
PLAIN = str.maketrans(
    {pair[0]: pair[1] for pair in TRADITIONAL.split()}
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | {"\u3000": " ", "\u00a0": " "}
)


class Lexicon:
    """Words, each of which names one label.

    Arguments
    ---------
    levels : list of list of tuple
        (word in lower case, label, language or None for any), earlier levels
        first: what they claim is taken. A word that two labels claim on one
        level names neither.

    Example
    -------
    >>> words = [[("glad", "happy", "en"), ("高兴", "happy", "zh")]]
    >>> Lexicon(words).find("Gladly glad; 不高兴")
    [('happy', 7, 11)]
    """

    def __init__(self, levels: list[list[tuple]]):
        self._owners = {}
        taken = set()
        for level in levels:
            claims = {}
            for word, label, language in level:
                if word not in taken:
                    claims.setdefault(word, []).append((label, language))
            taken |= set(claims)
            for word, owners in claims.items():
                labels = {label for label, _ in owners}
                if len(labels) == 1:
                    languages = {language for _, language in owners}
                    self._owners[word] = (labels.pop(), languages)
        self._pattern = _pattern(self._owners)

    def owner(self, word):
        """The label that a word in lower case names, or None."""
        return self._owners.get(word, (None,))[0]

    def find(self, text: str, language: str | None = None) -> list[tuple]:
        """Labels that a text names.

        Arguments
        ---------
        text : str
            Anything.
        language : str | None
            Only the words of this language, and those of any.

        Returns
        -------
        list of tuple
            (label, start, end) in order: character positions.
        """
        text, mentions = text.translate(PLAIN), []
        for match in self._pattern.finditer(text):
            # Ignoring case also matches oddities such as the long s.
            label, languages = self._owners.get(match[0].lower(), (None, ()))
            if label is None:
                continue
            if language and not languages & {language, None}:
                continue
            mentions.append((label, match.start(), match.end()))
        verdicts = denied(text, [place[1:] for place in mentions])
        return [
            place
            for place, is_denied in zip(mentions, verdicts, strict=True)
            if not is_denied
        ]


def _pattern(words):
    words = sorted(words, key=len, reverse=True)
    spaced = [re.escape(w) for w in words if not UNSPACED.search(w)]
    forms = [re.escape(w) for w in words if UNSPACED.search(w)]
    if spaced:
        forms.append(f"{START}(?:{'|'.join(spaced)}){STOP}")
    return re.compile("|".join(forms), re.IGNORECASE)
