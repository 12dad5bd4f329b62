"""Pictures and their labels: read, checked, made ready for a net."""
