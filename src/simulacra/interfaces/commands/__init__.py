"""One file is one command: its docstring is the help, EXAMPLES and POSITION list it, `arguments` adds flags, `run` runs it."""
