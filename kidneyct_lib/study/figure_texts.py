"""What is seen in each figure of a study and what to learn from it, for notebooks and report."""

from functools import cache
from importlib.resources import files

import yaml


@cache
def every() -> dict[str, dict[str, str]]:
    """Texts of `figures.yaml`, by "<notebook>__<figure>", in its order."""
    return yaml.safe_load((files(__package__) / "figures.yaml").read_text("utf-8"))


def of(stem: str) -> dict[str, str]:
    """Texts of one figure, called by its notebook and name where it has none of its own."""
    notebook, _, what = stem.rpartition("__")
    what = what.replace("_", " ")
    unknown = {"alt": f"Figure “{what}” of notebook {notebook}.", "caption": what.capitalize()}
    return unknown | every().get(stem, {})
