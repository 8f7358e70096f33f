"""The commit at which a branch left its base, and the project's files as they stood there."""

import io
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from kidneyct_lib.core.errors import StudyError

_FIND = "tools/review_base.sh"


@dataclass(frozen=True)
class Checkout:
    """A git checkout of the project, seen from where its branch began.

    Attributes
    ----------
    root
        The project's root.
    base_name, base
        The branch to compare with, as it was asked for, and the commit at which HEAD left it.
    branch, head
        Name of the current branch ("" where HEAD is detached), and its last commit.
    """

    root: Path
    base_name: str
    base: str
    branch: str
    head: str

    def changed_files(self) -> list[str]:
        """Paths that differ between the base and the working tree, new files included."""
        tracked = self._git("diff", "--name-only", "--no-renames", "-z", "--relative", self.base)
        new = self._git("ls-files", "--others", "--exclude-standard", "-z")
        return sorted({path for path in (tracked + new).decode().split("\0") if path})

    def before(self, path: str) -> str | None:
        """Text of a file at the base; None where the base has none."""
        if not self._git("ls-tree", "--name-only", self.base, "--", path):
            return None
        return self._git("show", f"{self.base}:./{path}").decode(errors="replace")

    def after(self, path: str) -> str | None:
        """Text of a file in the working tree; None where there is none."""
        file = self.root / path
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None

    def extract(self, folder: str, target: Path) -> Path | None:
        """Write a folder as it is at the base below `target`; None where the base has none."""
        if not self._git("ls-tree", "--name-only", self.base, "--", folder):
            return None
        content = self._git("archive", self.base, "--", folder)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(target, filter="data")
        return target / folder

    def _git(self, *arguments: str) -> bytes:
        return _git(self.root, *arguments)


def find(root: Path, base: str) -> Checkout:
    """Find where the current branch of the project left `base`, in whatever kind of clone.

    Raises
    ------
    StudyError
        If git is missing, the project is no checkout, or the base can't be found; the message says
        what to do.
    """
    if not (root / _FIND).is_file():
        raise StudyError(f"{root / _FIND} is missing: a review needs a checkout of the project.")
    _git(root, "rev-parse", "--git-dir")
    command = ["sh", _FIND]
    done = subprocess.run(
        command, cwd=root, env=os.environ | {"BASE": base}, capture_output=True, text=True
    )
    if done.returncode:
        raise StudyError(done.stderr.strip().removeprefix("make review: ") or "git gave no base")
    branch = _git(root, "branch", "--show-current").decode().strip()
    head = _git(root, "rev-parse", "HEAD").decode().strip()
    return Checkout(root, base, done.stdout.strip(), branch, head)


def _git(root: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True)
    except FileNotFoundError:
        raise StudyError("git is not installed; a review needs it to read the base.") from None
    except subprocess.CalledProcessError as error:
        why = error.stderr.decode(errors="replace").strip()
        raise StudyError(f"git can't read this checkout's history ({why})") from None
    return done.stdout
