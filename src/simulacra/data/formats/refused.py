"""The reason why a file is not read as an image."""


class Refused(Exception):
    """A file that is not read; the text is the reason, the same for all files of its kind."""
