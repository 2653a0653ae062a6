"""The office: official documents and their life. Read `sign_document.py` first."""
