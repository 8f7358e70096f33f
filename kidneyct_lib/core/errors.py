"""Errors that a user can mend."""


class StudyError(Exception):
    """A problem outside the code; its message says what is wrong and what to do.

    The command line prints the message alone, without a traceback.
    """


class ImageError(StudyError):
    """A file that can't be used as an image; the message says what is wrong and what to do."""
