"""What goes wrong on a user's machine, as one sentence that says what to do."""


class Problem(Exception):  # noqa: N818  # it is told to a person as it is, "error" would say nothing
    """Something the user can mend; the text is one clear sentence, shown without a traceback."""
