"""TextBlob: sentiment by the lexicon of pattern.en (De Smedt and Daelemans 2012), inside a Python package. A second opinion to VADER's."""

from __future__ import annotations

from typing import ClassVar

from bench.classifiers import packaged
from bench.classifiers.packaged import TEXTBLOB, Library, PackagedConfig, Version


class Config(PackagedConfig):
    """The labels are `negative` and `positive`."""

    library: ClassVar[Library] = TEXTBLOB
    version: Version = "0.20.1"


build = packaged.build
