"""The dialogue round an utterance."""

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.chain_of_thought.slots.base import (
    Slot,
    emotion_word,
    plain,
)
from speechbrain_c2ser.chain_of_thought.slots.retrieval import WordIndex
from speechbrain_c2ser.chain_of_thought.slots.texts import HISTORY


@remember_arguments
class History(Slot):
    """What was said before and after, by whom, in which emotion.

    As in EmoBERTa (arXiv 2108.12009: named turns before and after), CoMPM
    (arXiv 2108.11626: the same speaker's turns) and InstructERC (arXiv
    2309.11911: history in the prompt). Rows have ``before`` and ``after``
    from their ``dialogue`` and ``turn`` (:mod:`speechbrain_c2ser.data.turns`).

    Arguments
    ---------
    turns : int
        Last turns before the utterance; 0 = none.
    after : int
        Next turns behind it; 0 = none.
    emotions : bool
        Whether each turn's emotion stands behind it. What the manifest has
        counts: at test time these should be predictions.
    speakers : bool
        Whether turns and utterance have their speakers' names.
    same_speaker : bool
        Whether only turns of the utterance's speaker count.
    key : str
        Field of a turn that is quoted, such as "transcript_asr".
    nearest : bool
        Of a long dialogue not the last and the next turns, but as many that
        are nearest to the utterance by their words, in the dialogue's order.

    Raises
    ------
    ValueError
        Without any turn.

    Example
    -------
    >>> item = {"speaker": "Joey", "before": [
    ...     {"speaker": "Ross", "transcript": "Hi."}]}
    >>> print(History(turns=1).text(item, "en"))
    Said before:
    Ross: "Hi."
    Speaking now: Joey.
    >>> History(turns=1).missing({})
    'before'
    """

    def __init__(
        self,
        turns: int = 3,
        after: int = 0,
        emotions: bool = False,
        speakers: bool = True,
        same_speaker: bool = False,
        key: str = "transcript",
        nearest: bool = False,
    ):
        if turns < 0 or after < 0 or not turns + after:
            raise ValueError(
                f"History needs turns before or after, not {turns} and {after}."
            )
        self.turns = turns
        self.after = after
        self.emotions = emotions
        self.speakers = speakers
        self.same_speaker = same_speaker
        self.key = key
        self.nearest = nearest

    def missing(self, item):
        """``before``, ``after``, ``speaker``, or a field of these turns."""
        sides = self._sides()
        for side, _ in sides:
            if not isinstance(item.get(side), list | tuple):
                return side
        if (self.speakers or self.same_speaker) and not item.get("speaker"):
            return "speaker"
        if self.nearest and item.get(self.key) in (None, ""):
            return self.key
        for side, number in sides:
            for turn in self._chosen(item, side, number):
                for field in self._fields():
                    if turn.get(field) in (None, ""):
                        return f"{side}.{field}"
        return None

    def text(self, item, language):
        """The turns, one a line, and who speaks now."""
        texts = HISTORY[language]
        lines = []
        for side, number in self._sides():
            turns = self._chosen(item, side, number)
            lines.append(texts[side] + ("" if turns else f" {texts['none']}"))
            lines += [self._line(turn, texts, language) for turn in turns]
        if self.speakers:
            lines.append(texts["speaker"].format(speaker=item["speaker"]))
        return "\n".join(lines)

    def _sides(self):
        sides = (("before", self.turns), ("after", self.after))
        return [(side, number) for side, number in sides if number]

    def _fields(self):
        fields = [self.key]
        if self.speakers or self.same_speaker:
            fields.append("speaker")
        return [*fields, "emotion"] if self.emotions else fields

    def _chosen(self, item, side, number):
        turns = item[side]
        if self.same_speaker:
            own = item["speaker"]
            turns = [t for t in turns if t.get("speaker") == own]
        if self.nearest and len(turns) > number:
            index = WordIndex([turn.get(self.key) or "" for turn in turns])
            places = index.nearest(item[self.key], number)
            return [turns[place] for place in sorted(places)]
        return turns[-number:] if side == "before" else turns[:number]

    def _line(self, turn, texts, language):
        form = texts["turn" if self.speakers else "nameless"]
        line = form.format(
            speaker=turn.get("speaker"), text=plain(turn[self.key])
        )
        if self.emotions:
            word = emotion_word(turn["emotion"], language)
            line += texts["emotion"].format(emotion=word)
        return line
