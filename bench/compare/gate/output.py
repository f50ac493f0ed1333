"""The gate's outcome as terminal table, Markdown, JSON and JUnit XML; a refusal has all four forms too."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from bench.compare.gate.verdicts import Outcome, Verdict
from bench.core.terminal import single_line
from bench.report.markdown import cell, table

# What XML 1.0 cannot hold, not even escaped.
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HEADERS = ("variant", "measure", "verdict", "before", "now", "change", "why")
REFUSED = "NOT COMPARABLE"


def terminal(outcome: Outcome) -> str:
    """Format a table for people at a terminal, and the outcome in one line."""
    from tabulate import tabulate

    rows = [_row(verdict) for verdict in _judged(outcome)]
    body = tabulate(rows, HEADERS, tablefmt="simple", disable_numparse=True)
    return "\n".join([*([body, ""] if rows else []), *_notes(outcome), _summary(outcome)])


def markdown(outcome: Outcome) -> str:
    """Format for a pull request."""
    rows = []
    for verdict in _judged(outcome):
        variant, measure, word, before, now, change, why = _row(verdict)
        shown = f"**{word}**" if word == "FAIL" else word
        rows.append([cell(variant), cell(measure), shown, _bare(before), _bare(now), _bare(change), cell(why)])
    parts = [
        f"### Gate: {outcome.word}",
        f"`{cell(outcome.study)}`, {cell(outcome.after)} against {cell(outcome.before)}, rule {outcome.rule}.",
        table(HEADERS, rows, align="lllrrrl"),
        "\n".join(f"- {cell(note)}" for note in _notes(outcome)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(outcome: Outcome) -> str:
    """Format everything for machines; a number that does not exist is null."""
    value = {
        "outcome": outcome.word,
        "exit_code": outcome.exit_code,
        "study": outcome.study,
        "before": outcome.before,
        "after": outcome.after,
        "rule": outcome.rule,
        "strict": outcome.strict,
        "verdicts": [
            {"variant": each.variant, "measure": each.measure, "verdict": each.word, "reason": each.reason}
            | {key: _finite(number) for key, number in each.details.items()}
            for each in outcome.verdicts
        ],
        "notes": outcome.notes,
    }
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def junit(outcome: Outcome) -> str:
    """Format JUnit XML as CI systems read it: a suite a variant, a case a measure; what is not compared counts as skipped."""
    suites = ElementTree.Element("testsuites", name=f"bench gate {_xml(outcome.study)}")
    for variant in dict.fromkeys(each.variant for each in outcome.verdicts):
        own = [each for each in outcome.verdicts if each.variant == variant]
        fails = [each for each in own if _fails(each, outcome.strict)]
        skips = [each for each in own if each not in fails and each.word not in ("PASS", "FAIL")]
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=_xml(variant),
            tests=str(len(own)),
            failures=str(len(fails)),
            errors="0",
            skipped=str(len(skips)),
        )
        for each in own:
            case = ElementTree.SubElement(suite, "testcase", classname=_xml(variant), name=_xml(each.measure))
            said = _xml(f"{each.word}: {each.reason}")
            if each in fails:
                ElementTree.SubElement(case, "failure", message=said).text = _xml(f"{each.before} -> {each.after}")
            elif each in skips:
                ElementTree.SubElement(case, "skipped", message=said)
    return _document(suites)


def refusal(sentence: str) -> dict[str, str]:
    """Format `not comparable` in each form, by its name: a missing file must not read as a passed gate."""
    suites = ElementTree.Element("testsuites", name="bench gate")
    suite = ElementTree.SubElement(suites, "testsuite", name="gate", tests="1", failures="0", errors="1", skipped="0")
    case = ElementTree.SubElement(suite, "testcase", classname="gate", name="comparable")
    ElementTree.SubElement(case, "error", message=_xml(sentence))
    return {
        "markdown": f"### Gate: {REFUSED}\n\n{cell(sentence)}\n",
        "json": json.dumps({"outcome": REFUSED, "exit_code": 2, "reason": single_line(sentence)}, indent=2) + "\n",
        "junit": _document(suites),
    }


def _judged(outcome: Outcome) -> Sequence[Verdict]:
    """What gets a line of its own, the worst first; what passed without a margin to look at is only counted."""
    order = ("FAIL", "INCONCLUSIVE", "PASS")
    shown = [each for each in outcome.verdicts if each.word in order and not _counted(outcome, each)]
    return sorted(shown, key=lambda each: order.index(each.word))


def _counted(outcome: Outcome, verdict: Verdict) -> bool:
    return verdict.word == "PASS" and (outcome.rule == "same-predictions" or not verdict.is_score)


def _row(verdict: Verdict) -> list[str]:
    shown = (
        verdict.variant,
        verdict.measure,
        verdict.word,
        verdict.before,
        verdict.after,
        verdict.change,
        verdict.reason,
    )
    return [single_line(text) for text in shown]


def _bare(text: str) -> str:
    """A number of our own making, whose brackets need no escape; whatever else it may be is made safe."""
    return text if set(text) <= set("+-0123456789., []xkMGBe–") else cell(text)


def _notes(outcome: Outcome) -> list[str]:
    """What passed without a line of its own, and what was not compared, one line a reason."""
    counted = [each.is_score for each in outcome.verdicts if _counted(outcome, each)]
    passed = [f"{sum(counted)} columns are equal in every row"] if any(counted) else []
    passed += [f"{counted.count(False)} costs are within their factors"] if not all(counted) else []
    reasons: dict[str, list[str]] = {}
    for each in outcome.verdicts:
        if each.word == "NOT COMPARED":
            reasons.setdefault(each.reason, []).append(each.measure)
    costs = [f"not compared: {', '.join(dict.fromkeys(names))} ({reason})" for reason, names in reasons.items()]
    return [single_line(note) for note in (*passed, *outcome.notes, *costs)]


def _summary(outcome: Outcome) -> str:
    counted = [(word, sum(each.word == word for each in outcome.verdicts)) for word in ("FAIL", "INCONCLUSIVE", "PASS")]
    said = ", ".join(f"{n} {word}" for word, n in counted if n)
    return single_line(f"gate: {outcome.word} ({said}); {outcome.after} against {outcome.before}, rule {outcome.rule}")


def _fails(verdict: Verdict, strict: bool) -> bool:
    return verdict.word == "FAIL" or (strict and verdict.word == "INCONCLUSIVE")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _xml(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)


def _document(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
