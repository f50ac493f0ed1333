"""Published claims held against what their own figures carry."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).resolve().parent / "papers"
