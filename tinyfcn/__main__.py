"""`python -m tinyfcn` is the command `tinyfcn`."""
import sys

from .cli import main

sys.exit(main())
