"""Ctrl-C during a download."""


class DownloadStopped(KeyboardInterrupt):
    """Ctrl-C interrupted a download, which continues when the file is next requested."""
