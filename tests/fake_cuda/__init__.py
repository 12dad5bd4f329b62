"""The real CuPy over a stand-in driver, for tests without a GPU; see README.md."""
