"""The verbs of the command `antin`, one module each; `cli.py` is the door."""
