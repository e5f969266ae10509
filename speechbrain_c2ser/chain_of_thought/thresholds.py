"""Where low ends and high begins for each measure of style."""

import json
import math
from pathlib import Path

from speechbrain_c2ser.data.atomic import write_atomic

MEASURES = {"speed": "rate", "pitch": "f0", "volume": "loudness"}
ALL = "all"
# A group with fewer values is measured by all values together.
FEWEST = 10


class StyleThresholds:
    """Cuts at mean ± one standard deviation, fitted on the training set.

    Pitch has cuts of its own for each gender and speed for each language
    (languages differ in phonemes per second), where the training set has at
    least ten values of them; everything else uses those over all items.

    Arguments
    ---------
    cuts : dict
        "speed", "pitch", "volume" -> {group: [low, high]}, group "all"
        included; low may be None where nothing could be measured.

    Raises
    ------
    ValueError
        If the cuts are not of that form.

    Example
    -------
    >>> items = [{"prosody": {"f0": f, "loudness": -20.0, "rate": None}}
    ...     for f in (100, 200, 300)]
    >>> thresholds = StyleThresholds.fit(items)
    >>> thresholds.words({"f0": 290.0, "loudness": -20.0, "rate": None})
    {'speed': 'normal', 'pitch': 'high', 'volume': 'normal'}
    """

    def __init__(self, cuts):
        for attribute in MEASURES:
            groups = cuts.get(attribute) if isinstance(cuts, dict) else None
            if not isinstance(groups, dict) or not all(
                isinstance(pair, list | tuple) and len(pair) == 2
                for pair in [groups.get(ALL), *groups.values()]
            ):
                raise ValueError(
                    f"The style thresholds have no pair of cuts for "
                    f"{attribute!r}."
                )
        self.cuts = {
            attribute: {g: list(pair) for g, pair in cuts[attribute].items()}
            for attribute in MEASURES
        }

    @classmethod
    def fit(cls, items):
        """Fit on measured items.

        Arguments
        ---------
        items : iterable of dict
            Manifest rows with ``prosody``, and ``gender`` and ``language``
            where known. None values are passed over.

        Returns
        -------
        StyleThresholds
        """
        values = {attribute: {ALL: []} for attribute in MEASURES}
        for item in items:
            groups = _groups(item.get("gender"), item.get("language"))
            for attribute, measure in MEASURES.items():
                value = item["prosody"].get(measure)
                if value is None:
                    continue
                values[attribute][ALL].append(value)
                group = groups.get(attribute)
                if group:
                    values[attribute].setdefault(group, []).append(value)
        return cls(
            {
                attribute: {
                    group: _cut(numbers)
                    for group, numbers in groups.items()
                    if group == ALL or len(numbers) >= FEWEST
                }
                for attribute, groups in values.items()
            }
        )

    def words(self, measures, gender=None, language=None):
        """Style of an utterance.

        Arguments
        ---------
        measures : dict
            "f0", "loudness", "rate", as from :func:`.prosody.measure`.
        gender, language : str | None
            Choose the group of pitch and of speed.

        Returns
        -------
        dict
            "speed", "pitch", "volume" -> "low", "normal" or "high". What
            could not be measured counts as normal: nothing stands out.
        """
        nearest_groups = _groups(gender, language)
        style = {}
        for attribute, measure in MEASURES.items():
            groups = self.cuts[attribute]
            low, high = groups.get(nearest_groups.get(attribute), groups[ALL])
            value = measures.get(measure)
            style[attribute] = "normal"
            if value is not None and low is not None:
                if value < low:
                    style[attribute] = "low"
                elif value > high:
                    style[attribute] = "high"
        return style

    def positions(self, measures, gender=None, language=None):
        """Where the measures lie between the cuts: low is -1, high is 1.

        Arguments
        ---------
        measures, gender, language
            As in :meth:`words`.

        Returns
        -------
        dict
            "speed", "pitch", "volume" -> number; 0 for what could not be
            measured or does not vary.

        Example
        -------
        >>> thresholds = StyleThresholds(
        ...     {name: {"all": [10, 20]} for name in MEASURES}
        ... )
        >>> thresholds.positions({"f0": 20.0, "loudness": 15.0, "rate": None})
        {'speed': 0.0, 'pitch': 1.0, 'volume': 0.0}
        """
        nearest_groups = _groups(gender, language)
        positions = {}
        for attribute, measure in MEASURES.items():
            groups = self.cuts[attribute]
            low, high = groups.get(nearest_groups.get(attribute), groups[ALL])
            value = measures.get(measure)
            positions[attribute] = 0.0
            if value is not None and low is not None and low < high:
                middle, half = (low + high) / 2, (high - low) / 2
                positions[attribute] = (value - middle) / half
        return positions

    def save(self, path):
        """Write to a JSON file, whole or not at all."""
        write_atomic(json.dumps(self.cuts, indent=2) + "\n", path)

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not such a file; names it.
        """
        try:
            return cls(json.loads(Path(path).read_text()))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"There are no style thresholds {path}: fit them on the "
                "training set first."
            ) from None
        except ValueError as error:
            raise ValueError(f"{path} cannot be used: {error}") from None


def _groups(gender, language):
    return {"pitch": gender, "speed": language}


def _cut(values):
    """[mean - deviation, mean + deviation]; None without values."""
    if not values:
        return [None, None]
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(
        math.fsum((value - mean) ** 2 for value in values) / len(values)
    )
    return [round(mean - spread, 4), round(mean + spread, 4)]
