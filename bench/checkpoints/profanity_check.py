"""alt-profanity-check: a linear model over hashed words, inside a Python package. A judge that needs no download."""

from __future__ import annotations

from typing import ClassVar

from bench.classifiers import packaged
from bench.classifiers.packaged import PROFANITY, Library, PackagedConfig, Version


class Config(PackagedConfig):
    """The labels are `clean` and `profane`."""

    library: ClassVar[Library] = PROFANITY
    version: Version = "1.9.1"


build = packaged.build
