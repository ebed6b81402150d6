"""instructions: each constraint of IFEval by its published id and arguments, followed and not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rsr_cli.types import Prompt, Reply, Verdict
from rsr_cli.verifiers.instructions import Instructions
from rsr_cli.verifiers.texts.constraints import CONSTRAINTS
from rsr_cli.verifiers.texts.languages import is_in
from rsr_cli.verifiers.texts.sentences import sentences

NAMES = {
    "keywords", "keyword", "frequency", "relation", "forbidden_words", "letter", "let_frequency", "let_relation",
    "language",
    "num_sentences", "num_paragraphs", "num_words", "nth_paragraph", "first_word", "num_placeholders",
    "postscript_marker",
    "num_bullets", "num_highlights", "section_spliter", "num_sections", "prompt_to_repeat", "end_phrase",
    "start_phrase",
    "capital_frequency", "capital_relation",
}  # fmt: skip


def scored(reply: str, *instructions: tuple[str, dict[str, Any]], **options: Any) -> Verdict:
    """The verdict on a reply, the arguments as the published data has them: every one there is, most of them null."""
    metadata = {
        "instruction_id_list": [name for name, _ in instructions],
        "kwargs": [dict.fromkeys(NAMES) | args for _, args in instructions],
    }
    return Instructions(**options).verify(Reply(reply), Prompt("p", [], metadata))


LONG = "The cat is in the house, and it does not want to go out."
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["Cat", "house"]}, LONG, "The cat is out."),
    ("keywords:frequency", {"keyword": "the", "frequency": 2, "relation": "at least"}, LONG, "The cat."),
    ("keywords:frequency", {"keyword": "the", "frequency": 2, "relation": "less than"}, "The cat.", LONG),
    ("keywords:forbidden_words", {"forbidden_words": ["dog", "c++"]}, "Dogged cats.", "A DOG."),
    ("keywords:forbidden_words", {"forbidden_words": ["c++"]}, "c", "In C++ we trust"),
    ("keywords:letter_frequency", {"letter": "q", "let_frequency": 1, "let_relation": "less than"}, "abc", "Quay"),
    ("language:response_language", {"language": "fr"}, "Le chat est dans la maison et dort.", LONG),
    ("language:response_language", {"language": "hi"}, "बिल्ली घर में है और सोती है", "मांजर घरात आहे आणि झोपते आहे"),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, "Dr. Li is in.", "Yes. No."),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "at least"}, "A b. C d! E f?", "Go."),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one two three", "one two"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "One.\n\n***\n\nTwo.", "One.\n\nTwo."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "***\nOne.\n***\nTwo.", "One.\n***\n***\nTwo."),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "So"},
     "One.\n\n\"So, two.", "So one.\n\nTwo."),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] at [place]", "[name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Hi.\n\np. s. Bye", "Hi. PS: bye"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Hi.\nP.P.S. Bye", "Hi.\nP.S. Bye"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* one\n- two", "* one\n- two\n* three"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "maybe"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*one* and **two**", "**one** and ** **"),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2},
     "Section 1\na\nSection 2\nb", "Section one, Section two"),
    ("detectable_format:json_format", {}, "```json\n{\"a\": 1}\n```", "Here: {\"a\": 1}"),
    ("detectable_format:title", {}, "<<A poem>>\nlines", "<< >>\nlines"),
    ("combination:two_responses", {}, "one\n******\ntwo", "one\n******\none"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi."}, "say hi. Hi!", "Hi! Say hi."),
    ("startend:start_checker", {"start_phrase": "Well"}, "Well, yes.", "Yes, well"),
    ("startend:end_checker", {"end_phrase": "That is all."}, "Yes. that is all.", "That is all. Bye"),
    ("startend:quotation", {}, '"Yes."', 'He said "yes."'),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"},
     "NO, I SAID", "no Sir"),
    ("change_case:english_capital", {}, LONG.upper(), LONG),
    ("change_case:english_capital", {}, LONG.upper(), "LE CHAT EST DANS LA MAISON ET DORT"),
    ("change_case:english_lowercase", {}, LONG.lower(), LONG),
    ("punctuation:no_comma", {}, "one two", "one, two"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "follows", "breaks"), CASES)
def test_each_constraint(name: str, args: dict[str, Any], follows: str, breaks: str) -> None:
    assert scored(follows, (name, args)).score == 1.0
    verdict = scored(breaks, (name, args))
    assert verdict.score == 0.0 and name in (verdict.explanation or "")


def test_every_constraint_is_tested() -> None:
    assert {name for name, *_ in CASES} == CONSTRAINTS.keys()


def test_share_and_all_with_details() -> None:
    both = (("punctuation:no_comma", {}), ("keywords:existence", {"keywords": ["cat"]}))
    verdict = scored("A cat, a dog", *both)
    assert verdict.score == 0.5
    assert json.loads(verdict.details or "")["instructions"] == [
        {"instruction": "punctuation:no_comma", "followed": False},
        {"instruction": "keywords:existence", "followed": True},
    ]
    assert scored("A cat, a dog", *both, score="all").score == 0.0
    assert scored("A cat", *both, score="all").score == 1.0


@pytest.mark.parametrize("reply", ["Sure, here:\nOne two.", "One two.\nAnything else, Sir?", "Sure,\nOne two.\nBye,"])
def test_loose_leaves_out_the_first_and_the_last_line(reply: str) -> None:
    assert scored(reply, ("punctuation:no_comma", {})).score == 0.0
    assert scored(reply, ("punctuation:no_comma", {}), mode="loose").score == 1.0
    assert scored("*Well*", ("startend:start_checker", {"start_phrase": "Well"}), mode="loose").score == 1.0


@pytest.mark.parametrize(
    ("metadata", "saying"),
    [
        ({}, "no instructions"),
        ({"instruction_id_list": []}, "no instructions"),
        ({"instruction_id_list": ["punctuation:no_coma"]}, "did you mean 'punctuation:no_comma'?"),
        ({"instruction_id_list": "punctuation:no_comma"}, "not JSON"),
        ({"instruction_id_list": {"a": 1}}, "a dict, not a list"),
        ({"instruction_id_list": [["a"]]}, "no instruction"),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}, {}]}, "2 items for 1"),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": ["x"]}, "a str, not an object"),
        ({"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": None}]}, "keywords is missing"),
        ({"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": "x"}]}, "not a list of texts"),
        ({"instruction_id_list": ["length_constraints:number_words"], "kwargs": [{"num_words": "x"}]}, "whole number"),
        ({"instruction_id_list": ["length_constraints:number_words"],
          "kwargs": [{"num_words": 3, "relation": "about"}]}, "'at least' or 'less than'"),
        ({"instruction_id_list": ["language:response_language"], "kwargs": [{"language": "xx"}]}, "'xx' is not known"),
    ],
)  # fmt: skip
def test_what_can_not_be_checked_is_an_error_with_words(metadata: dict[str, Any], saying: str) -> None:
    prompt = Prompt("p", [], metadata)
    verdict = Instructions().verify(Reply("x"), prompt)
    assert (verdict.score, verdict.status) == (None, "error") and saying in (verdict.explanation or "")
    assert Instructions().cannot_score(prompt) == verdict.explanation


def test_the_published_columns_as_json_texts() -> None:
    metadata = {"instruction_id_list": '["punctuation:no_comma"]', "kwargs": '[{"num_words": null}]'}
    assert Instructions().verify(Reply("one"), Prompt("p", [], metadata)).score == 1.0
    metadata = {
        "instruction_id_list": ["length_constraints:number_words"],
        "kwargs": [{"num_words": 2.0, "relation": "at least"}],
    }
    assert Instructions().verify(Reply("one two"), Prompt("p", [], metadata)).score == 1.0


def test_a_language_that_can_not_be_told_is_no_verdict() -> None:
    verdict = scored("Bonjour!", ("language:response_language", {"language": "fr"}), ("punctuation:no_comma", {}))
    assert (verdict.score, verdict.status) == (None, "error") and "so short" in (verdict.explanation or "")
    assert scored("42", ("language:response_language", {"language": "fr"})).score == 0.0


SAID = {
    "en": "The cat sat on the mat and it was happy.", "es": "El gato está en la casa y no quiere salir de ella.",
    "fr": "Le chat est dans la maison et ne veut pas sortir.", "de": "Die Katze ist in dem Haus und will nicht raus.",
    "it": "Il gatto è nella casa e non vuole uscire di lì.", "pt": "O gato está na casa e não quer sair da sala.",
    "ru": "Кот сидит в доме и не хочет выходить на улицу.",
    "uk": "Кіт у будинку і не хоче на вулицю, але він щасливий",
    "bg": "Котката е в къщата и не иска да излезе.", "ar": "القط في البيت ولا يريد أن يخرج من هذا المكان",
    "fa": "گربه در خانه است و نمی خواهد از آن بیرون برود", "ur": "بلی گھر میں ہے اور باہر نہیں جانا چاہتی",
    "hi": "बिल्ली घर में है और वह बाहर नहीं जाना चाहती", "mr": "मांजर घरात आहे आणि ती बाहेर जाऊ इच्छित नाही",
    "ne": "बिरालो घरमा छ र यो बाहिर जान चाहँदैन", "zh": "猫在房子里，不想出去。", "ja": "猫は家にいて、外に出たくない。",
    "ko": "고양이는 집에 있고 나가고 싶지 않다.", "vi": "Con mèo ở trong nhà và không muốn đi ra ngoài.",
    "sw": "Paka yuko katika nyumba na hataki kutoka nje ya hiyo.", "fi": "Kissa on talossa ja se ei halua mennä ulos.",
    "pl": "Kot jest w domu i nie chce wyjść na dwór.", "ta": "பூனை வீட்டில் உள்ளது", "pa": "ਬਿੱਲੀ ਘਰ ਵਿੱਚ ਹੈ",
    "th": "แมวอยู่ในบ้าน", "kn": "ಬೆಕ್ಕು ಮನೆಯಲ್ಲಿದೆ", "he": "החתול בבית", "bn": "বিড়াল ঘরে আছে", "gu": "બિલાડી ઘરમાં છે",
    "te": "పిల్లి ఇంట్లో ఉంది", "ml": "പൂച്ച വീട്ടിലാണ്",
}  # fmt: skip
"""In each language that IFEval asks for."""


def test_languages_are_told_apart() -> None:
    found = {code: [other for other in SAID if is_in(text, other)] for code, text in SAID.items()}
    assert found == {code: [code] for code in SAID}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Hello. World! How are you?", 3), ("Dr. Smith went to Washington. He met Mr. Jones.", 2),
        ("It is 3.5 m. Yes.", 2),
        ("1. First item.\n2. Second item.", 2), ("J. K. Rowling wrote it.", 1), ('He said "Go." Then he left.', 2),
        ("我喜欢。你呢？", 2), ("A title\n\nA text. More.", 3), ("So do I. Me too.", 2), ("Wait... no?!", 2),
        ("", 0), ("...", 0),
    ],
)  # fmt: skip
def test_sentences(text: str, count: int) -> None:
    assert len(sentences(text)) == count
