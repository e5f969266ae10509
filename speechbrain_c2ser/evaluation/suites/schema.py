"""JSON Schema of evidence.json, version 1.

A figure that could not be computed is null or absent, and a note says why. A
change that breaks a reader gets a new number in ``schema``.
"""

NUMBER = {"type": ["number", "null"]}
COUNT = {"type": "integer", "minimum": 0}
PAIR = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 2,
    "maxItems": 2,
}
NOTES = {"type": "array", "items": {"type": "string"}}


def _object(required: dict, **optional: dict) -> dict:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _map(value: dict) -> dict:
    return {"type": "object", "additionalProperties": value}


def _or_null(value: dict) -> dict:
    return {"anyOf": [value, {"type": "null"}]}


METRICS = dict.fromkeys(("ua", "wa", "macro_f1", "weighted_f1"), NUMBER)
LABELS = _object(
    {
        "n": COUNT,
        "speakers": COUNT,
        "figures": _object(METRICS),
        "intervals": _map(_object(dict.fromkeys(METRICS, PAIR))),
        "constant": _object({"label": {"type": "string"}, **METRICS}),
        "smallest_difference": _object(
            {
                "unit": {"type": "string"},
                "standard_error": NUMBER,
                "to_a_number": NUMBER,
                "to_a_system": NUMBER,
            }
        ),
        "systems": {
            "type": "array",
            "items": _object(
                {
                    "name": {"type": "string"},
                    "ua": NUMBER,
                    "interval": PAIR,
                    "rank": {"type": "integer", "minimum": 1},
                }
            ),
        },
        "pairs": {
            "type": "array",
            "items": _object(
                {
                    "first": {"type": "string"},
                    "second": {"type": "string"},
                    "difference": NUMBER,
                    "interval": PAIR,
                    "p_value": NUMBER,
                    "p_holm": NUMBER,
                    "smallest_difference": NUMBER,
                    "mcnemar": _object(
                        {
                            "only_first": COUNT,
                            "only_second": COUNT,
                            "p_value": NUMBER,
                        }
                    ),
                }
            ),
        },
        "notes": NOTES,
    }
)
_VOTED = _object(
    dict.fromkeys(("cross_entropy", "jsd", "macro_f1", "hit"), NUMBER)
)
SOFT = _object(
    {"n": COUNT, "notes": NOTES},
    votes_per_utterance=NUMBER,
    system=_VOTED,
    uniform=_VOTED,
    mean_vote=_VOTED,
    raters=_map(_object({"agreement": NUMBER, "n": COUNT})),
)
_MEASURED = _object(
    dict.fromkeys(("ece", "ece_equal_mass", "brier", "nll"), NUMBER)
)
_COVERED = {"coverage": NUMBER, "interval": PAIR, "size": NUMBER, "n": COUNT}
CALIBRATION = _object(
    {"n": COUNT, "notes": NOTES},
    raw=_MEASURED,
    reliability={
        "type": "array",
        "items": _object(
            {
                "low": NUMBER,
                "high": NUMBER,
                "n": COUNT,
                "confidence": NUMBER,
                "accuracy": NUMBER,
            }
        ),
    },
    temperature=NUMBER,
    scaled=_MEASURED,
    conformal=_map(
        _object(
            {
                "promised": NUMBER,
                "n_validation": COUNT,
                **_COVERED,
                "groups": _map(_map(_object(_COVERED))),
            }
        )
    ),
)
FAIRNESS = _object(
    {
        "attributes": _map(
            _object(
                {
                    "groups": _map(
                        _object({"ua": NUMBER, "n": COUNT, "speakers": COUNT})
                    ),
                    "classes": NOTES,
                    "gap": NUMBER,
                    "threshold": NUMBER,
                    "p_value": NUMBER,
                    "beyond_chance": {"type": "boolean"},
                }
            )
        ),
        "notes": NOTES,
    }
)
ROBUSTNESS = _object(
    {
        "conditions": _map(
            _object(
                {
                    "n": COUNT,
                    "failed": COUNT,
                    "ua_before": NUMBER,
                    "ua": NUMBER,
                    "change": NUMBER,
                    "interval": PAIR,
                    "unchanged": NUMBER,
                }
            )
        ),
        "worst": {"type": ["string", "null"]},
        "notes": NOTES,
    }
)
_FOLLOWED = _object(
    {
        "n": COUNT,
        "voice": NUMBER,
        "voice_interval": PAIR,
        "words": NUMBER,
        "words_interval": PAIR,
        "other": NUMBER,
    }
)
WORDS = _object(
    {
        "chance": NUMBER,
        "controls": _map(
            _object(
                {
                    "n": COUNT,
                    "ua_true": NUMBER,
                    "ua": NUMBER,
                    "interval": PAIR,
                    "verdict": {"enum": ["at chance", "above", "below"]},
                }
            )
        ),
        "sensitivity": _or_null(
            _object({"value": NUMBER, "interval": PAIR, "against": NOTES})
        ),
        "conflict": _or_null(
            _object(
                {
                    "cells": _map(_FOLLOWED),
                    "languages": _map(_FOLLOWED),
                    "follows": {"enum": ["voice", "words", "neither", None]},
                    "p_value": NUMBER,
                }
            )
        ),
        "notes": NOTES,
    }
)
_CHANGED = {"n": COUNT, "changed": NUMBER, "interval": PAIR}
REASONING = _object(
    {
        "masks": _map(_object(_CHANGED)),
        "edits": _map(_object({**_CHANGED, "followed": NUMBER})),
        "reasons": {"enum": ["used", "decoration", "unclear", None]},
        "style": _or_null(
            _map(_object({"n": COUNT, "accuracy": NUMBER, "constant": NUMBER}))
        ),
        "phrasings": _or_null(
            _object(
                {
                    "questions": {
                        "type": "array",
                        "items": _object(
                            {
                                "question": {"type": "string"},
                                "n": COUNT,
                                "ua": NUMBER,
                            }
                        ),
                    },
                    "spread": NUMBER,
                    "same": NUMBER,
                }
            )
        ),
        "notes": NOTES,
    }
)
EVIDENCE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "c2ser-evidence/1",
    **_object(
        {
            "schema": {"const": "c2ser-evidence/1"},
            "labels": NOTES,
            "n": COUNT,
            "notes": NOTES,
            "suites": _object(
                {},
                labels=LABELS,
                soft=SOFT,
                calibration=CALIBRATION,
                fairness=FAIRNESS,
                robustness=ROBUSTNESS,
                words=WORDS,
                reasoning=REASONING,
            ),
        }
    ),
}
