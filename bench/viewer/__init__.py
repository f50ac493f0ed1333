"""One HTML file a study with every summary to read: what each system wrote of each dialogue, beside references and scores.

The page is a file of its own: no server, no network, no library. `contents` gathers what it shows, `document` puts that
together with the HTML, style and scripts of `page/`.
"""

from __future__ import annotations

from bench.core import paths
from bench.core.parameters import Params
from bench.core.schema import UserError


def build(params: Params) -> str:
    """Make the page of a study from what its stages and its report left; returns HTML.

    Raises:
        UserError: there is no report, it is of other scores than those that lie here, or a file of the study is missing,
            broken or not about the test split.
    """
    from bench.report import inputs
    from bench.viewer import contents, document

    path = paths.report_dir(params.study) / "metrics.json"
    if not path.exists():
        raise UserError(f"{path} does not exist; run `dvc repro` to make the report first.")
    study = inputs.read(params)
    shown = contents.contents(study, contents.read_metrics(path, study))
    return document.page(shown, contents.rows_are_dialogues(params))
