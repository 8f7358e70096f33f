"""Sphinx settings of the site that `make site` builds (tools/site/build.py)."""

import kidneyct_lib

project = "kidneyct"
version = release = kidneyct_lib.__version__
copyright = "the kidneyct maintainers, MIT licence"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.githubpages",  # that host would else leave out folders that begin with _
    "sphinx.ext.napoleon",
]

html_theme = "furo"
html_title = "kidneyct"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_extra_path = ["_extra"]
html_copy_source = False
exclude_patterns = ["_extra", "_static"]

# Pages are those that the run left behind: nothing is executed here.
nb_execution_mode = "off"
nb_output_stderr = "remove"  # progress bars, and paths of the machine

# Links to headings of a Markdown page, as a code host makes them.
myst_heading_anchors = 3

# Names in docstrings stand in single backquotes.
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Result"]

# scikit-learn adds these methods to its estimators, with references into its own docs.
autodoc_default_options = {
    "exclude-members": "set_fit_request, set_predict_proba_request, set_score_request"
}
# The phantom's package passes on names of its modules: a type of them is found twice.
suppress_warnings = ["ref.python"]


def tell_results_in_words(app, what, name, obj, options, lines):
    """Rename a section `Returns` that holds sentences: napoleon would take each line for a type."""
    for at, line in enumerate(lines[:-2]):
        if line.strip() == "Returns" and set(lines[at + 1].strip()) == {"-"}:
            section = lines[at + 2 :]
            end = next((k for k, text in enumerate(section) if not text.strip()), len(section))
            if len(section[0].split()) > 3 or not any(t.startswith(" ") for t in section[:end]):
                lines[at : at + 2] = ["Result", "------"]
            return


def setup(app):
    """Look at docstrings before napoleon does, whose priority is 500."""
    app.connect("autodoc-process-docstring", tell_results_in_words, priority=400)
