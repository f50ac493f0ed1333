"""One metric a file: `Config`, `columns`, `signature`, `score`, and `EXAMPLES` whose values come from outside."""
