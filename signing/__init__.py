"""The craft: making evidence (`pades.py`), dating it (`timestamping/`), judging it (`verification/`)."""
