"""Print environment.yml, made of pyproject.toml and the pins of requirements.lock."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def environment_yml(pyproject: str, requirements: str) -> str:
    """Return the conda environment: its Python range, then every locked package by pip."""
    python = tomllib.loads(pyproject)["project"]["requires-python"]
    pins = re.findall(r"^(\S+==[^\\\n]*?) *\\?$", requirements, re.MULTILINE)
    lines = [f'      - "{pin}"' for pin in [*pins, "-e ."]]
    return "\n".join(
        [
            "# Written by `make lock` from pyproject.toml and requirements.lock; do not edit.",
            "# conda env create -f environment.yml && conda activate kidneyct",
            "name: kidneyct",
            "channels: [conda-forge]",
            "dependencies:",
            f'  - "python {python}"',
            "  - pip",
            "  - pip:",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    print(
        environment_yml(
            (ROOT / "pyproject.toml").read_text(), (ROOT / "requirements.lock").read_text()
        ),
        end="",
    )
