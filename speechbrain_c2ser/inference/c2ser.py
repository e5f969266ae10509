"""C2SER for users: an emotion, or a whole description, of any recording."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from speechbrain_c2ser.audio.objects import as_list
from speechbrain_c2ser.chain_of_thought import answers
from speechbrain_c2ser.checkpoints.c2ser_folder import load_c2ser
from speechbrain_c2ser.checkpoints.folder import find_folder
from speechbrain_c2ser.checkpoints.kinds import check_kind
from speechbrain_c2ser.inference.asking import fill_all, rows_of
from speechbrain_c2ser.inference.file_classifier import (
    FileClassifier,
    check_finite,
)
from speechbrain_c2ser.inference.options import (
    check_batch,
    check_language,
    check_number,
    read_labels,
)
from speechbrain_c2ser.inference.recordings import (
    for_each_recording,
    least_samples,
    value_of,
)
from speechbrain_c2ser.inference.results import (
    DescribedWindow,
    Description,
    FileResult,
)


class C2SER(FileClassifier):
    """Speech emotion recognition by a language model that listens.

    Labels always come from the closed set: every label's answer is weighed,
    none is invented.

    Example
    -------
    >>> c2ser = C2SER.from_hparams("results/demo/c2ser")  # doctest: +SKIP
    >>> probabilities, score, index, label = c2ser.classify_file(
    ...     "call.wav"
    ... )  # doctest: +SKIP
    >>> print(c2ser.describe_file("call.wav").text)  # doctest: +SKIP
    """

    @classmethod
    def from_hparams(
        cls, source, savedir=None, run_opts=None, llm=None, allow=()
    ):
        """Load a C2SER folder; a local one needs no network.

        Arguments
        ---------
        source : str | Path
            Folder, or id of a model on the Hugging Face hub.
        savedir : str | Path | None
            Where a hub model is put.
        run_opts : dict | None
            SpeechBrain's, such as ``{"device": "cuda"}``.
        llm : str | Path | None
            Where the base language model is now, if it was moved.
        allow : sequence of str
            Modules of your own lobes that the folder may build.

        Returns
        -------
        C2SER
        """
        folder = find_folder(source, savedir)
        check_kind(folder, "SpeechEmotionLLM")
        hparams = load_c2ser(folder, llm, allow)
        c2ser = cls(hparams["model"], hparams, run_opts)
        c2ser.mods.model.language_model.hold_for(c2ser.dtype)
        return c2ser

    @property
    def labels(self):
        """Names of the emotions, in the order of the probabilities."""
        return list(self.hparams.label_space.names)

    @property
    def slots(self):
        """What the model is told of an utterance before the question."""
        return list(getattr(self.hparams, "slots", None) or [])

    def items_of(self, audios):
        """Manifest rows with their turns, where the prompt has slots."""
        return rows_of(self.slots, audios)

    def prompt(self, mode, language=None):
        """The question that the model is asked, without its slots.

        Arguments
        ---------
        mode : str
            "explicit" or "implicit".
        language : str | None
            Language of the question; None = the model's own question.

        Returns
        -------
        str
        """
        prompts = self.hparams.prompts or {}
        if mode in prompts and language is None:
            return prompts[mode]
        return answers.prompt(mode, language or "en")

    def forward(self, wavs, wav_lens=None):
        """Same as :meth:`classify_batch`."""
        return self.classify_batch(wavs, wav_lens)

    def classify_batch(
        self,
        wavs,
        wav_lens=None,
        language=None,
        prompt=None,
        labels=None,
        items=None,
    ):
        """Emotion of each waveform of a batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] relative lengths; None = all full.
        language : str | None
            Language of the answers that are weighed; None = all languages
            the model answers in, summed.
        prompt : str | None
            Another question than the model's own, behind the slots.
        labels : LabelSpace | list | dict | None
            Another set of labels or their names, or label -> the answer or
            answers that name it.
        items : list of dict | None
            Manifest row of each waveform: what the slots of the model's
            prompt need, such as ``before``.

        Returns
        -------
        tuple
            probabilities [B, L], score [B], index [B], list of B labels.

        Raises
        ------
        ValueError
            Without what the model's prompt needs; names slot and field.
        """
        check_language(language)
        wavs, wav_lens = check_batch(wavs, wav_lens)
        candidates = self._answers("implicit", language, labels)
        question = prompt or self.prompt("implicit")
        prompts = fill_all(question, self.slots, items, len(wavs))
        with torch.no_grad(), self.inference_ctx:
            model = self.mods.model
            probabilities = model.score_labels(
                model.listen(wavs.to(self.device), wav_lens.to(self.device)),
                prompts,
                candidates,
                **self._calibration(labels),
            )
        score, index = probabilities.max(-1)
        names = list(candidates)
        return probabilities, score, index, [names[i] for i in index.tolist()]

    def names_of(self, language=None, prompt=None, labels=None):
        """Names of the emotions that :meth:`classify_batch` tells apart."""
        check_language(language)
        return list(self._answers("implicit", language, labels))

    def describe_batch(
        self,
        wavs,
        wav_lens=None,
        mode="explicit",
        language=None,
        prompt=None,
        max_new_tokens=400,
        num_beams=1,
        repetition_penalty=1.0,
        items=None,
    ):
        """Style, content and emotion of each waveform, in words.

        Arguments
        ---------
        wavs : torch.Tensor
            [B, T] waveforms at 16 kHz.
        wav_lens : torch.Tensor | None
            [B] relative lengths; None = all full.
        mode : str
            "explicit": style, content, then the emotion; "implicit": the
            emotion at once.
        language : str | None
            Language of the question and so of the answer; None = the
            published question, answered in the speech's language.
        prompt : str | None
            Another question than the model's own, behind the slots.
        max_new_tokens : int
            Length limit of the text.
        num_beams : int
            1 = greedy; published: 4.
        repetition_penalty : float
            Published: 1.05.
        items : list of dict | None
            As in :meth:`classify_batch`.

        Returns
        -------
        list[Description]
        """
        _check_describing(
            mode, language, prompt, max_new_tokens, num_beams,
            repetition_penalty,
        )  # fmt: skip
        wavs, wav_lens = check_batch(wavs, wav_lens)
        wavs, wav_lens = wavs.to(self.device), wav_lens.to(self.device)
        question = prompt or self.prompt(mode, language)
        prompts = fill_all(question, self.slots, items, len(wavs), language)
        space = self.hparams.label_space
        model = self.mods.model
        with torch.no_grad(), self.inference_ctx:
            speech = model.listen(wavs, wav_lens)
            written = model.write(
                speech,
                prompts,
                max_new_tokens=max_new_tokens,
                num_beams=num_beams,
                repetition_penalty=repetition_penalty,
            )
            texts = written.texts
            parsed = [answers.parse_answer(text, space) for text in texts]
            known = self.hparams.languages
            languages = [
                p.language if p.language in known else language or known[0]
                for p in parsed
            ]
            candidates = {
                each: self._answers(mode, each) for each in set(languages)
            }
            prefixes = None
            if mode == "explicit":
                prefixes = [
                    answers.split_before_emotion(text) for text in texts
                ]
            probabilities = model.score_labels(
                speech,
                prompts,
                [candidates[each] for each in languages],
                answer_prefixes=prefixes,
                written=written,
                **self._calibration(),
            )
        check_finite(probabilities)
        return [
            Description(
                text=text,
                style=answer.style,
                content=answer.content,
                emotion=self.labels[row.argmax()],
                probabilities=dict(zip(self.labels, row.tolist(), strict=True)),
                text_emotion=answer.emotion,
                language=answer.language,
                cut=cut,
            )
            for text, answer, row, cut in zip(
                texts, parsed, probabilities, written.cut, strict=True
            )
        ]

    def describe_file(
        self,
        audio: object,
        window: float = 30.0,
        hop: float | None = None,
        **options,
    ) -> Description:
        """Style, content and emotion of a recording, in words.

        Arguments
        ---------
        audio : str | Path | object
            As in :meth:`classify_file`.
        window : float
            A longer recording is described in windows of so many seconds:
            texts and contents are joined, probabilities averaged.
        hop : float | None
            Seconds from window to window; None = ``window``.
        **options
            Further arguments of :meth:`describe_batch`.

        Returns
        -------
        Description

        Raises
        ------
        AudioError
            When the file cannot be used, or is silent.
        """
        (row,) = self.describe_files([audio], 8, window, hop, **options)
        return value_of(row)

    def describe_files(
        self,
        audios,
        batch_size: int = 8,
        window: float = 30.0,
        hop: float | None = None,
        progress: bool = False,
        speech=None,
        journal=None,
        **options,
    ) -> Iterator[FileResult]:
        """Descriptions of many recordings, each as soon as it is there.

        Arguments
        ---------
        audios, batch_size, window, hop, progress
            As in :meth:`classify_files`.
        speech, journal
            As in :meth:`iter_files`.
        **options
            Further arguments of :meth:`describe_batch`.

        Returns
        -------
        iterator of FileResult
            One per recording, in the order given.
        """
        _check_describing(**options)
        audios = as_list(audios)
        self.lay_out(len(audios))

        def rows(wavs, wav_lens, **told):
            return self.describe_batch(wavs, wav_lens, **told, **options)

        return for_each_recording(
            audios,
            rows,
            self._join_descriptions,
            batch_size,
            window,
            hop,
            least_samples(self.mods.model),
            progress,
            speech=speech,
            journal=journal,
            codec=(vars, lambda fields: Description(**fields)),
            items=self.items_of(audios),
        )

    def _join_descriptions(self, parts):
        windows = tuple(DescribedWindow(*p) for p in parts if p[2] is not None)
        descriptions = [window.description for window in windows]
        if len(parts) == 1:
            return replace(descriptions[0], windows=windows)
        lengths = [window.stop - window.start for window in windows]
        mean = {
            label: sum(
                length * d.probabilities[label]
                for length, d in zip(lengths, descriptions, strict=True)
            )
            / sum(lengths)
            for label in self.labels
        }
        contents = [d.content for d in descriptions if d.content]
        return Description(
            text="\n".join(d.text for d in descriptions),
            style=None,
            content=" ".join(contents) or None,
            emotion=max(mean, key=mean.get),
            probabilities=mean,
            windows=windows,
            cut=any(d.cut for d in descriptions),
        )

    def _answers(self, mode, language=None, labels=None):
        """Label -> answers, of one language or of all."""
        labels = read_labels(labels)
        if isinstance(labels, dict):
            return labels
        space = self.hparams.label_space if labels is None else labels
        languages = [language] if language else self.hparams.languages
        joined = {name: [] for name in space.names}
        for each in languages:
            for name, texts in answers.label_answers(space, mode, each).items():
                joined[name] += texts
        return joined

    def _calibration(self, labels=None):
        """What was fitted for the model's own labels holds for them only."""
        if labels is not None:
            return {}
        return {
            "temperature": getattr(self.hparams, "temperature", 1.0),
            "prior": getattr(self.hparams, "prior", None),
        }


def _check_describing(
    mode="explicit",
    language=None,
    prompt=None,
    max_new_tokens=1,
    num_beams=1,
    repetition_penalty=1.0,
):
    """Refuse options of ``describe_batch`` that cannot be."""
    if mode not in answers.MODES:
        raise ValueError(
            f"mode must be one of {', '.join(answers.MODES)}, not {mode!r}."
        )
    if prompt is not None and not isinstance(prompt, str):
        raise ValueError(f"prompt must be a text, not {prompt!r}.")
    check_language(language)
    check_number("max_new_tokens", max_new_tokens, 1, 4096, whole=True)
    check_number("num_beams", num_beams, 1, 64, whole=True)
    check_number("repetition_penalty", repetition_penalty, 0.01, 100)
