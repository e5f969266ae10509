"""HTML of a result: bars, waveform, timeline, what is behind a moment.

All text is escaped: a model's words and a file's name are a stranger's.
"""

from html import escape
from itertools import cycle

import torch

from speechbrain_c2ser.labels import LabelSpace
from speechbrain_c2ser.web.texts import text_of

# Told apart in the usual colour blindnesses (Okabe and Ito 2008), by the
# concept where it is known: a happy face is never red.
COLOURS = {
    "angry": "#d55e00",
    "happy": "#e69f00",
    "sad": "#0072b2",
    "neutral": "#8a8f98",
    "fear": "#7b4fb5",
    "surprise": "#009e73",
    "disgust": "#7a8b00",
}
KIN = {"fearful": "fear", "surprised": "surprise", "disgusted": "disgust"}
OTHERS = ("#cc79a7", "#56b4e9", "#8c564b", "#17807e", "#b8336a", "#5b6ee1")
BINS = 300  # columns of a waveform


def colours_of(labels: list[str]) -> dict[str, str]:
    """A colour for each label, always the same for the usual ones.

    Arguments
    ---------
    labels : list of str
        The labels.

    Returns
    -------
    dict
        Label -> colour.

    Example
    -------
    >>> colours_of(["happy", "mine"])
    {'happy': '#e69f00', 'mine': '#cc79a7'}
    """
    others = cycle(OTHERS)
    colours = {}
    for label in labels:
        known = COLOURS.get(KIN.get(label, label))
        colours[label] = known or next(others)
    return colours


def result_view(record: dict, wave: torch.Tensor, language: str = "en") -> str:
    """A result as HTML.

    Arguments
    ---------
    record : dict
        As of ``result_schema``.
    wave : torch.Tensor
        [T] at 16 kHz, what was heard.
    language : str
        Of the page.

    Returns
    -------
    str
    """
    says = text_of(language)
    names = names_of(record["labels"], language)
    colours = colours_of(record["labels"])
    label = record["label"]
    calibrated = says["calibrated" if record["calibrated"] else "raw"]
    return (
        f'<section class="c2-view" aria-label="{escape(record["model"])}">'
        f"<h3>{escape(record['model'])}</h3>"
        f'<p class="c2-head"><b style="border-color:{colours[label]}">'
        f"{escape(names[label])}</b> {record['score']:.0%} "
        f"<small>{calibrated}</small></p>"
        f"{_bars(record, names, colours)}"
        f"{_timeline(record, wave, names, colours, says)}"
        f"{_words(record, says)}</section>"
    )


def error_view(message: str, model: str = "") -> str:
    """An error as HTML.

    Arguments
    ---------
    message : str
        One sentence.
    model : str
        Whose.

    Returns
    -------
    str

    Example
    -------
    >>> error_view("<b>")
    '<p class="c2-error" role="alert">&lt;b&gt;</p>'
    """
    head = f"<b>{escape(model)}</b>: " if model else ""
    return f'<p class="c2-error" role="alert">{head}{escape(message)}</p>'


def table_view(rows: list[tuple[str, dict | str]], language: str = "en") -> str:
    """Results of many recordings as an HTML table.

    Arguments
    ---------
    rows : list of (str, dict | str)
        Name, and a result or what went wrong.
    language : str
        Of the page.

    Returns
    -------
    str
    """
    says = text_of(language)
    heads = ("file", "emotion", "probability", "seconds", "timeline")
    cells = "".join(f'<th scope="col">{says[head]}</th>' for head in heads)
    lines = []
    for name, found in rows:
        first = f'<th scope="row">{escape(name)}</th>'
        if isinstance(found, str):
            lines.append(
                f'<tr>{first}<td colspan="4" class="c2-error">'
                f"{escape(found)}</td></tr>"
            )
            continue
        names = names_of(found["labels"], language)
        strip = _strip(found, names, colours_of(found["labels"]), "span")
        lines.append(
            f"<tr>{first}<td>{escape(names[found['label']])}</td>"
            f"<td>{found['score']:.3f}</td><td>{found['end']:.2f}</td>"
            f'<td><div class="c2-strip">{strip}</div></td></tr>'
        )
    done = sum(not isinstance(found, str) for _, found in rows)
    count = says["done"].format(done=done, failed=len(rows) - done)
    return (
        f'<p role="status">{count}</p><div class="c2-scroll"><table '
        f'class="c2-table"><thead><tr>{cells}</tr></thead><tbody>'
        f"{''.join(lines)}</tbody></table></div>"
    )


def names_of(labels: list[str], language: str) -> dict[str, str]:
    """Labels in the words of a language, beside their own names.

    Arguments
    ---------
    labels : list of str
        The labels.
    language : str
        Of the page.

    Returns
    -------
    dict
        Label -> its name.

    Example
    -------
    >>> names_of(["happy"], "zh"), names_of(["happy"], "en")
    ({'happy': '高兴 (happy)'}, {'happy': 'happy'})
    """
    if language == "en":
        return {label: label for label in labels}
    space = LabelSpace(labels)
    words = {label: space.surface(label, language) for label in labels}
    return {
        label: f"{word} ({label})" if word != label else label
        for label, word in words.items()
    }


def _bars(record, names, colours):
    probabilities = record["probabilities"]
    ordered = sorted(probabilities, key=probabilities.get, reverse=True)
    return '<ul class="c2-bars">{}</ul>'.format(
        "".join(
            f"<li><span>{escape(names[label])}</span>"
            f'<i><u style="width:{probabilities[label]:.2%};'
            f'background:{colours[label]}"></u></i>'
            f"<span>{probabilities[label]:.1%}</span></li>"
            for label in ordered
        )
    )


def _timeline(record, wave, names, colours, says):
    end = max(record["end"], 1e-3)
    strip = _strip(record, names, colours, "button")
    moments = "".join(
        _moment(number, segment, names, says)
        for number, segment in enumerate(record["segments"])
    )
    return (
        f'<div class="c2-time" data-seconds="{end:.3f}">{_waveform(wave)}'
        f'<div class="c2-strip" role="group" aria-label="{says["timeline"]}">'
        f"{strip}</div></div>"
        f'<div class="c2-scale"><span>0 s</span><span>{end:.1f} s</span></div>'
        f'<div aria-live="polite"><p class="c2-hint">{says["click"]}</p>'
        f"{moments}</div>"
    )


def _waveform(wave):
    bins = min(BINS, len(wave))
    step = len(wave) / bins
    edges = [round(number * step) for number in range(bins + 1)]
    peaks = [
        float(wave[a:b].abs().max())
        for a, b in zip(edges, edges[1:], strict=False)
    ]
    loudest = max(*peaks, 1e-6) if len(peaks) > 1 else max(peaks[0], 1e-6)
    heights = [max(1.0, 48 * peak / loudest) for peak in peaks]
    path = "".join(
        f"M{x + 0.5} {50 - h:.1f}v{2 * h:.1f}" for x, h in enumerate(heights)
    )
    return (
        f'<svg viewBox="0 0 {bins} 100" preserveAspectRatio="none" '
        f'aria-hidden="true"><path d="{path}"/></svg>'
    )


def _strip(record, names, colours, tag):
    """Segments in their places; colour = emotion, opacity = probability."""
    end, parts = max(record["end"], 1e-3), []
    for number, segment in enumerate(record["segments"]):
        label = segment["label"]
        start, stop = segment["start"], segment["end"]
        score = segment["probabilities"][label]
        says = escape(f"{start:.1f}–{stop:.1f} s: {names[label]}, {score:.0%}")
        more = ""
        if tag == "button":
            more = (
                f' type="button" aria-pressed="false" data-n="{number}" '
                f'data-start="{start}" data-end="{stop}" aria-label="{says}"'
            )
        parts.append(
            f'<{tag}{more} title="{says}" style="left:{start / end:.3%};'
            f'width:{(stop - start) / end:.3%}"><i style="background:'
            f'{colours[label]};opacity:{score:.3f}"></i></{tag}>'
        )
    return "".join(parts)


def _moment(number, segment, names, says):
    """What is behind a segment, hidden until it is asked for."""
    label = segment["label"]
    rows = [
        (says["time"], f"{segment['start']:.2f}–{segment['end']:.2f} s"),
        (
            says["emotion"],
            f"{names[label]}, {segment['probabilities'][label]:.1%}",
        ),
        *_details(segment, says),
    ]
    return (
        f'<dl class="c2-moment" data-moment="{number}" hidden>{_dl(rows)}</dl>'
    )


def _details(part, says):
    if part.get("style"):
        style = "; ".join(f"{k}: {v}" for k, v in part["style"].items() if v)
        yield says["style"], style or "–"
    if part.get("content"):
        yield says["content"], part["content"]
    if part.get("text"):
        yield says["reasoning"], part["text"]


def _dl(rows):
    return "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in rows
    )


def _words(record, says):
    rows = list(_details(record, says))
    if not rows or len(record["windows"]) > 1:
        return ""  # longer recordings have their words at each moment
    return f"<dl>{_dl(rows)}</dl>"
