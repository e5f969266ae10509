"""Stages that measure and ask no model: recognised words, speaking style."""

from typing import Any

from speechbrain_c2ser.arguments import remember_arguments
from speechbrain_c2ser.evaluation.metrics import edit_rate
from speechbrain_c2ser.labelling.items import Item
from speechbrain_c2ser.labelling.stages import Stage


@remember_arguments
class WordErrors(Stage):
    """Error rate of recognised words, where the spoken ones are known.

    Example
    -------
    >>> row = {"transcript": "oh no", "transcript_asr": "oh yes"}
    >>> item = Item("a", row)
    >>> WordErrors()([item])
    >>> item.row["wer"]
    0.5
    """

    def __init__(self):
        """Has no arguments."""

    def __call__(self, items):
        """Write ``wer`` into the rows that have both transcripts."""
        for item in items:
            spoken = item.row.get("transcript")
            recognised = item.row.get("transcript_asr")
            if spoken and recognised:
                language = item.row.get("language")
                rate = edit_rate([spoken], [recognised], language)
                item.row["wer"] = round(rate, 4)


@remember_arguments
class Style(Stage):
    """Pitch, loudness and speaking rate, measured and in words.

    What C2SER's explicit answers begin with (arXiv 2502.18186, section 3), as
    ``recipes/C2SER/annotate_style.py`` has it: rows get ``prosody`` and
    ``style``.

    Arguments
    ---------
    thresholds : str
        File of that script: where low ends and high begins, fitted on a
        training set.

    Example
    -------
    >>> import torch
    >>> from speechbrain_c2ser.chain_of_thought.thresholds import (
    ...     StyleThresholds,
    ... )
    >>> path = getfixture("tmpdir") / "thresholds.json"
    >>> StyleThresholds({name: {"all": [100.0, 150.0]}
    ...     for name in ("speed", "pitch", "volume")}).save(path)
    >>> tone = 0.1 * torch.sin(torch.arange(16000) * 2 * torch.pi / 80)
    >>> item = Item("a", wave=tone)
    >>> Style(str(path))([item])
    >>> item.row["style"]
    {'speed': 'normal', 'pitch': 'high', 'volume': 'low'}
    """

    def __init__(self, thresholds: str):
        from speechbrain_c2ser.chain_of_thought.thresholds import (
            StyleThresholds,
        )

        self.path = str(thresholds)
        # Read here: a file that is not there is told before long work.
        self.thresholds: Any = StyleThresholds.load(self.path)

    def __call__(self, items: list[Item]) -> None:
        """Measure each; what cannot be measured counts as normal."""
        from speechbrain_c2ser.chain_of_thought.prosody import (
            measure,
            spoken_text,
        )

        for item in items:
            spoken = spoken_text(item.row) or ()
            values = measure(item.wave.numpy(), *spoken)
            item.row["prosody"] = values
            item.row["style"] = self.thresholds.words(
                values, item.row.get("gender"), item.row.get("language")
            )

    def describe(self) -> dict:
        """The cuts, wherever their file lies."""
        return {"stage": "Style", "cuts": self.thresholds.cuts}
