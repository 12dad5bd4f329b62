"""Markdown for RESULTS.md."""


def table(header, rows):
    """Lines of Markdown, and an empty one."""
    yield '| ' + ' | '.join(header) + ' |'
    yield '|' + ' --- |' * len(header)
    for row in rows:
        yield '| ' + ' | '.join(map(str, row)) + ' |'
    yield ''
