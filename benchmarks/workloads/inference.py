"""Files answered by C2SER of random weights, useful operations counted."""

from torch.utils.flop_counter import FlopCounterMode

from speechbrain_c2ser.inference.emotion2vec import Emotion2VecSEncoder
from workloads.counting import operations

NEW_TOKENS = 20  # of a described clip


class ReadAgain:
    """Operations on what a language model has read before, while it describes.

    Generating, each item reads the question; scoring what was written, the
    last position before it. A position counts as every other.

    Arguments
    ---------
    language_model : speechbrain_c2ser.lobes.LanguageModel
        Is watched until :meth:`stop`.
    counter : FlopCounterMode
        Counts meanwhile.
    question : int
        Positions of the question.
    """

    def __init__(self, language_model, counter, question):
        self.operations = 0.0
        self._lm, self._counter = language_model, counter
        self._question, self._score = question, language_model.score
        language_model.score = self._scored
        decoder = language_model.model.get_decoder()
        self._scoring = False
        self._hooks = [
            decoder.register_forward_pre_hook(self._started),
            decoder.register_forward_hook(self._read),
        ]

    def stop(self):
        """Watch no longer."""
        self._lm.score = self._score
        for hook in self._hooks:
            hook.remove()

    def _scored(self, merged, endings, prompt=None, past=None):
        self._scoring, before = True, self._counter.get_total_flops()
        scores = self._score(merged, endings, prompt, past)
        self._scoring = False
        done = self._counter.get_total_flops() - before
        read = int(merged.attention_mask.sum())
        read += sum(len(each) - 1 for item in endings for each in item)
        self.operations += done * len(endings) / read
        return scores

    def _started(self, module, args):
        self._before = self._counter.get_total_flops()

    def _read(self, module, args, output):
        positions = output.last_hidden_state.shape[1]
        if self._scoring or positions <= self._question:
            return  # a further token
        done = self._counter.get_total_flops() - self._before
        self.operations += done * self._question / positions


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
        mode = "implicit" if self.name == "classify" else "explicit"
        question = model.language_model.tokenize(self.c2ser.prompt(mode))
        model.eval()
        first, _ = operations(lambda: self([paths[0]] * 2, 2))
        total = 0.0
        for number, path in enumerate(paths):
            with FlopCounterMode(display=False) as counter:
                again = ReadAgain(model.language_model, counter, len(question))
                self([path] * 2, 2)
                again.stop()
            total += counter.get_total_flops() / 2
            if self.name == "describe":  # what is written is then scored
                total -= again.operations / 2
            if number == 0:  # the question, once
                total += first - counter.get_total_flops()
        return total
