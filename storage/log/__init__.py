"""The audit trail (P4): `records.py` writes it down, `sequencer.py` numbers and chains it, `check.py` holds it against
what is known outside, `merkle.py` is the tree."""
