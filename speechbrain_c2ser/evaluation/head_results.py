"""What the heads of a classifier record of a set: scored, written."""

from collections.abc import Sequence

from speechbrain_c2ser.evaluation.metrics.category import majority
from speechbrain_c2ser.evaluation.metrics.temperature import fit_calibration
from speechbrain_c2ser.evaluation.predictions import prediction_of
from speechbrain_c2ser.lobes.heads.multi_head import MultiHead


class HeadResults:
    """Every head's records of utterances, as they come in batches.

    Arguments
    ---------
    heads : MultiHead
        Of the model that predicts.

    Example
    -------
    >>> import torch
    >>> from speechbrain_c2ser.lobes import DimensionHead
    >>> results = HeadResults(MultiHead({"vad": DimensionHead(2, ["valence"])}))
    >>> rows = [{"id": "a", "vad": 0.0}, {"id": "b", "vad": 1.0}]
    >>> results.add(rows, {"vad": torch.tensor([[0.0], [1.0]])})
    >>> results.figures()["vad_ccc"]
    1.0
    """

    def __init__(self, heads: MultiHead):
        self.heads = heads
        self.rows: list[dict] = []
        self.records: list[dict] = []

    def add(self, rows: Sequence[dict], predictions: dict) -> None:
        """Records a batch.

        Arguments
        ---------
        rows : sequence of dict
            Manifest rows with their ids.
        predictions : dict
            Head's name → probabilities or values, of ``MultiHead.predict``.
        """
        self.rows += rows
        self.records += self.heads.records(predictions)

    def figures(self) -> dict[str, float]:
        """Every head's figures of all that was recorded."""
        return self.heads.figures(self.rows, self.records)

    def figure_names(self, rows: Sequence[dict]) -> list[str]:
        """Names of the figures that a set of rows would give.

        Arguments
        ---------
        rows : sequence of dict
            Manifest rows; each is scored as if it were the first recorded.

        Returns
        -------
        list of str
        """
        return list(self.heads.figures(rows, [self.records[0]] * len(rows)))

    def calibration(self) -> dict[str, float]:
        """Temperature of the head that decides; empty where it has no truth."""
        if self.heads.main is None:
            return {}
        head = self.heads[self.heads.main]
        shares, places = [], []
        for row, record in zip(self.rows, self.records, strict=True):
            label = majority(head.truth(row))
            if label is not None:
                own = record[self.heads.main]["probabilities"]
                shares.append(list(own.values()))
                places.append(head.labels.index(label))
        return fit_calibration(shares, places) if shares else {}

    def check(self) -> None:
        """Refuses records that cannot be right."""
        for row, record in zip(self.rows, self.records, strict=True):
            for name, head in self.heads.heads.items():
                head.check(row, record[name])

    def predictions(self) -> list[dict]:
        """A prediction of each utterance, of all heads, with what is true.

        Returns
        -------
        list of dict
            ``label`` and ``probabilities`` are the head "emotion"'s, where it
            decides; ``heads`` has each head's record and its ``truth`` (None
            where it has none), where there is more than that one label.
        """
        return [
            prediction_of(row["id"], row, **self._said(row, record))
            for row, record in zip(self.rows, self.records, strict=True)
        ]

    def _said(self, row, record):
        said = {}
        if self.heads.main == "emotion":
            said = dict(record["emotion"])
            if len(record) == 1 and self.heads["emotion"].keys == ["emotion"]:
                return said
        said["duration"] = row["duration"]
        said["heads"] = {
            name: {**own, "truth": self.heads[name].truth(row)}
            for name, own in record.items()
        }
        return said
