"""One file, one command: its docstring is its help, `arguments` adds its flags, `run` does it and returns the exit code."""
