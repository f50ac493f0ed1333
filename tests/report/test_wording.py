"""A report of other texts than dialogues does not call them so, and leaves alone what is not its own words."""

from __future__ import annotations

from bench.report import wording


def test_words_change_and_code_links_pictures_and_what_others_wrote_do_not() -> None:
    page = (
        '<summary>Dialogues</summary> and `dialogues`, a summary\'s [summary](summary.md) <img alt="summary">. A dialogue.\n'
        "| dialogue | summaries |\nSummarize each Dialogue: the dialogue | of another\n"
    )
    told = wording.of_examples(page, ["the dialogue | of another", ""])
    assert told == (
        '<summary>Examples</summary> and `dialogues`, an answer\'s [answer](summary.md) <img alt="summary">. An example.\n'
        "| example | answers |\nSummarize each Example: the dialogue | of another\n"
    )
