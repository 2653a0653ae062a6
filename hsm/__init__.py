"""The ground: keys we may use but never see. `key.py` holds the promises; read it first."""
