"""Files answered by C2SER of random weights, useful operations counted."""

from torch.utils.flop_counter import FlopCounterMode

from speechbrain_c2ser.inference.emotion2vec import Emotion2VecSEncoder
from workloads.counting import operations

NEW_TOKENS = 20  # of a described clip


class ReadAgain:
    """Operations on what a language model has read before, while it describes.

    Scoring what was written, each item reads the last position before the
    labels again. A position counts as every other.

    Arguments
    ---------
    language_model : speechbrain_c2ser.lobes.LanguageModel
        Is watched until :meth:`stop`.
    counter : FlopCounterMode
        Counts meanwhile.
    """

    def __init__(self, language_model, counter):
        self.operations = 0.0
        self._lm, self._counter = language_model, counter
        self._score = language_model.score
        language_model.score = self._scored

    def stop(self):
        """Watch no longer."""
        self._lm.score = self._score

    def _scored(self, merged, endings, prompt=None, past=None):
        before = self._counter.get_total_flops()
        scores = self._score(merged, endings, prompt, past)
        done = self._counter.get_total_flops() - before
        read = int(merged.attention_mask.sum())
        read += sum(len(each) - 1 for item in endings for each in item)
        self.operations += done * len(endings) / read
        return scores


class Inference:
    """``features``, ``classify`` and ``describe`` of files.

    Arguments
    ---------
    name : str
        Which of them.
    c2ser : speechbrain_c2ser.inference.C2SER
        Random weights.
    batch_size : int
        As of the three.
    """

    def __init__(self, name, c2ser, batch_size=8):
        self.name, self.batch_size = name, batch_size
        self.c2ser = c2ser
        encoder = c2ser.mods.model.perception.acoustic_encoder
        self.encoder = Emotion2VecSEncoder(encoder, {})

    def __call__(self, paths, batch_size=None):
        """Answer all files."""
        options = {"batch_size": batch_size or self.batch_size}
        if self.name == "features":
            rows = self.encoder.encode_files(paths, **options)
        elif self.name == "classify":
            rows = self.c2ser.iter_files(paths, **options)
        else:
            rows = self.c2ser.describe_files(
                paths, **options, max_new_tokens=NEW_TOKENS
            )
        rows = list(rows)
        errors = [row.error for row in rows if row.error is not None]
        if errors:
            raise RuntimeError(errors[0])
        return rows

    def done(self, paths):
        """Operations of all files, from a question that nobody has read."""
        self.c2ser.mods.model.eval()  # forgets
        return operations(lambda: self(paths))[0]

    def useful(self, paths):
        """The same without padding, nothing computed twice."""
        model = self.c2ser.mods.model
        model.eval()
        first, _ = operations(lambda: self([paths[0]] * 2, 2))
        total = 0.0
        for number, path in enumerate(paths):
            with FlopCounterMode(display=False) as counter:
                again = ReadAgain(model.language_model, counter)
                self([path] * 2, 2)
                again.stop()
            total += counter.get_total_flops() / 2
            if self.name == "describe":  # what is written is then scored
                total -= again.operations / 2
            if number == 0:  # the question, once
                total += first - counter.get_total_flops()
        return total
