"""Suites of evidence: does a system hear emotion, and are its reasons true?

Each suite is a module with ``compute(...) -> dict``, pure, and ``page(result)
-> str``, its section of the report; :mod:`.running` runs them together.
"""
