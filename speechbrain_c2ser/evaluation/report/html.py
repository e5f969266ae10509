"""A Markdown report as one HTML file, pictures within it.

Labels, names and answers come from elsewhere: no markup of theirs is kept, and
nothing is loaded from anywhere.
"""

import base64
import html
from pathlib import Path

STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto;
  padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0; font-size: 0.9em }
td, th { border-bottom: 1px solid #ddd; padding: 0.25em 0.7em }
th { border-bottom: 2px solid #888 }
img { max-width: 100% }
"""
# Patterns of Markdown that could point elsewhere.
LINKS = (
    "reference",
    "link",
    "image_link",
    "image_reference",
    "short_reference",
    "short_image_ref",
    "autolink",
    "automail",
    "html",
)


def as_html(text: str, title: str, pictures: list[Path] = ()) -> str:
    """Turn a report into a page that stands alone.

    Arguments
    ---------
    text : str
        Markdown: headings, lists, tables; links and HTML stay as text.
    title : str
        Of the page.
    pictures : list of Path
        PNG files, shown behind the text.

    Returns
    -------
    str

    Raises
    ------
    ImportError
        Without the package markdown.

    Example
    -------
    >>> page = as_html("# A <b>report</b>", "A report")
    >>> "<h1>A &lt;b&gt;report&lt;/b&gt;</h1>" in page
    True
    """
    import markdown

    converter = markdown.Markdown(extensions=["tables", "sane_lists"])
    for name in LINKS:
        if name in converter.inlinePatterns:
            converter.inlinePatterns.deregister(name)
    body = converter.convert(html.escape(text, quote=False))
    figures = "\n".join(_figure(path) for path in pictures)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n{figures}\n</body>\n</html>\n"
    )


def _figure(path):
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    name = html.escape(path.stem, quote=True)
    return f'<p><img alt="{name}" src="data:image/png;base64,{data}"></p>'
