"""What the page does in a real browser: it opens, sorts, filters, searches, marks words, and runs no text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.viewer import document
from tests.viewer.browser import Browser, Tab
from tests.viewer.conftest import HOSTILE, N, embedded, run_of

ALL = [f"t{k}" for k in range(N)]


@pytest.fixture
def data(page: Tab) -> dict[str, Any]:
    return embedded(Path("page.html").read_text(encoding="utf-8"))


def values(data: dict[str, Any], system: str, key: str, **run: Any) -> dict[str, float]:
    """A column by dialogue."""
    return dict(zip(ALL, run_of(data, system, **run)["scores"][key], strict=True))


def ranked(by: dict[str, float]) -> list[str]:
    return sorted(by, key=lambda name: -by[name])


def test_it_opens_without_a_complaint_and_asks_for_nothing(page: Tab) -> None:
    assert page.listed == ALL and page.texts("#count") == ["12 of 12 dialogues"]
    assert page.texts("#dialogue h2") == ["t0"] and page.value("document.title") == "toy: what each system wrote"
    assert page.texts("#front thead th")[:2] == ["human", "lead-3"] and page.texts("#front tbody th")[0] == "ROUGE-1"
    assert page.complaints == [] and page.asked == {page.address}


def test_it_sorts_by_a_score_of_a_system_and_by_what_changed(page: Tab, data: dict[str, Any]) -> None:
    lora = values(data, "lora", "rouge1")
    page.open("sort=rouge1&of=lora")
    assert page.listed == ranked(lora) and page.value("document.getElementById('sort').value") == "rouge1"
    page.value("document.getElementById('direction').click()")
    assert page.listed == ranked(lora)[::-1]
    full = values(data, "full", "rouge1")
    page.open("sort=pair.changed&of=lora&against=full")
    assert page.listed == ranked({name: abs(lora[name] - full[name]) for name in ALL})
    page.choose("#sort", "pair.difference")
    assert page.listed == ranked({name: lora[name] - full[name] for name in ALL})
    human = [values(data, "human", "rouge1", draw=k) for k in (0, 1)]
    page.open("sort=rouge1&of=human")
    assert page.listed == ranked({name: human[0][name] + human[1][name] for name in ALL})
    page.open("sort=dialogue.words&up=1")
    assert page.listed[0] == "t0" and page.texts("#shown") == ["Words of the dialogue, ± ROUGE-1 against full"]


def test_it_filters_by_slice_and_by_conditions(page: Tab, data: dict[str, Any]) -> None:
    page.open("slice=heated")
    assert page.listed == ALL[::3] and page.texts("#count") == ["4 of 12 dialogues"]
    lora, toxic = values(data, "lora", "rouge1"), values(data, "ppo", "toxicity_judge")
    least = round(100 * sorted(lora.values())[6], 1)
    page.open(f"where=rouge1~lora~ge~{least}")
    kept = [name for name in ALL if round(100 * lora[name], 1) >= least]
    assert page.listed == kept and len(kept) >= 5
    most = round(100 * sorted(toxic[name] for name in kept)[2], 1)
    page.open(f"where=rouge1~lora~ge~{least}&where=toxicity_judge~ppo~le~{most}")
    assert page.listed == [name for name in kept if round(100 * toxic[name], 1) <= most] != kept
    page.value("document.querySelector('.remove').click()")
    assert page.listed == [name for name in ALL if round(100 * toxic[name], 1) <= most]
    page.value("document.getElementById('reset').click()")
    assert page.listed == ALL and page.texts(".condition") == []


def test_it_searches_texts_and_ids(page: Tab) -> None:
    for query, found in (
        ("greet+7+WARMLY", ["t7"]),
        ("%22they+greet+7+kindly%22", ["t7"]),
        ("%22greet+7+they%22", []),
        ("t11", ["t11"]),
        ("Sample+2", []),
        ("עברית", ["t3", "t4"]),
    ):
        page.open(f"q={query}")
        assert page.listed == found, query
    assert page.value("Number(document.getElementById('dialogue').dataset.hits)") > 0
    page.open("q=nobody+says+this")
    assert "No dialogue is left" in page.texts("#dialogue")[0]
    page.open("q=sample+of+full&output=sample-2")
    assert page.listed == ALL, "what is searched is what is shown"


def test_it_marks_the_words_that_differ(page: Tab) -> None:
    def marked(system: str) -> list[str]:
        return page.texts(f"[data-system='{system}'] mark")

    page.open("id=t7")
    assert (marked("ppo"), marked("full"), marked("lora")) == (["warmly"], ["kindly"], [])
    page.open("id=t7&against=ppo&of=lora")
    assert (marked("ppo"), marked("full")) == (["warmly"], ["kindly"])
    page.open("id=t7&of=ppo&against=human")
    assert marked("ppo") == ["warmly today"], "the nearest of the references says: They greet 7."
    page.open("id=t5")
    assert "nothing was written" in page.texts("[data-system='ppo']")[0]


def test_it_shows_samples_and_further_trainings(page: Tab) -> None:
    page.open("id=t7&output=sample-2")
    assert page.texts("[data-system='ppo'] .text") == ["Sample 2 of ppo about 7."]
    assert len(page.texts("[data-system='lead-3'] .text")) == 1
    page.open("id=t7&seed=7")
    assert page.texts("[data-system='lora'] .text") == ["Trained again, they greet 7 kindly today."]
    assert page.texts("[data-system='full'] .text") == ["They greet 7 kindly today."]
    page.open("id=t7&output=sample-9&seed=8&of=__proto__&sort=constructor&where=rouge1~nobody~ge~1")
    assert page.texts("[data-system='lora'] .text") == ["They greet 7 kindly today."] and page.listed == ALL
    assert page.complaints == []


def test_words_that_differ_are_a_shortest_edit(page: Tab) -> None:
    """Against the textbook's table of longest common subsequences, on texts of few different words."""
    script = Path(document.__file__).with_name("page") / "words.js"
    page.value(
        script.read_text(encoding="utf-8").replace("const ", "var ")
        + """
        var next = 1, random = (n) => (next = (next * 48271) % 2147483647) % n;
        var common = (a, b) => {
          const table = Array.from({length: a.length + 1}, () => new Array(b.length + 1).fill(0));
          for (let i = 1; i <= a.length; i++) for (let j = 1; j <= b.length; j++)
            table[i][j] = a[i - 1] === b[j - 1] ? table[i - 1][j - 1] + 1 : Math.max(table[i - 1][j], table[i][j - 1]);
          return table[a.length][b.length];
        };
        var wrong = [];
        for (let round = 0; round < 3000; round++) {
          const some = (n) => Array.from({length: random(n)}, () => "w" + random(1 + round % 6));
          const a = some(25), b = some(25), kept = a.filter((_, k) => keptBy(a, b)[k]);
          let at = 0;
          for (const word of b) if (word === kept[at]) at++;
          if (at !== kept.length || kept.length !== common(a, b)) wrong.push([a, b]);
        }
        """
    )
    assert page.value("wrong") == []
    assert page.value("compared('#Person1# greets 昨日は雨', ['#Person2# greets. 昨日は雪'])") == [
        ["#Person1#", True],
        [" greets 昨日は", False],
        ["雨", True],
    ]


def test_keys_step_search_and_change_the_system(page: Tab) -> None:
    def shown() -> str:
        return page.texts("#dialogue h2")[0]

    page.press("j")
    page.press("j")
    page.press("k")
    page.press("ArrowRight")
    assert shown() == "t2" and page.texts("#position") == ["3 of 12"]
    page.wait("location.hash === '#id=t2'")
    page.press("c")
    assert page.value("document.getElementById('against').value") == "lora"
    page.press("/")
    page.write("greet 9 j")
    assert page.listed == [] and shown_search(page) == "greet 9 j", "in a field, keys are letters"
    page.value("document.getElementById('search').select()")
    page.write("greet 9")
    page.press("Escape")
    assert page.listed == ["t9"] and shown() == "t9" and page.value("document.activeElement.tagName") == "BODY"
    page.open()
    page.value("document.getElementById('list').focus()")
    page.press("End")
    page.press("ArrowDown")
    assert shown() == "t11"
    assert page.value("document.getElementById(list.getAttribute('aria-activedescendant')).ariaSelected") == "true"
    page.press("Home")
    assert shown() == "t0" and page.complaints == []


def shown_search(page: Tab) -> str:
    found: str = page.value("document.getElementById('search').value")
    return found


def test_hostile_text_stays_text(page: Tab) -> None:
    page.open("id=t3&against=baseline")
    assert page.value("document.title") == "toy: what each system wrote"
    assert page.texts("[data-system='ppo'] .text") == [HOSTILE]
    assert page.value("document.querySelectorAll('#dialogue img, #dialogue script').length") == 0
    assert page.value("[...document.querySelectorAll('.text, .turns li')].every((one) => one.dir === 'auto')")
    assert page.complaints == [] and page.asked == {page.address}
    page.open("q=%3Cscript%3E&id=%3Cimg+src=x+onerror=document.title=1%3E&slice=%3Cb%3E")
    assert page.value("document.title") == "toy: what each system wrote" and page.complaints == []


def test_no_text_could_load_or_run_anything(page: Tab) -> None:
    """Even if some text became markup: the policy forbids it."""
    page.call("Runtime.evaluate", expression="document.body.innerHTML = '<img src=http://127.0.0.1:9/x onerror=1>'")
    assert page.value("document.querySelectorAll('img').length") == 0
    page.value("document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/x'}))")
    page.wait("true")
    assert any("Content Security Policy" in one for one in page.complaints)


def test_of_many_dialogues_few_are_drawn(page: Tab, data: dict[str, Any], browser: Browser) -> None:
    times = 50
    data["dialogues"] = [one | {"id": f"n{k}"} for k, one in enumerate(data["dialogues"] * times)]
    for system in data["systems"]:
        for run in system["runs"]:
            run["texts"] *= times
            run["scores"] = {key: some * times for key, some in run["scores"].items()}
    data["of_dialogues"] = {key: some * times for key, some in data["of_dialogues"].items()}
    Path("large.html").write_text(document.page(data), encoding="utf-8")
    with browser.tab(Path("large.html"), "id=n300") as large:
        assert large.texts("#count") == ["600 of 600 dialogues"] and large.texts("#dialogue h2") == ["n300"]
        assert "n300" in large.listed and len(large.listed) < 60
        large.value("document.getElementById('list').focus()")
        large.press("End")
        assert large.texts("#dialogue h2") == ["n599"] and large.listed[-1] == "n599"
        large.value("list.scrollTop = 0")
        large.wait("document.getElementById('row-0')")
        assert large.value("document.querySelectorAll('*').length") < 1500


@pytest.mark.parametrize("width", [400, 800, 1200])
def test_nothing_is_cut_off_at_any_width(data: dict[str, Any], browser: Browser, width: int) -> None:
    """Whatever is named or written without a space."""
    data["dialogues"][0] |= {"id": "i" * 200, "tags": ["t" * 200], "source": f"{'s' * 300}\n{'n' * 40}: {HOSTILE}"}
    run_of(data, "ppo")["texts"][0] = "w" * 900
    next(one for one in data["systems"] if one["name"] == "lora")["name"] = long = "v" * 120
    Path("long.html").write_text(document.page(data), encoding="utf-8")
    with browser.tab(Path("long.html"), f"where=toxicity_judge~ppo~ge~0&of={long}") as tab:
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        assert tab.value("document.documentElement.scrollWidth") <= width and tab.complaints == []


def test_every_field_has_a_name(page: Tab) -> None:
    page.open("where=rouge1~lora~ge~0")
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "combobox", "searchbox", "spinbutton", "checkbox", "listbox", "option")
    fields = [node for node in tree if not node["ignored"] and node.get("role", {}).get("value") in roles]
    assert len(fields) > 10 and all(node["name"]["value"].strip() for node in fields)
