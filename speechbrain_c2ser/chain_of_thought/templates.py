"""What is asked and answered, in every language that has texts of its own.

The first text of each list is the canonical one; the first English prompts
are the published ones (C2SER, section 3). Explicit answers go from style over
content to emotion, with the emotion's word last: the words before it are the
same for every emotion.
"""

PROMPTS = {
    "en": {
        "explicit": (
            "Please describe the speaking style, content, and the speaker's "
            "emotional state of this speech.",
            "How is this spoken, what is said, and which emotion follows?",
            "Describe style and content of the speech, then the emotion.",
            "Listen: give the speaking style, the words and the emotion.",
        ),
        "implicit": (
            "Please consider the speaking style, content, and directly "
            "provide the speaker's emotion in this speech.",
            "Which emotion does the speaker express? Answer at once.",
            "Name the speaker's emotion in this speech.",
            "What does the speaker feel? One short sentence.",
        ),
    },
    "zh": {
        "explicit": (
            "请描述这段语音的说话风格、内容以及说话人的情绪状态。",
            "这段话是怎么说的，说了什么，由此听出什么情绪？",
            "先描述语音的风格和内容，再给出情绪。",
            "请听这段语音，写出说话方式、内容和情绪。",
        ),
        "implicit": (
            "请结合说话风格和内容，直接给出这段语音中说话人的情绪。",
            "说话人表达了什么情绪？请直接回答。",
            "请说出这段语音中说话人的情绪。",
            "说话人心情如何？请用一句话回答。",
        ),
    },
}

STYLE_WORDS = {
    "en": {
        "speed": {"low": "slow", "normal": "normal", "high": "fast"},
        "pitch": {"low": "low", "normal": "normal", "high": "high"},
        "volume": {"low": "low", "normal": "normal", "high": "high"},
    },
    "zh": {
        "speed": {"low": "慢", "normal": "正常", "high": "快"},
        "pitch": {"low": "低", "normal": "正常", "high": "高"},
        "volume": {"low": "小", "normal": "正常", "high": "大"},
    },
}

# (with content, without content)
EXPLICIT = {
    "en": (
        (
            "Spoken with a {speed} pace, {pitch} pitch and {volume} volume, "
            'the words "{content}" sound {emotion}.',
            "Spoken with a {speed} pace, {pitch} pitch and {volume} volume, "
            "the voice sounds {emotion}.",
        ),
        (
            "The pace is {speed}, the pitch {pitch} and the volume {volume}. "
            'The speaker says "{content}" and sounds {emotion}.',
            "The pace is {speed}, the pitch {pitch} and the volume {volume}. "
            "The speaker sounds {emotion}.",
        ),
        (
            "With {speed} speech, {pitch} pitch and {volume} loudness, the "
            'speaker says "{content}". The emotion is {emotion}.',
            "The voice has {speed} speech, {pitch} pitch and {volume} "
            "loudness. The emotion is {emotion}.",
        ),
    ),
    "zh": (
        (
            "语速{speed}，音调{pitch}，音量{volume}，说的是“{content}”，"
            "情绪是{emotion}。",
            "语速{speed}，音调{pitch}，音量{volume}，情绪是{emotion}。",
        ),
        (
            "说话人语速{speed}、音调{pitch}、音量{volume}，"
            "说“{content}”，听起来{emotion}。",
            "说话人语速{speed}、音调{pitch}、音量{volume}，听起来{emotion}。",
        ),
        (
            "这段话的内容以{speed}的语速、{pitch}的音调、{volume}的音量"
            "说出：“{content}”，语气显得{emotion}。",
            "这段话以{speed}的语速、{pitch}的音调、{volume}的音量说出，"
            "语气显得{emotion}。",
        ),
    ),
}

# Ablation: the emotion first, its reasons after it.
LABEL_FIRST = {
    "en": (
        (
            "The speaker sounds {emotion}. The pace is {speed}, the pitch "
            '{pitch} and the volume {volume}. The words are "{content}".',
            "The speaker sounds {emotion}. The pace is {speed}, the pitch "
            "{pitch} and the volume {volume}.",
        ),
    ),
    "zh": (
        (
            "情绪是{emotion}。语速{speed}，音调{pitch}，音量{volume}，"
            "说的是“{content}”。",
            "情绪是{emotion}。语速{speed}，音调{pitch}，音量{volume}。",
        ),
    ),
}

IMPLICIT = {
    "en": (
        "The speaker sounds {emotion}.",
        "The emotion is {emotion}.",
        "This voice sounds {emotion}.",
    ),
    "zh": (
        "情绪是{emotion}。",
        "说话人听起来{emotion}。",
        "这个声音听起来{emotion}。",
    ),
}

# How every explicit answer ends, from the split before the emotion on.
EXPLICIT_END = {"en": " {emotion}.", "zh": "{emotion}。"}

# What brings a text that never came to an emotion to the point of naming it:
# after a finished text, and after a quotation that was left open.
FINISH = {
    "en": (". The voice sounds", '" sound'),
    "zh": ("。情绪是", "”，情绪是"),
}
