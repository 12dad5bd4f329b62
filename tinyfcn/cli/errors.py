"""Messages for errors that Python or the system raises."""
NO_THREAD = "can't start new thread"                    # the text of a RuntimeError


def is_shortage(error: Exception) -> bool:
    """Whether an error may come of too little memory; any other is a mistake in this program."""
    if isinstance(error, ImportError):
        return not (error.name or '').startswith('tinyfcn')
    return isinstance(error, MemoryError) or str(error) == NO_THREAD


def describe_error(error: Exception) -> str:
    """The message of an error; one of the system's in the form 'file: what is wrong'.

    >>> describe_error(FileNotFoundError(2, 'No such file or directory', 'x.png'))
    'x.png: No such file or directory'
    """
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    return str(error)


def describe_shortage(error: Exception) -> str:
    """What to do where memory is short; it shows in an array, in a library or in a thread."""
    reason = f': {error}' if str(error) else ''
    if isinstance(error, ImportError):
        return (f'a library cannot be loaded{reason}. Allow more memory (ulimit -v), or install it '
                f'again')
    if isinstance(error, RuntimeError):
        return f'not enough memory{reason}. Allow more (ulimit -v), or set TINYFCN_THREADS=1'
    return (f'not enough memory{reason}. Use smaller images; in training also smaller crops and '
            f'batches, as in --set batch=1 crop_size="(256, 256)"')
