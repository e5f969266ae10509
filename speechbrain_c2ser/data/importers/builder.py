"""Builder of a corpus: finds its files, takes utterances, counts the rest.

A corpus file says which files there are, what their names or tables mean, and
how to divide them; everything else is here. What the ``prepare`` of every
corpus takes is described in ``preparers.py``.
"""

import filecmp
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from speechbrain_c2ser.audio.formats import SOUNDS
from speechbrain_c2ser.data.columns import plain_name
from speechbrain_c2ser.data.errors import ManifestError
from speechbrain_c2ser.data.importers.rows import GENDERS
from speechbrain_c2ser.data.importers.writing import write_corpus
from speechbrain_c2ser.data.manifest import (
    audio_duration,
    check_segment,
)
from speechbrain_c2ser.data.splits import folds_by
from speechbrain_c2ser.data.tables import read_table
from speechbrain_c2ser.data.text_files import read_text
from speechbrain_c2ser.labels import LabelSpace

# More than this share of the listed audio missing is a wrong folder, not a
# damaged file here and there.
MOST_MISSING = 0.1
DEEPEST = 3  # folders within each other
JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini")


class CorpusBuilder:
    """Collects the utterances of one corpus.

    Arguments
    ---------
    name : str
        Of the corpus; the ``dataset`` of its items.
    data_folder : str | Path
        Where it lies; never written to.
    emotions : dict
        The corpus's own label -> ours, or None for what is left out.
    layout : str
        The layout expected, for the error of a wrong one.
    language : str
        Of items that name none.
    label_space : LabelSpace | str | int
        A smaller set to map to, or its name or size; what has no place in it
        is left out.
    check_audio : bool
        Read the duration of every file from its header; else every item
        brings its own.
    disagreed : sequence of str
        The corpus's own labels that mean "no majority": such items are taken
        without emotion, where they have votes or dimensions.
    """

    def __init__(
        self,
        name,
        data_folder,
        emotions,
        layout,
        language=None,
        label_space=None,
        check_audio=True,
        disagreed=(),
    ):
        self.disagreed = tuple(disagreed)
        self.name, self.layout = name, layout
        self.folder = Path(data_folder)
        self.language, self.check_audio = language, check_audio
        self.emotions = dict(emotions)
        self.skipped, self._examples, self._items = Counter(), {}, {}
        self._notes = []
        if isinstance(label_space, (str, int)):
            label_space = LabelSpace.from_name(label_space)
        labels = {label for label in self.emotions.values() if label}
        self._labels = {label: label for label in labels}
        if label_space is not None:
            self._labels = LabelSpace.from_names(labels).mapping_to(label_space)
        if not self.folder.is_dir():
            raise ManifestError(
                f"The data folder {self.folder} of {name} is missing or no "
                "folder."
            )

    def wrong_layout(self, sought):
        """The error for a folder that does not hold what it must.

        Arguments
        ---------
        sought : str
            What was looked for.

        Returns
        -------
        ManifestError
        """
        return ManifestError(
            f"{self.name}: looked for {sought} in {self.folder} and found "
            f"none; expected layout: {self.layout}."
        )

    def file(self, *names):
        """The first of some files that is there.

        Arguments
        ---------
        names : str
            Paths below the data folder.

        Returns
        -------
        Path
        """
        for folder in self._folders():
            for name in names:
                if (folder / name).is_file():
                    self._take(folder)
                    return folder / name
        raise self.wrong_layout(" or ".join(names))

    def has(self, name: str) -> bool:
        """Whether a file is where :meth:`file` looks for it."""
        return any((folder / name).is_file() for folder in self._folders())

    def _folders(self):
        """The folder; below it those that an archive's unpacking adds."""
        folder = self.folder
        for _ in range(DEEPEST):
            yield folder
            inner = [
                path
                for path in folder.iterdir()
                if path.name not in JUNK and not path.name.startswith(".")
                if path.is_dir()  # a read-me, or its archive, may lie beside
            ]
            if len(inner) != 1:
                return
            folder = inner[0]

    def _take(self, folder):
        if folder != self.folder:
            self.note(f"Read from {folder.name}, the one folder in it.")
            self.folder = folder

    def read_json(self, *names):
        """The object in the first of some JSON files that is there."""
        path = self.file(*names)
        try:
            content = json.loads(read_text(path))
        except ValueError as error:
            raise ManifestError(f"{path} is not JSON: {error}.") from error
        if not isinstance(content, dict):
            raise ManifestError(
                f"{path} is no JSON object; expected layout: {self.layout}."
            )
        return content

    @contextmanager
    def reading(self, key: str) -> Iterator[None]:
        """Name the item whose description lacks what is read of it.

        Arguments
        ---------
        key : str
            The item's, or what else stands in a JSON file.
        """
        try:
            yield
        except ManifestError:
            raise
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise ManifestError(
                f"Item {key!r} of {self.name}: a field is missing or of "
                f"another kind than published ({error!r}): mend it, or take "
                "the item out."
            ) from error

    def read_table(self, *names, need=()):
        """Rows of the first of some tables that is there.

        Arguments
        ---------
        names : str
            Paths below the data folder.
        need : sequence of str
            Columns without which it is another table; capitals and signs in
            their names do not count.
        """
        path = self.file(*names)
        # A corpus's own reader tells blanks from words, not from None.
        names = {plain_name(name): name for name in need}
        rows = [
            {
                names.get(plain_name(n), n): "" if v is None else v
                for n, v in row.items()
                if n in need or names.get(plain_name(n)) not in row
            }
            for row in read_table(path)
        ]
        missing = [column for column in need if column not in rows[0]]
        if missing:
            raise ManifestError(
                f"{path} has no column {missing[0]!r} (it has: "
                f"{', '.join(map(str, rows[0]))})."
            )
        return rows

    def match(self, glob, pattern):
        """Files and what their names say.

        Arguments
        ---------
        glob : str
            Below the data folder; the suffix ``.*`` is that of any sound.
        pattern : str
            Regular expression of the whole name without its extension; named
            groups.

        Yields
        ------
        tuple
            (path, group name -> text)
        """
        matches = 0
        paths: list[Path] = []
        for folder in self._folders():
            paths = paths or _glob(folder, glob)
            if paths:
                self._take(folder)
                break
        for path in paths:
            if path.name.startswith("."):
                continue
            matched = re.fullmatch(pattern, path.stem)
            if matched is None:
                self.skip("file name not understood", path.name)
                continue
            matches += 1
            yield path, matched.groupdict()
        if not matches:
            raise self.wrong_layout(f"{glob} with such names")

    def skip(self, reason, example):
        """Count what is left out.

        Arguments
        ---------
        reason : str
            Why.
        example : str
            Which; the first of a reason is told.
        """
        self.skipped[reason] += 1
        self._examples.setdefault(reason, example)

    def note(self, text: str) -> None:
        """Keep a sentence that a user has to know; it goes to corpus.json."""
        self._notes.append(text)

    def add(self, key, wav, raw, **fields):
        """Take an utterance.

        Arguments
        ---------
        key : str
            Its id.
        wav : str | Path
            Its audio.
        raw : str
            Its emotion as the corpus writes it.
        fields
            More of the manifest's fields; None is left out.

        Raises
        ------
        ManifestError
            For an id that was there before with other audio, or an unknown
        emotion. The same bytes once more are skipped.
        """
        if key in self._items:
            self._again(key, Path(wav).absolute())
            return
        if raw not in self.emotions:
            raise ManifestError(
                f"Item {key!r}: unknown emotion {raw!r} of {self.name} "
                f"(known: {', '.join(map(str, self.emotions))})."
            )
        label = self._labels.get(self.emotions[raw])
        rated = fields.get("votes") or fields.get("vad")
        if label is None and not (raw in self.disagreed and rated):
            self.skip(f"emotion {raw} left out", key)
            return
        item = {"wav": str(_as_spelt(Path(wav)).absolute())}
        if label is not None:
            item["emotion"] = label
        if raw != label:
            item["emotion_raw"] = raw
        fields["language"] = fields.get("language") or self.language
        fields.setdefault("dataset", self.name)
        if fields.get("gender"):
            gender = str(fields["gender"]).strip().lower()
            fields["gender"] = GENDERS.get(gender, gender)
        item |= {n: v for n, v in fields.items() if v is not None and v != ""}
        self._items[key] = item

    def items(self):
        """All utterances whose audio is there, with durations.

        Returns
        -------
        dict
            Utterance id -> fields.

        Raises
        ------
        ManifestError
            If there are none, or much of the audio is missing.
        """
        items, lengths, lost = {}, {}, []
        for key, item in tqdm(
            self._items.items(), f"{self.name} audio", leave=False
        ):
            try:
                if self.check_audio:
                    self._measure(key, item, lengths)
            except ManifestError as error:
                lost.append(str(error))
                self.skip("audio missing or unusable", str(error))
                continue
            # The fields a reader looks for first.
            first = {"wav": item["wav"], "duration": item.get("duration")}
            items[key] = first | item
        if len(lost) > MOST_MISSING * len(self._items):
            raise ManifestError(
                f"{self.name}: the audio of {len(lost)} of "
                f"{len(self._items)} utterances is missing or unusable, such "
                f"as: {lost[0]} Expected layout: {self.layout}."
            )
        if not items:
            raise self.wrong_layout("utterances with one of the emotions")
        return items

    def write(self, save_folder, folds, how, notes=(), strict=False):
        """Write divisions; what was skipped is told and kept in corpus.json.

        Arguments
        ---------
        save_folder, how, notes, strict
            As in :func:`speechbrain_c2ser.data.importers.writing.write_corpus`.
        folds : dict | list of dict
            Split -> items, or one such a fold.

        Returns
        -------
        dict
            Manifest name -> path.
        """
        folds = folds if isinstance(folds, list) else [folds]
        notes = [*notes, *self._notes]
        paths = write_corpus(
            folds, save_folder, self.name, how, notes, self.skipped, strict
        )
        for reason, number in self.skipped.items():
            print(
                f"{self.name}: skipped {number}: {reason} "
                f"(first: {self._examples[reason]})"
            )
        return paths

    def write_folds(
        self, save_folder: Path, folds: int, seed: int, who: str = "speakers"
    ) -> dict:
        """Write folds that keep speakers apart.

        Arguments
        ---------
        save_folder : Path
            As for :meth:`write`.
        folds : int
            Groups of speakers.
        seed : int
            Of dealing the speakers out.
        who : str
            What the corpus calls its speakers.

        Returns
        -------
        dict
            Manifest name -> path.
        """
        parts = folds_by(self.items(), "speaker", folds, seed)
        return self.write(save_folder, parts, f"{who} apart")

    def _again(self, key, wav):
        """Skip the same bytes under the same id; refuse others."""
        first = Path(self._items[key]["wav"])
        if wav != first and first.is_file() and wav.is_file():
            if filecmp.cmp(first, wav, shallow=False):
                self.skip("the same file once more", f"{first} and {wav}")
                return
        raise ManifestError(
            f"{self.name} holds the item {key!r} twice: {first} and {wav}. "
            "Take one of them out, or give the folder that holds it once."
        )

    def _measure(self, key, item, lengths):
        wav = item["wav"]
        if wav not in lengths:
            lengths[wav] = audio_duration(wav, key)
        if "start" in item or "stop" in item:
            check_segment(key, item, lengths[wav])
            stop = item.get("stop", lengths[wav])
            item["duration"] = round(stop - item.get("start", 0.0), 4)
        else:
            item["duration"] = round(lengths[wav], 4)


def _glob(folder, glob):
    """Sorted files of a suffix in small or capital letters."""
    before, dot, suffix = glob.rpartition(".")
    globs = {glob, f"{before}{dot}{suffix.upper()}"}
    paths = {path for each in globs for path in folder.glob(each)}
    if suffix == "*":
        paths = {path for path in paths if path.suffix.lower() in SOUNDS}
    return sorted(p for p in paths if not p.name.startswith("."))


def _as_spelt(wav):
    """A path whose suffix is in capital letters where the file's is."""
    capital = wav.with_suffix(wav.suffix.upper())
    return capital if not wav.exists() and capital.exists() else wav
