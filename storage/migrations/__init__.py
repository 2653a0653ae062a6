"""The schema's history: `versions/` holds one explicit step per file, `draft.py` writes the next one down."""
