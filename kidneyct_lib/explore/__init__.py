"""A finished run, explored by hand in JupyterLab: panels of widgets, and their numbers."""
