"""Slots of a prompt: what the model is told of an utterance beside its speech.

A prompt is a list of slots and then the question. A slot is pure, an item and
a language to a text, and remembers its arguments: the list is saved with the
model, so that it is asked as it was trained. A slot of your own has the two
methods of :class:`Slot`.
"""

from speechbrain_c2ser.chain_of_thought.slots.base import (
    Slot,
    check_slots,
    fill,
)
from speechbrain_c2ser.chain_of_thought.slots.demonstrations import (
    Demonstrations,
)
from speechbrain_c2ser.chain_of_thought.slots.fields import (
    Cues,
    Quoted,
    Transcript,
)
from speechbrain_c2ser.chain_of_thought.slots.history import History
from speechbrain_c2ser.chain_of_thought.slots.labels import Definitions, Hint
from speechbrain_c2ser.chain_of_thought.slots.retrieval import Retrieved

# The closed list of what the yaml of a model folder may build.
PUBLIC = {
    slot.__name__: slot
    for slot in (
        Cues,
        Definitions,
        Demonstrations,
        Hint,
        History,
        Quoted,
        Retrieved,
        Transcript,
    )
}

__all__ = ["Slot", "check_slots", "fill", *PUBLIC]
