"""The words of a prompt's slots, in English and Chinese."""

# Before and after the speech; a turn with and without its speaker; who speaks.
HISTORY = {
    "en": {
        "before": "Said before:",
        "after": "Said after:",
        "none": "nothing",
        "turn": '{speaker}: "{text}"',
        "nameless": '"{text}"',
        "emotion": " ({emotion})",
        "speaker": "Speaking now: {speaker}.",
    },
    "zh": {
        "before": "此前的对话：",
        "after": "此后的对话：",
        "none": "无",
        "turn": "{speaker}：“{text}”",
        "nameless": "“{text}”",
        "emotion": "（{emotion}）",
        "speaker": "现在说话的是：{speaker}。",
    },
}

# What stands around the labels, one label, and between labels.
DEFINITIONS = {
    "en": ("Emotions:", "- {label}: {definition}", "- {label}"),
    "zh": ("情绪类别：", "- {label}：{definition}", "- {label}"),
}

HINT = {
    "en": ("Hint: the emotion is probably {labels}.", ", or "),
    "zh": ("提示：情绪很可能是{labels}。", "或"),
}

CUES = {
    "en": "Measured: {speed} pace, {pitch} pitch, {volume} volume.",
    "zh": "测量结果：语速{speed}，音调{pitch}，音量{volume}。",
}

TRANSCRIPT = {"en": 'Transcript: "{value}"', "zh": "文本：“{value}”"}

DEMONSTRATIONS = {
    "en": ("Examples:", '"{text}" -> {emotion}'),
    "zh": ("示例：", "“{text}” -> {emotion}"),
}

# Of the concepts that labels are known by (labels/emotion_words.py).
CHINESE_DEFINITIONS = {
    "angry": "对某人或某事感到不满和敌意。",
    "happy": "喜悦而满足。",
    "fearful": "感到害怕。",
    "surprised": "对意外之事的反应。",
    "neutral": "没有突出的情绪。",
    "sad": "失落、失望或悲痛。",
    "disgusted": "对某人或某事感到厌恶。",
    "bored": "缺乏兴趣。",
    "calm": "安宁，没有激动。",
    "excited": "情绪高涨，多为喜悦。",
    "amused": "觉得有趣。",
    "pleased": "安静的愉快。",
    "frustrated": "想做的事受到阻碍。",
    "contemptuous": "看不起某人。",
    "anxious": "为可能发生的事不安。",
    "disappointed": "期望落空。",
    "sleepy": "疲倦，想睡。",
    "pained": "身体疼痛。",
    "other": "不在所列之中的情绪。",
    "unknown": "无法判断。",
}
