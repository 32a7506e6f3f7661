"""The built-in model: a few million parameters that mend single lines of Python, and the one form in which it works."""
