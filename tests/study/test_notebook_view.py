"""How notebooks show pictures and tables."""

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

from kidneyct_lib.study import figure_texts, notebook_view


def test_a_picture_has_its_text_and_stays_within_its_cell():
    html = notebook_view.Shown(b"\x89PNG", 'wider than "high" & so on', 511)._repr_html_()
    assert html.startswith('<img alt="wider than &quot;high&quot; &amp; so on" width="511" ')
    assert 'src="data:image/png;base64,iVBORw=="' in html
    assert "max-width: 100%" in html


def test_a_long_table_is_whole_and_scrolls():
    html = notebook_view.scrolling(pd.DataFrame({"x": range(200)}))
    assert html.startswith('<div style="max-height:')
    assert "overflow: auto" in html
    assert html.count("<tr") == 201


def test_a_table_beyond_measure_is_cut_in_the_middle():
    html = notebook_view.scrolling(pd.DataFrame({"x": range(5000)}))
    assert html.count("<tr") < notebook_view.MOST_ROWS + 3
    assert "<td>4999</td>" in html


def test_a_running_notebook_shows_every_table_so(monkeypatch):
    shell = InteractiveShell()
    monkeypatch.setattr(notebook_view, "get_ipython", lambda: shell)
    table = pd.DataFrame({"x": range(3)})
    show = shell.display_formatter.format
    assert "overflow: auto" not in show(table)[0]["text/html"]
    notebook_view.scroll_tables()
    assert "overflow: auto" in show(table)[0]["text/html"]


def test_without_a_notebook_nothing_happens(monkeypatch):
    monkeypatch.setattr(notebook_view, "get_ipython", lambda: None)
    notebook_view.scroll_tables()


def test_texts_of_figures_say_what_is_seen_in_plain_words():
    for name, text in figure_texts.every().items():
        assert {"alt", "caption"} <= set(text), name
        assert len(text["alt"]) > 30, name
        assert "{" not in text["alt"], name
        assert figure_texts.of(name) == text


def test_a_figure_without_texts_is_called_by_its_notebook_and_name():
    text = figure_texts.of("11_new__odd_ones")
    assert text["alt"] == "Figure “odd ones” of notebook 11_new."
    assert text["caption"] == "Odd ones"
