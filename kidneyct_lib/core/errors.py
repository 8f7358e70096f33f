"""The one kind of error that a user can mend."""


class StudyError(Exception):
    """A problem outside the code; its message says what is wrong and what to do.

    The command line prints the message alone, without a traceback.
    """
