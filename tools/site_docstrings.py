"""Docstrings as the site's generator reads them (see mkdocs.yml).

SpeechBrain writes "Example", the generator's numpy dialect "Examples".
"""

import re

import griffe

EXAMPLE = re.compile(r"^Example\n-{7}$", re.MULTILINE)


class SpeechBrainExamples(griffe.Extension):
    """Names the section of examples as numpy does."""

    def on_object(self, *, obj, **_):
        if obj.docstring:
            text = EXAMPLE.sub("Examples\n--------", obj.docstring.value)
            obj.docstring.value = text
