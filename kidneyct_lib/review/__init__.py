"""What a branch changes and what that did to results: one page, and five lines of it as text."""

from pathlib import Path

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import replacement
from kidneyct_lib.review import page, summary
from kidneyct_lib.review.collect import Review


def write(review: Review, output: Path, markdown: Path | None = None) -> None:
    """Write a review's page, and its first screen as Markdown where a file is named for it.

    The Markdown is added to what the file holds, as a job's summary wants it.

    Raises
    ------
    StudyError
        If a file can't be written.
    """
    content = page.render(review)
    try:
        with replacement(output) as temporary:
            temporary.write_text(content, encoding="utf-8")
        if markdown:
            markdown.parent.mkdir(parents=True, exist_ok=True)
            with markdown.open("a", encoding="utf-8") as file:
                file.write(summary.markdown(review))
    except OSError as error:
        raise StudyError(f"The review could not be written: {error}") from error
