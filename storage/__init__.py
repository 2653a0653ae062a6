"""The ground: bytes that never change (`store.py`) and facts that do (`database.py`, `schema.py`)."""
