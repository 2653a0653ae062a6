"""Prepare + sign + complete, against pyHanko's own signer over the same key of the same token: this file measures it.

Both ask one SoftHSM token over one session and one time-stamp authority in this process; they take turns. The judge of our own
work, the store and HTTP are not part of it (the service's bench has them). `--large` also signs a file of 1 GB and tells
the largest memory of that process.
"""

from __future__ import annotations
