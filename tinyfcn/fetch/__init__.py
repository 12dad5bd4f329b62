"""Fetching large files: downloaded from mirrors, verified by checksum, unpacked safely."""
