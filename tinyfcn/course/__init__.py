"""What the lessons use: exercises that check an answer, traces of an op, and their player."""
