"""The page's own words, in English and Chinese."""

ENGLISH = {
    "title": "Emotion in speech",
    "about": (
        "Emotions are inferred from the voice and may be wrong; not for "
        "decisions about persons. Recordings stay on this server and are "
        "removed after {minutes:.0f} minutes. At most {seconds:g} s and "
        "{size:g} MB each, {files} at once."
    ),
    "one": "One recording",
    "many": "Many recordings",
    "recording": "Recording (microphone or file)",
    "files_label": "Recordings",
    "settings": "Settings",
    "window": "Window (s): what is heard at a time",
    "words": "In words: style, content, reasoning (slower)",
    "model": "Model",
    "listen": "Listen",
    "nothing": "There is no recording yet: record one or choose a file.",
    "too_many": "{count} files; at most {files} at once.",
    "failed": "Something went wrong here; the server's log says what.",
    "calibrated": "(calibrated)",
    "raw": "(not calibrated: read it as an order, not as a frequency)",
    "click": "Click a moment of the timeline, or go there by Tab and arrows.",
    "timeline": "Timeline",
    "time": "Time",
    "emotion": "Emotion",
    "probability": "Probability",
    "seconds": "Seconds",
    "file": "File",
    "style": "Style",
    "content": "Content",
    "reasoning": "Reasoning",
    "done": "{done} done, {failed} failed",
}
CHINESE = {
    "title": "语音情感",
    "about": (
        "情感由声音推断，可能有误，不可用于对人作出决定。录音只保存在本服务器，"
        "{minutes:.0f} 分钟后删除。每个最多 {seconds:g} 秒、{size:g} MB，"
        "一次最多 {files} 个。"
    ),
    "one": "单个录音",
    "many": "多个录音",
    "recording": "录音（麦克风或文件）",
    "files_label": "录音文件",
    "settings": "设置",
    "window": "窗长（秒）：每次听多久",
    "words": "文字描述：风格、内容、推理（较慢）",
    "model": "模型",
    "listen": "识别",
    "nothing": "还没有录音：请录一段或选择文件。",
    "too_many": "{count} 个文件；一次最多 {files} 个。",
    "failed": "出错了；详情见服务器日志。",
    "calibrated": "（已校准）",
    "raw": "（未校准：只看高低，不当作频率）",
    "click": "点击时间线上的一刻，或用 Tab 和方向键选择。",
    "timeline": "时间线",
    "time": "时间",
    "emotion": "情感",
    "probability": "概率",
    "seconds": "秒",
    "file": "文件",
    "style": "风格",
    "content": "内容",
    "reasoning": "推理",
    "done": "完成 {done} 个，失败 {failed} 个",
}
LANGUAGES = {"en": ENGLISH, "zh": CHINESE}


def text_of(language: str) -> dict[str, str]:
    """The page's words in a language; English where there are none.

    Arguments
    ---------
    language : str
        "en" or "zh".

    Returns
    -------
    dict
        Name -> text.

    Example
    -------
    >>> text_of("zh")["listen"], text_of("xx")["listen"]
    ('识别', 'Listen')
    """
    return LANGUAGES.get(language, ENGLISH)


def preferred_language(accepted: str | None) -> str:
    """The page's language for a browser's ``Accept-Language``.

    Arguments
    ---------
    accepted : str | None
        The header, in order of preference.

    Returns
    -------
    str

    Example
    -------
    >>> preferred_language("de-DE,zh-CN;q=0.8,en;q=0.5")
    'zh'
    """
    for part in (accepted or "").split(","):
        code = part.split(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return "en"
