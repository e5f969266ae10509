"""What does not count in how a label or a text is spelled.

Case, width, traditional characters, signs that nobody sees, marks around.
"""

import unicodedata

# Traditional characters of the emotions, and of what denies them.
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
    "討讨 敗败 斷断 夠够 處处 時时 級级 識识 區区 離离 騰腾 "
)
# Characters but Chinese and Korean ones, which have no other forms here.
SIGNS = (*range(0x3400), *range(0xF900, 0x10000))
# Forms of width and style, of whole letters: full-width, bold, of radicals.
FORMS = {
    code: form
    for code in (0xA0, *SIGNS[0x2000:], *range(0x1D400, 0x1D800))
    if len(form := unicodedata.normalize("NFKC", chr(code))) == 1
    and form != chr(code)
}
# One character for one, so that positions stay; apostrophes among them.
PLAIN = str.maketrans(
    {chr(code): form for code, form in FORMS.items()}
    | {pair[0]: pair[1] for pair in TRADITIONAL.split()}
    | dict.fromkeys("´`ʼ", "'")
)
# Zero-width and direction marks of copied texts, ends of fixed-width ones.
UNSEEN = {
    code: None
    for code in SIGNS
    if unicodedata.category(chr(code)) in ("Cc", "Cf")
    and not chr(code).isspace()
} | dict.fromkeys(range(0xFE00, 0xFE10))
MARKS = " .,;:!?\"'`*#<>|[]{}。！？“”‘’„«»「」『』【】《》"


def plain_label(name: str) -> str:
    """A label without what does not count: case, blanks, underscores, width.

    Nor do signs that nobody sees, marks around it, or whether Chinese is
    written in traditional characters.

    Example
    -------
    >>> plain_label(" Very_Sad "), plain_label("'Ｓａｄ'."), plain_label("悲傷")
    ('very sad', 'sad', '悲伤')
    """
    text = unicodedata.normalize("NFKC", name.translate(UNSEEN)).lower()
    text = " ".join(text.translate(PLAIN).replace("_", " ").split())
    return text.strip(MARKS) or text


def clean_text(text: str) -> str:
    """A text in whole characters, without those that nobody sees.

    Example
    -------
    >>> clean_text("s\\u200bad, fro\\u0308hlich") == "sad, fröhlich"
    True
    """
    return unicodedata.normalize("NFC", text).translate(UNSEEN)
