"""Names that tables give their columns, and what a blank or a number is."""

import math
import re
import unicodedata
from functools import lru_cache

# Field -> the names it goes by, best first. A closed list; case, blanks and
# signs of a column's name do not count ("File Path" is "file_path").
FIELDS = {
    "id": "id utt_id utterance_id utt uid key index segment_id "
    "sample_id item_id file_id audio_id utt_name utterance_name segment "
    "segment_name clip_id recording_id wav_id custom_id 编号",
    "wav": "wav path file audio audio_filepath file_name audio_path file_path "
    "audio_file wav_path wav_file audio_filename wav_filename filepath_wav "
    "fname relative_path location recording clip uri url full_path "
    "absolute_path abs_path local_path audio_local_path wav_name audio_name "
    "wave wave_path wave_file sound sound_file sound_path mp3 flac media "
    "media_path voice audios sources source datei fichier archivo "
    "文件 文件名 音频 路径",
    "emotion": "emotion emo emotion_name emo_target label_name class_name "
    "label emotion_label emotion_class category class emo_class true_emotion "
    "emotions major_emotion majority_emotion target labels gefühl "
    "émotion emoción emozione emoção 情感 情绪 标签 情感标签 情绪标签",
    "transcript": "transcript text transcription sentence utterance_text",
    "duration": "duration length dur duration_s duration_sec duration_seconds "
    "segment_duration clip_duration utterance_duration utt_duration",
    "start": "start start_time begin begin_time onset start_s start_sec "
    "start_seconds t_start xmin start_ms t_begin tmin t0 segment_start "
    "seg_start turn_start utt_start utterance_start clip_start speech_start "
    "beginn anfang anfangs début debut inicio inizio início 起始 開始 "
    "开始 开始时间",
    "stop": "stop stop_time end end_time stop_s stop_sec end_s end_sec "
    "end_seconds t_end xmax end_ms stop_ms t_finish t_stop tmax "
    "segment_end seg_end turn_end utt_end utterance_end clip_end speech_end "
    "finish until ende 终止 終了 结束 结束时间",
    "speaker": "speaker speaker_id spk spk_id spkr_id speaker_name actor "
    "actor_id client_id subject subject_id person person_id participant "
    "participant_id sprecher sprecherin locuteur locutor hablante 说话人",
    "gender": "gender sex speaker_gender",
    "language": "language lang locale language_id",
    "valence": "valence val emo_val",
    "arousal": "arousal aro activation act emo_act",
    "dominance": "dominance dom emo_dom",
    "votes": "votes vote_counts",
    "dialogue": "dialogue dialogue_id dialog dialog_id conversation "
    "conversation_id",
    "turn": "turn turn_id turn_number",
}
# What tables of predictions call what a system said or decided.
PREDICTED = {
    "id": FIELDS["id"] + " " + FIELDS["wav"] + " utterance name sample item",
    "label": "prediction pred predicted predicted_label predicted_emotion "
    "predicted_labels preds emotion_prediction detected_emotion "
    "dominant_emotion text_lab "
    "pred_label pred_emotion emotion_pred label_pred hyp hyp_label decision "
    "y_pred y_hat predictions predict predicted_class pred_class "
    "predicted_category emotion_predicted label_predicted prediction_label "
    "prediction_emotion model_prediction model_label output_label best_label "
    "top_label top1 top_1 label class_label classification class category "
    "result sentiment "
    "预测 预测结果 预测标签 预测情感 预测情绪 vorhersage",
    # "text" is also what a transcript goes by, but no description of one.
    "text": "answer response output generated generated_text hypothesis "
    "prediction_text model_output text description completion",
    "probabilities": "probabilities probs probability posteriors distribution "
    "scores out_prob",
    "emotion": "emotion emo true true_label true_emotion gold gold_label "
    "ground_truth groundtruth gt reference ref target target_label y_true y "
    "y_test truth expected annotation reference_label "
    "actual actual_label actual_emotion label_true emotion_true gold_emotion "
    "wahrheit 真实标签 真实情感",
}
BOUNDS = ("start", "stop", "duration")
# Names that mean a start and a stop beside one another, or beside another one.
ENDS = (
    *(("from", "to"), ("in", "out"), ("tcin", "tcout"), ("t0", "t1")),
    *(("t1", "t2"), ("stime", "etime"), ("st", "et"), ("von", "bis")),
    *(("desde", "hasta"), ("inicio", "fin"), ("início", "fim")),
    ("inpoint", "outpoint"),
)
# Names that hold both of them where their value is two times.
SPANS = frozenset(
    "timestamp timestamps interval segment span bounds boundaries time "
    "timespan timeinterval timerange".split()
)
SPAN = re.compile(r"[\[(](.+)[,;](.+)[\])]|([^\[(]+?)(?:-|\u2013|to)(.+)")
# A scale, or a range of pages, has whole numbers alone.
OF_TIME = re.compile(r"\d[.:]\d|\d\s*m?s(ec)?", re.IGNORECASE)
# Before and behind words of texts that were copied from pages: no blanks.
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"
DIMENSIONS = ("valence", "arousal", "dominance")
# One column a rater: rater_1, annotator2, emotion_rater_3.
RATER = re.compile(r"(emotion)?(rater|annotator|evaluator|judge)\d+(emotion)?")
# Units behind the name of a time: "begin_sec", "duration_ms".
UNIT = re.compile(r"(.+?)(?:(ms|msecs?|millis|milliseconds?)|s|secs?|seconds?)")
# Words around a bound's own: "segment_begin", "finish time", "Endzeit".
AROUND = (
    "segment|seg|turn|utterance|utt|clip|speech|audio|"
    "time|zeit|temps|tiempo|tempo|时间|時間"
)
INNER = re.compile(rf"(?:{AROUND})?(.+?)(?:{AROUND})?")
# A sign of thousands, where there are no parts of one: in milliseconds.
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
WITH_UNIT = re.compile(
    r"([+-]?[\d.,]+(?:e[+-]?\d+)?)\s*(ms|msec|milliseconds?|s|secs?|seconds?)",
    re.IGNORECASE,
)
DAYS = re.compile(r"\d+ days?")  # as pandas writes midnights
FLOAT = re.compile(r"\d+\.0")  # as pandas writes a whole number
# h:mm:ss.fff, mm:ss, and pandas' "0 days 00:00:01.5".
CLOCK = re.compile(
    r"(?:(\d+) days? )?(?:(\d+):)?(\d{1,3}):([0-5]?\d(?:[.,]\d+)?)"
)
# Words of columns that may bound a segment, and more beside one bound.
EDGES = frozenset(
    word
    for field in ("start", "stop")
    for name in FIELDS[field].split()
    for word in [unicodedata.normalize("NFKC", name).casefold()]
    if "_" not in word
) | {"offset"}
TIMES = re.compile(r"times?|timestamps?|frames?|samples|finish|till|fin")
SIDES = frozenset(("left", "right"))  # of a segment, or of a level
RATES = re.compile(r"rate|fps|hz")
# What pandas writes of a recording of ``datasets``.
AUDIO_CELL = re.compile(r"\{.*?(['\"])path\1: *(['\"])(.+?)\2", re.DOTALL)
# As spreadsheets, pandas and databases write that there is no value.
MISSING = frozenset(
    ("", "nan", "NaN", "NAN", "<NA>", "N/A", "n/a", "#N/A", "NaT")
    + ("None", "null", "Null", "NULL", "(null)", "<null>", "NA", "nil")
    + ("\\N", "-", "--", "\u2014", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!")
)


@lru_cache(maxsize=4096)  # the same few names, for every row of a table
def plain_name(column: str) -> str:
    """A column's name without what does not count.

    Example
    -------
    >>> plain_name(" File Path"), plain_name("SpkrID") == plain_name("spkr_id")
    ('filepath', True)
    """
    text = unicodedata.normalize("NFKC", str(column)).casefold()
    return re.sub(r"[\W_]+", "", text)


def bare(text: str) -> str:
    """A text without blanks, and signs that nobody sees, around it.

    Example
    -------
    >>> bare("\\u200b sad\\u200e")
    'sad'
    """
    return text.strip().strip(INVISIBLE).strip()


def is_missing(value: object) -> bool:
    """Whether a cell says that there is no value.

    Example
    -------
    >>> [is_missing(v) for v in (None, float("nan"), " ", "NaN", 0, "no")]
    [True, True, True, True, False, False]
    """
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or isinstance(value, str) and value.strip() in MISSING


def as_id(value: object) -> str | None:
    """An id as its text; None for what is none.

    Whole numbers are their digits, also where pandas made floats of them
    ("3.0" in a table); accents count in either of their two spellings.

    Example
    -------
    >>> as_id(3), as_id("3.0"), as_id(" a "), as_id(True), as_id("")
    ('3', '3', 'a', None, None)
    """
    if isinstance(value, bool) or is_missing(value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int):
        return None
    text = unicodedata.normalize("NFC", bare(str(value)))
    return text[:-2] if FLOAT.fullmatch(text) else text


def as_number(value: object) -> float | None:
    """A number, also with a decimal comma; None for what is none.

    Example
    -------
    >>> as_number("0,5"), as_number(" 2 "), as_number("long")
    (0.5, 2.0, None)
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and value.count(",") == 1 and "." not in value:
        value = value.replace(",", ".")
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def as_seconds(value: object) -> float | None:
    """A time in seconds: a number, with a unit, or as clocks show it.

    Example
    -------
    >>> as_seconds("1:02.5"), as_seconds("00:01:02,500"), as_seconds("500 ms")
    (62.5, 62.5, 0.5)
    """
    number = as_number(value)
    if number is not None or not isinstance(value, str):
        return number
    value = value.strip()
    unit = WITH_UNIT.fullmatch(value)
    if unit:
        thousandth = unit[2].lower().startswith("m")
        return _thousandths(unit[1]) if thousandth else as_number(unit[1])
    clock = CLOCK.fullmatch(f"{value} 0:00" if DAYS.fullmatch(value) else value)
    if clock is None:
        return None
    days, hours, minutes, seconds = (
        float((part or "0").replace(",", ".")) for part in clock.groups()
    )
    return ((24 * days + hours) * 60 + minutes) * 60 + seconds


def fields_of(
    row: dict, names: dict = FIELDS, kept: tuple = ()
) -> tuple[dict, dict]:
    """A row by the names of its fields, and what is none of them.

    Arguments
    ---------
    row : dict
        Column -> value.
    names : dict
        Field -> names of columns in one text, best first.
    kept : tuple of str
        Columns that are theirs alone, whatever field their names mean.

    Returns
    -------
    fields : dict
        Field -> value. Of several columns of one field the best named that
        has a value counts; "offset" is the start, as NeMo has it, but the
        stop beside an "onset". Names of both bounds count together ("from",
        "to"), or hold two times ("timestamp"). Milliseconds become seconds.
    rest : dict
        The other columns, as they are.

    Example
    -------
    >>> fields_of({"File": "a.wav", "offset": 1, "mood": "x", "Sex": None})
    ({'wav': 'a.wav', 'start': 1}, {'mood': 'x'})
    """
    columns = {}
    for column, value in row.items():
        if column not in kept and not is_missing(value):
            columns.setdefault(plain_name(column), (column, value))
    spans = _spans(columns) if "start" in names else {}
    taken, fields = set(), {}
    for field, known in names.items():
        for name in map(plain_name, known.split()):
            if name in columns and name not in taken and name not in spans:
                fields[field] = _in_seconds(name, columns[name][1], field)
                taken.add(name)
                break
        if field not in fields and field in BOUNDS:
            plain = set(map(plain_name, known.split()))
            # "utterance_length" may be of words.
            around = field != "duration"
            for name in columns:
                free = name not in taken and name not in spans
                if free and plain & _inner(name, around):
                    fields[field] = _in_seconds(name, columns[name][1], field)
                    taken.add(name)
                    break
    if "start" in names:
        _add_pairs(columns, fields, taken, spans)
    wav = fields.get("wav")
    if isinstance(wav, str) and (cell := AUDIO_CELL.match(wav)):
        fields["wav"] = cell[3]
    used = {columns[name][0] for name in taken}
    rest = {
        column: value
        for column, value in row.items()
        if column not in used and not is_missing(value)
    }
    return fields, rest


def _add_pairs(columns, fields, taken, spans):
    """Bounds that names mean together, or that one cell holds, in place."""
    inner = {
        each: name
        for name in columns
        if name not in taken
        for each in _inner(name)
    }
    if "offset" in inner:
        is_stop = any("onset" in _inner(name) for name in columns)
        field = "stop" if is_stop else "start"
        if field not in fields:
            name = inner["offset"]
            fields[field] = _in_seconds(name, columns[name][1], field)
            taken.add(name)
    for pair in ENDS:
        known = {"start", "stop"} & fields.keys()
        if known == {"start"} and "duration" in fields:
            break
        found = {}
        for field, end in zip(("start", "stop"), pair, strict=True):
            if field not in known and end in inner:
                name = inner[end]
                value = _in_seconds(name, columns[name][1], field)
                if (seconds := as_seconds(value)) is not None:
                    found[field] = name, seconds
        if len(known) + len(found) == 2:
            for field, (name, seconds) in found.items():
                fields[field] = seconds
                taken.add(name)
    if spans and not {"start", "stop"} & fields.keys():
        name, ends = next(iter(spans.items()))
        fields |= ends
        taken.add(name)


def _spans(columns):
    """Columns that hold two times each -> start and perhaps stop."""
    spans = {}
    has_id = any(
        plain_name(name) in columns
        for name in FIELDS["id"].split()
        if name != "segment"
    )
    for name, (_, value) in columns.items():
        unit = UNIT.fullmatch(name)
        if name not in SPANS and not (unit and unit[1] in SPANS):
            continue
        if isinstance(value, str) and (text := SPAN.fullmatch(value.strip())):
            # "1-2" may be a segment's number, and any text its id.
            is_id = name == "segment" and (text[1] is None or not has_id)
            is_time = OF_TIME.search(value) or unit and unit[2]
            value = [e for e in text.groups() if e and is_time and not is_id]
        if isinstance(value, list | tuple) and len(value) == 2:
            start, stop = (
                as_seconds(_in_seconds(name, end, "start")) for end in value
            )
            if start is not None and stop is not None and start < stop:
                spans[name] = {"start": start, "stop": stop}
            elif start is not None and is_missing(value[1]):
                spans[name] = {"start": start}  # Whisper's, cut off
    return spans


@lru_cache(maxsize=4096)
def _inner(name, around=True):
    """A bound's name, also without its unit and the words around it."""
    unit = UNIT.fullmatch(name)
    forms = {name, unit[1] if unit else name}
    return forms | {INNER.fullmatch(n)[1] for n in forms if around}


def _thousandths(value):
    if isinstance(value, str) and THOUSANDS.fullmatch(value.strip()):
        value = value.replace(",", "")
    number = as_number(value)
    return None if number is None else number / 1000


def _in_seconds(name, value, field):
    unit = UNIT.fullmatch(name) if field in BOUNDS else None
    if unit and unit[2]:
        seconds = _thousandths(value)
        return value if seconds is None else seconds
    return value


def as_json(value: object) -> object:
    """A value without NaN and infinity, which are no JSON: they are None.

    Example
    -------
    >>> as_json({"a": [1.0, float("nan")], "b": float("inf")})
    {'a': [1.0, None], 'b': None}
    """
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def looks_like_time(column: str) -> bool:
    """Whether a column's name speaks of the bounds of a segment.

    Example
    -------
    >>> [looks_like_time(c) for c in ("seg_end", "EndFrame", "tone", "mood")]
    [True, True, False, False]
    """
    words = [word for word in _words(column, r"[\W_\d]+") if word]
    ends = words[:1] + words[-1:]  # not "signal_to_noise"
    is_time = any(word in EDGES or TIMES.fullmatch(word) for word in words)
    is_rate = any(map(RATES.fullmatch, words))
    return (is_time or bool({"from", "to"} & set(ends))) and not is_rate


def looks_like_bound(column: str) -> bool:
    """Whether a column's name speaks of one end of a segment.

    Example
    -------
    >>> [looks_like_bound(c) for c in ("start_sample", "EndFrame", "end2end")]
    [True, True, False]
    """
    words = _words(column, r"[\W_]+")
    return bool(EDGES & set(words)) or plain_name(column) in SIDES


def _words(column, between):
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(column)).lower()
    return re.split(between, words)


def known_names(field: str, names: dict = FIELDS) -> str:
    """What a field may be called, for an error's sentence."""
    return ", ".join(names[field].split())
