"""Templates of the HTML pages that packages of this library keep in their folder `page`."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_templates(package: str) -> Environment:
    """Templates of a package: values are escaped, and a name that is not given is an error."""
    return Environment(
        loader=PackageLoader(package, "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
