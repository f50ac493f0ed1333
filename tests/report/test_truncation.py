"""What the token limits cut off."""

from __future__ import annotations

from bench import report
from bench.core import parameters, paths, storage
from tests.report.toy import section_of


def test_what_the_limits_cut_off_is_counted_by_variant_and_by_split(study: parameters.Params) -> None:
    rows = storage.read_predictions("ppo")
    cut = [row.model_copy(update={"hit_limit": k < 6, "source_truncated": k < 3}) for k, row in enumerate(rows)]
    samples = [row.model_copy(update={"output": "sample", "hit_limit": k == 0}) for k, row in enumerate(rows)]
    storage.write_rows(paths.predictions_path("ppo"), [*cut, *samples])
    report.build(study)
    text = section_of((paths.report_dir("toy") / "report.md").read_text(), "Limits")
    assert "does not fit into 512 tokens" in text and "ended after 128 tokens" in text
    cells = {tuple(part.strip() for part in line.strip("|").split("|")) for line in text.splitlines() if "|" in line}
    assert ("ppo", "24", "3 (12.5 %)", "6 (25.0 %)", "1 (4.2 %)") in cells
    assert ("dpo", "24", "0 (0.0 %)", "0 (0.0 %)", "–") in cells
    assert ("train", "base", "12,426", "621 (5.0 %)", "3 (0.02 %)", "34") in cells
