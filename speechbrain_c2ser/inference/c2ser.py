"""C2SER for users: an emotion, or a whole description, of any recording."""

import torch

from speechbrain_c2ser.chain_of_thought import answers
from speechbrain_c2ser.checkpoints.c2ser_folder import load_c2ser
from speechbrain_c2ser.checkpoints.folder import find_folder
from speechbrain_c2ser.checkpoints.kinds import check_kind
from speechbrain_c2ser.inference.classifying import (
    as_results,
    classify_recordings,
)
from speechbrain_c2ser.inference.pretrained import PretrainedModel
from speechbrain_c2ser.inference.results import Description
from speechbrain_c2ser.inference.segments import (
    check_batch,
    cut,
    run,
    silent,
)


class C2SER(PretrainedModel):
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
        return cls(hparams["model"], hparams, run_opts)

    @property
    def labels(self):
        """Names of the emotions, in the order of the probabilities."""
        return list(self.hparams.label_space.names)

    def prompt(self, mode, language=None):
        """The question that the model is asked.

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
        own = self.hparams.prompts or {}
        if mode in own and language is None:
            return own[mode]
        return answers.prompt(mode, language or "en")

    def forward(self, wavs, wav_lens=None):
        """Same as :meth:`classify_batch`."""
        return self.classify_batch(wavs, wav_lens)

    def classify_batch(
        self, wavs, wav_lens=None, language=None, prompt=None, labels=None
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
            Another question than the model's own.
        labels : LabelSpace | dict | None
            Another set of labels, or label -> list of answers that name it.

        Returns
        -------
        tuple
            probabilities [B, L], score [B], index [B], list of B labels.
        """
        wavs, wav_lens = check_batch(wavs, wav_lens)
        candidates = self._answers("implicit", language, labels)
        with torch.no_grad(), self.inference_ctx:
            model = self.mods.model
            probabilities = model.score_labels(
                model.listen(wavs.to(self.device), wav_lens.to(self.device)),
                [prompt or self.prompt("implicit")] * len(wavs),
                candidates,
                **self._calibration(labels),
            )
        score, index = probabilities.max(-1)
        names = list(candidates)
        return probabilities, score, index, [names[i] for i in index.tolist()]

    def classify_file(self, path, window=30.0, hop=None, **options):
        """Emotion of an audio file of any format, rate, channels and length.

        Arguments
        ---------
        path : str | Path
            The file.
        window : float
            A longer recording is classified in windows of so many seconds,
            and as a whole by the mean of those that are not silent.
        hop : float | None
            Seconds from window to window; None = ``window``.
        **options
            ``language``, ``prompt``, ``labels`` of :meth:`classify_batch`.

        Returns
        -------
        Classification
            Unpacks to probabilities [L], score, index, label;
            ``.windows`` has the windows.

        Raises
        ------
        AudioError
            When the file cannot be used.
        """
        outcome = self._classify([path], window, hop, 8, False, options)[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def classify_files(
        self,
        paths,
        batch_size=8,
        window=30.0,
        hop=None,
        progress=True,
        **options,
    ):
        """Emotions of many files, batched by length.

        Arguments
        ---------
        paths : iterable of str | Path
            The files.
        batch_size : int
            Recordings (or windows) that are run together.
        window : float
            As in :meth:`classify_file`.
        hop : float | None
            As in :meth:`classify_file`.
        progress : bool
            Whether to show a progress bar.
        **options
            ``language``, ``prompt``, ``labels`` of :meth:`classify_batch`.

        Returns
        -------
        list[FileResult]
            One per file, in the order given; a bad file's has ``error``.
        """
        paths = [str(path) for path in paths]
        outcomes = self._classify(
            paths, window, hop, batch_size, progress, options
        )
        return as_results(paths, outcomes)

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
            Another question than the model's own.
        max_new_tokens : int
            Length limit of the text.
        num_beams : int
            1 = greedy; published: 4.
        repetition_penalty : float
            Published: 1.05.

        Returns
        -------
        list[Description]
        """
        wavs, wav_lens = check_batch(wavs, wav_lens)
        wavs, wav_lens = wavs.to(self.device), wav_lens.to(self.device)
        prompts = [prompt or self.prompt(mode, language)] * len(wavs)
        space = self.hparams.label_space
        model = self.mods.model
        with torch.no_grad(), self.inference_ctx:
            speech = model.listen(wavs, wav_lens)
            texts = model.generate(
                speech,
                prompts,
                max_new_tokens=max_new_tokens,
                num_beams=num_beams,
                repetition_penalty=repetition_penalty,
            )
            parsed = [answers.parse_answer(text, space) for text in texts]
            languages = [
                p.language or language or self.hparams.languages[0]
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
                **self._calibration(),
            )
        return [
            Description(
                text=text,
                style=answer.style,
                content=answer.content,
                emotion=self.labels[row.argmax()],
                probabilities=dict(zip(self.labels, row.tolist(), strict=True)),
                text_emotion=answer.emotion,
                language=answer.language,
            )
            for text, answer, row in zip(
                texts, parsed, probabilities, strict=True
            )
        ]

    def describe_file(self, path, window=30.0, hop=None, **options):
        """Style, content and emotion of an audio file, in words.

        Arguments
        ---------
        path : str | Path
            The file.
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
        """
        segments = cut(path, window, hop)
        found = dict(run(segments, self._describer(options)))
        for outcome in found.values():
            if isinstance(outcome, Exception):
                raise outcome
        windows = [
            (segment.start, segment.stop, found[i])
            for i, segment in enumerate(segments)
            if found[i] is not None
        ]
        if not windows:
            raise silent(path)
        parts = [description for _, _, description in windows]
        if len(segments) == 1:
            return parts[0]
        mean = {
            label: sum(p.probabilities[label] for p in parts) / len(parts)
            for label in self.labels
        }
        contents = [p.content for p in parts if p.content]
        return Description(
            text="\n".join(p.text for p in parts),
            style=None,
            content=" ".join(contents) or None,
            emotion=max(mean, key=mean.get),
            probabilities=mean,
            windows=tuple(windows),
        )

    def _describer(self, options):
        return lambda wavs, lens: self.describe_batch(wavs, lens, **options)

    def _classify(self, paths, window, hop, batch_size, progress, options):
        """A Classification or an exception for each file."""

        def rows(wavs, wav_lens):
            return list(self.classify_batch(wavs, wav_lens, **options)[0].cpu())

        names = list(
            self._answers(
                "implicit", options.get("language"), options.get("labels")
            )
        )
        return classify_recordings(
            paths, rows, names, window, hop, batch_size, progress
        )

    def _answers(self, mode, language=None, labels=None):
        """Label -> answers, of one language or of all."""
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
