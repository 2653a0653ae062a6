"""The one catalogue of words: every sentence said to a person, Vietnamese first, English beside it.

A sentence is written in Vietnamese where it is said and marked with `N_` (or stands in a template); `locale/en.po`
holds its English. A test fails when one is missing there, or stands there and is said nowhere.
"""

from __future__ import annotations

import gettext
import io
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = ("vi", "en")
LOCALE = Path(__file__).parent / "locale"


def N_(sentence: str) -> str:
    """Marks a sentence for the catalogue and gives it back unchanged."""
    return sentence


@cache
def translations(language: str) -> gettext.NullTranslations:
    """Vietnamese is the language of the source, so it needs no file. Unknown languages get Vietnamese."""
    if language != "en":
        return gettext.NullTranslations()
    with (LOCALE / "en.po").open("rb") as file:
        catalogue = read_po(file, locale="en")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def say(sentence: str, language: str, **data: object) -> str:
    """The sentence in the language, its `%(name)s` filled from `data`."""
    spoken = translations(language).gettext(sentence)
    return spoken % data if data else spoken
