"""The documentation at run time: its pages and sections, the topics that they explain, and their text in a terminal."""
