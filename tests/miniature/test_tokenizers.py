"""The tokenizers: speakers stay whole, nothing of the study is unknown, the order of texts does not matter."""

from __future__ import annotations

import pytest

from bench.core.blocks import TextConfig
from bench.miniature import dialogues, tasks, tokenizers

MAKERS = {"t5": tokenizers.t5, "roberta": tokenizers.roberta, "bert": tokenizers.bert}


@pytest.fixture(scope="module")
def texts():
    return [text for row in dialogues.corpus("tokens", 600, 0.3) for text in (row.source, *row.references)]


@pytest.fixture(scope="module")
def tokenizer(texts):
    return tokenizers.t5([tasks.PROMPT, *texts], 950, 512)


def test_the_pretraining_prompt_is_the_studys_prompt():
    assert TextConfig().prompt == tasks.PROMPT


def test_t5s_conventions(tokenizer):
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    assert tokenizer("Hello.")["input_ids"][-1] == 1
    assert tokenizer.model_max_length == 512
    assert len(tokenizer.tokenize("#Person1#")) == 1 and len(tokenizer.tokenize("#Person2#")) == 1


def test_the_prompt_round_trips_but_for_newlines(tokenizer, texts):
    for text in texts[:200]:
        whole = TextConfig().prompt.replace("{source}", text)
        ids = tokenizer(whole)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == " ".join(whole.split())


def test_words_that_were_never_counted_are_spelled_out(tokenizer):
    ids = tokenizer("Zyxwvut 12345 (quux)!")["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "Zyxwvut 12345 (quux)!"


def test_a_strange_character_is_unknown_and_no_error(tokenizer):
    assert tokenizer.unk_token_id in tokenizer("漢")["input_ids"]
    assert tokenizer("")["input_ids"] == [1]


@pytest.mark.parametrize("name", MAKERS)
def test_the_order_of_the_texts_does_not_matter(name, texts):
    first, second = MAKERS[name](texts, 700, 64), MAKERS[name](texts[::-1], 700, 64)
    assert first.get_vocab() == second.get_vocab()
    assert len(first) <= 700
    assert first(texts[0])["input_ids"] == second(texts[0])["input_ids"]


@pytest.mark.parametrize("name", MAKERS)
def test_folders_are_read_by_auto_tokenizer(name, texts, tmp_path):
    from transformers import AutoTokenizer

    made = MAKERS[name](texts, 700, 64)
    made.save_pretrained(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    assert read(texts[:20])["input_ids"] == made(texts[:20])["input_ids"]
    assert (read.pad_token_id, read.model_max_length) == (made.pad_token_id, 64)
