"""`python -m tinyfcn` is the command `tinyfcn`."""
import sys


def main() -> int:
    """Run the command line; Ctrl-C is quiet also while its modules are imported."""
    try:
        from .cli import main as run
        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
