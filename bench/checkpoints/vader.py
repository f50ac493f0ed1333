"""VADER: sentiment by a lexicon and rules, inside a Python package. A reward or a judge that needs no download."""

from __future__ import annotations

from typing import ClassVar

from bench.classifiers import packaged
from bench.classifiers.packaged import VADER, Library, PackagedConfig, Version


class Config(PackagedConfig):
    """The labels are `negative` and `positive`."""

    library: ClassVar[Library] = VADER
    version: Version = "3.3.2"


build = packaged.build
