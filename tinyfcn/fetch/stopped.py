"""Ctrl-C during a download."""


class DownloadStopped(KeyboardInterrupt):
    """Ctrl-C during a download that continues when it is next asked for; the message says so."""
