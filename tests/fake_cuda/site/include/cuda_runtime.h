// CuPy looks for this file. Where it is missing, a new process looks for it, which takes a second.
