"""The web page: microphone or files in, timelines and tables out."""

import logging
from importlib.resources import files
from pathlib import Path
from typing import Any

from speechbrain_c2ser.audio.formats import SOUNDS
from speechbrain_c2ser.web.downloads import write_downloads
from speechbrain_c2ser.web.limits import MEGABYTE
from speechbrain_c2ser.web.listener import Listener
from speechbrain_c2ser.web.texts import LANGUAGES, preferred_language, text_of
from speechbrain_c2ser.web.views import error_view, result_view, table_view

WINDOW = 4.0  # seconds, as of `c2ser diarize`
SESSIONS = 100
logger = logging.getLogger(__name__)


class Page:
    """What the page's buttons do.

    Arguments
    ---------
    listener : Listener
        The models.
    folder : str | Path
        Where downloads are written.
    """

    def __init__(self, listener: Listener, folder: str | Path):
        self.listener, self.folder = listener, folder

    def one(
        self, path: str | None, window: float, words: bool, language: str
    ) -> list[str]:
        """A view of each model's answer to one recording.

        Arguments
        ---------
        path : str | None
            The upload; None = none yet.
        window : float
            Seconds at a time.
        words : bool
            Whether to describe where a model can.
        language : str
            Of the page.

        Returns
        -------
        list of str
            HTML, one for each model.
        """
        names = self.listener.names
        empty = [""] * (len(names) - 1)
        if not path:
            return [error_view(text_of(language)["nothing"]), *empty]
        try:
            name, wave = self.listener.read(path, Path(path).name)
        except Exception as error:
            return [error_view(_sentence(error, language)), *empty]
        views = []
        for model in names:
            try:
                record = self._ask(wave, name, model, window, words)
                views.append(result_view(record, wave, language))
            except Exception as error:
                views.append(error_view(_sentence(error, language), model))
        return views

    def many(
        self,
        paths: list[str] | None,
        model: str,
        window: float,
        words: bool,
        language: str,
        progress: Any = None,
    ) -> tuple:
        """A table of many recordings, and files of it.

        Arguments
        ---------
        paths : list of str | None
            The uploads.
        model : str
            Name of the model.
        window, words, language
            As in :meth:`one`.
        progress : callable | None
            ``(done, total)``.

        Returns
        -------
        tuple
            HTML; paths of CSV, JSON and TextGrids (None where there are none).
        """
        says, most = text_of(language), self.listener.limits.files
        if not paths:
            return error_view(says["nothing"]), None, None, None
        if len(paths) > most:
            said = says["too_many"].format(count=len(paths), files=most)
            return error_view(said), None, None, None
        rows: list[tuple[str, dict | str]] = []
        for number, path in enumerate(paths):
            if progress is not None:
                progress((number, len(paths)))
            name = Path(path).name
            try:
                name, wave = self.listener.read(path, name)
                found: dict | str = self._ask(wave, name, model, window, words)
            except Exception as error:
                found = _sentence(error, language)
            rows.append((name, found))
        records = [found for _, found in rows if not isinstance(found, str)]
        written = write_downloads(records, self.folder)
        return table_view(rows, language), *written

    def _ask(self, wave, name, model, window, words):
        words = words and self.listener.describes(model)
        # Words of their own do not overlap.
        hop = window if words else window / 2
        return self.listener.answer(wave, name, model, window, hop, words)


def _sentence(error, language):
    """What an expected error says; another one is for the log."""
    if isinstance(error, (ValueError, RuntimeError, OSError)):
        return " ".join(str(error).split())
    logger.exception("a recording failed")
    return text_of(language)["failed"]


def build_page(listener: Listener, folder: str | Path) -> Any:
    """The page as Gradio's blocks.

    Arguments
    ---------
    listener : Listener
        The models.
    folder : str | Path
        Where downloads are written.

    Returns
    -------
    gradio.Blocks
    """
    import gradio as gr

    page, says, limits = (
        Page(listener, folder),
        LANGUAGES["en"],
        listener.limits,
    )
    names = listener.names
    speaking = any(listener.describes(name) for name in names)
    script = files(__package__).joinpath("timeline.js").read_text("utf-8")
    silent: dict[str, Any] = {
        "api_visibility": "private",
        "queue": False,
        "show_progress": "hidden",
    }

    def head(language):
        words = text_of(language)
        about = words["about"].format(
            seconds=limits.seconds,
            size=limits.size / MEGABYTE,
            files=limits.files,
            minutes=limits.kept / 60,
        )
        return f'<h1>{words["title"]}</h1><p class="c2-about">{about}</p>'

    with gr.Blocks(analytics_enabled=False, title="c2ser") as blocks:
        title = gr.HTML(head("en"))
        language = gr.Radio(
            [("English", "en"), ("中文", "zh")],
            value="en",
            label="Language / 语言",
            elem_id="language",
        )
        with gr.Accordion(says["settings"], open=False) as settings:
            window = gr.Slider(1, 30, WINDOW, step=0.5, label=says["window"])
            words = gr.Checkbox(speaking, label=says["words"], visible=speaking)
        with gr.Tabs():
            with gr.Tab(says["one"], id="one") as one:
                audio = gr.Audio(
                    sources=["upload", "microphone"],
                    type="filepath",
                    editable=False,
                    buttons=["download"],  # not Gradio's sharing on a hub
                    label=says["recording"],
                    elem_id="recording",
                )
                listen = gr.Button(
                    says["listen"], variant="primary", elem_id="listen"
                )
                with gr.Row():
                    views = []
                    for _ in names:
                        with gr.Column(min_width=320):
                            views.append(gr.HTML(js_on_load=script))
            with gr.Tab(says["many"], id="many") as many:
                uploads = gr.File(
                    file_count="multiple",
                    file_types=["audio", *SOUNDS],
                    label=says["files_label"],
                    elem_id="files",
                )
                model = gr.Dropdown(
                    names,
                    value=names[0],
                    label=says["model"],
                    visible=len(names) > 1,
                )
                listen_all = gr.Button(
                    says["listen"], variant="primary", elem_id="listen-all"
                )
                table = gr.HTML(elem_id="table")
                with gr.Row():
                    downloads = [
                        gr.DownloadButton(form, elem_id=form, interactive=False)
                        for form in ("CSV", "JSON", "TextGrid")
                    ]

        def run_one(*given):
            found = page.one(*given)
            return found if len(found) > 1 else found[0]

        def run_many(paths, name, seconds, in_words, tongue, progress=None):
            html, *found = page.many(
                paths, name, seconds, in_words, tongue, progress
            )
            return [
                html,
                *(
                    gr.DownloadButton(value=path, interactive=bool(path))
                    for path in found
                ),
            ]

        def with_progress(
            paths,
            name,
            seconds,
            in_words,
            tongue,
            progress=gr.Progress(),  # noqa: B008
        ):
            return run_many(paths, name, seconds, in_words, tongue, progress)

        def translate(tongue):
            words_of = text_of(tongue)
            return [
                head(tongue),
                gr.Accordion(label=words_of["settings"]),
                gr.Slider(label=words_of["window"]),
                gr.Checkbox(label=words_of["words"]),
                gr.Tab(label=words_of["one"]),
                gr.Audio(label=words_of["recording"]),
                gr.Button(words_of["listen"]),
                gr.Tab(label=words_of["many"]),
                gr.File(label=words_of["files_label"]),
                gr.Dropdown(label=words_of["model"]),
                gr.Button(words_of["listen"]),
            ]

        def choose(request: gr.Request):
            return preferred_language(request.headers.get("accept-language"))

        translated = [
            title, settings, window, words, one, audio, listen, many, uploads,
            model, listen_all,
        ]  # fmt: skip
        listen.click(
            run_one,
            [audio, window, words, language],
            views,
            api_name="one",
        )
        listen_all.click(
            with_progress,
            [uploads, model, window, words, language],
            [table, *downloads],
            api_name="many",
        )
        language.change(translate, language, translated, **silent)
        blocks.load(choose, None, language, **silent)
    # Models take turns; programs and pages wait for the same one.
    blocks.queue(
        max_size=limits.waiting, default_concurrency_limit=limits.waiting
    )
    # Visitors whose state is kept in memory.
    blocks.state_session_capacity = SESSIONS
    return blocks


def forget_finished(blocks: Any) -> int:
    """Drop what the queue keeps of sessions that have nothing under way.

    Gradio keeps an entry of every session that ever asked, and the answers of
    two thousand that nobody fetched.

    Arguments
    ---------
    blocks : gradio.Blocks
        The page, in the thread of its event loop.

    Returns
    -------
    int
        Sessions that are forgotten.
    """
    queue = blocks._queue
    finished = [
        session
        for session, events in queue.pending_event_ids_session.items()
        if not events or session not in queue.pending_messages_per_session
    ]
    for session in finished:
        del queue.pending_event_ids_session[session]
        queue.pending_messages_per_session.pop(session, None)
    return len(finished)


def style() -> str:
    """The page's style sheet.

    Returns
    -------
    str
    """
    return files(__package__).joinpath("page.css").read_text("utf-8")
