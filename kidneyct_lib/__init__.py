"""Helper library of the kidney CT study; the notebooks are its callers."""

__version__ = "0.1.0"
