"""What a reply does with the options it names: it chooses one, denies it, takes it back, or only speaks of it.

The gold is B of four cities, unless a test says otherwise.
"""

# ruff: noqa: E501 - characters of other scripts count twice

from __future__ import annotations

import pytest

from rsr_cli.verifiers.mcq_rlvr import McqRlvr

CITIES = ["London", "Paris", "Rome", "Oslo"]


WRAPPED = [
    "「B」", "『B』", "<B>", "[[B]]", "{B}", "**(B)**", '"B"', "B:", "\\text{(B)}", "$B$", "\\(B\\)", "_B_",
    "<b>B</b>", "B.", "~B~", "\\mathbf{B}", "\\boxed{\\mathrm{B}}", "`B`", "B。", "《B》", "B!", "B - Rome",
    "B) Rome", "(B) Rome", "B, Rome", "option B", "b", "b)", "B because it fits", "$\\mathbf{B}$", "\\fbox{B}",
    "<<B>>", "【B】", "（B）", "\\{B\\}", "**B.** Rome", "B (Rome)", "the letter B", "‘B’", "\\underline{B}",
    "\\emph{B}", "B\\.", "Ｂ", "𝐁", "Ⓑ", "🅱", "👉 B", "✅ B", "→ B",
]  # fmt: skip

LANGUAGES = [
    "Správná odpověď je B.", "Răspunsul corect este B.", "Rätt svar är B.", "Oikea vastaus on B.",
    "Jibu sahihi ni B.", "సరైన సమాధానం B.", "சரியான பதில் B", "Helyes válasz: B", "Câu trả lời đúng là B.",
    "الجواب الصحيح هو B", "Het juiste antwoord is B.", "Riktig svar er B.", "Det korrekte svar er B.",
    "Η σωστή απάντηση είναι η B.", "答えはBです", "正确答案选B", "Jawapan yang betul ialah B.", "Ang tamang sagot ay B.",
    "Правильна відповідь: B", "Pareizā atbilde ir B.", "Teisingas atsakymas yra B.", "Õige vastus on B.",
    "Правилният отговор е B.", "Тачан одговор је B.", "Točan odgovor je B.", "Správna odpoveď je B.",
    "پاسخ درست B است.", "صحیح جواب B ہے۔", "सही उत्तर B है।", "सही विकल्प B है।", "正解は B",
    "正解はBである。", "답은 B이다.", "정답: B", "정답은 B번입니다.", "답: B", "الإجابة: B", "الإجابة: B", "Cevap B.",
    "Cevap B şıkkıdır.", "Doğru cevap B şıkkıdır.", "Doğru seçenek B.", "Yanıt: B", "Đáp án B",
    "Đáp án đúng là B.", "Chọn B.", "Chọn đáp án B", "Jadi, jawabannya adalah B.",
    "Pilihan yang tepat adalah B.", "Ответ: B", "Ответ B", "Верный ответ: B", "Верно B.",
    "Правильный вариант — B.", "Выбираю B.", "La respuesta es la B.", "Respuesta: B",
    "La respuesta correcta es la opción B.", "Opción B", "Elijo B.", "La B es la correcta.",
    "La réponse est la B.", "Réponse : B", "La bonne réponse est la lettre B.", "Je choisis B.",
    "Die Antwort ist B.", "Antwort: B", "Richtig ist Antwort B.", "Richtig ist B.", "Antwort B ist richtig.",
    "Ich wähle B.", "La risposta è B.", "La risposta corretta è la B.", "Risposta: B", "Scelgo B.",
    "A resposta é B.", "A alternativa correta é B.", "Alternativa B", "Gabarito: B", "Letra B", "Letra B.",
    "Odpowiedź: B", "Poprawna odpowiedź: B", "Odpowiedź B jest poprawna.", "คำตอบคือ B", "คำตอบ: B", "ตอบ B",
    "ข้อ B", "答：B", "答案B", "选B", "选 B。", "应选B", "故答案为B", "故答案为：B", "故本题选B", "因此选B", "所以答案是B",
    "综上所述，正确答案为B。", "B正确", "B项正确", "B选项正确", "正确的是B", "應選B", "答案為B", "答えはBだ。", "Bが正解です。", "Bが正しい。",
    "選択肢Bが正しいです。", "B가 정답입니다.", "정답은 B", "উত্তর: B", "সঠিক উত্তর B", "תשובה: B", "התשובה הנכונה היא B",
    "Svar: B", "Vastaus: B", "Vastaus on B.", "Απάντηση: B", "Răspuns: B", "Răspunsul este B",
]  # fmt: skip

STRUCTURED = [
    '{"selected": "B"}', "answer: B", '{"answer": "B) Paris"}', '{"answer": {"B": "Paris"}}',
    '{"B": true, "A": false, "C": false, "D": false}', "| Answer | B |", "| Final answer | **B** |",
    "|Question|Answer|\n|---|---|\n|1|B|", '<answer letter="B"/>', "\\answer{B}", 'ans = "B"',
    "[ANSWER]B[/ANSWER]", "{'answer': 'B'}", '["B"]', "```\nB\n```", '```json\n{"answer": "B"}\n```',
    "```yaml\nanswer: B\n```", '{"response": {"answer": "B"}}', '{"answer":"B"} \n\nB is Paris.',
    'Here is the JSON:\n{"answer": "B", "confidence": 0.9}', "<result>B</result>", "<ANSWER>B</ANSWER>",
    "<final>B</final>", "<choice>B</choice>", "<option>B</option>", "<answer>The answer is B</answer>",
    "<answer>\nB) Paris\n</answer>", "<solution>B</solution>", '{"thoughts": "A?", "answer": "B"}',
    '{"steps": ["A is wrong", "C is wrong"], "final_answer": "B"}', '{"Answer": "b"}',
    '{"answer": "Option B"}', '{"answer": "(B)"}', '{"answer": 1, "letter": "B"}', '{"correct": "B"}',
    '{"correct_answer": "B"}', '{"choice": {"id": "B", "text": "Paris"}}', 'final_answer("B")', 'submit("B")',
    "answer(B)", "FINAL_ANSWER = B", "answer=B", 'Answer = "B"', "<answer>B",
    "<|begin_of_box|>B<|end_of_box|>", '{"answer": "B", "why_not": {"A": "wrong", "C": "wrong"}}',
    '{"reasoning": "The answer is not A.", "answer": "B"}', '"answer": "B"', "answer -> B",
    '{"tool": "answer", "args": {"option": "B"}}', '{"name": "submit_answer", "parameters": {"choice": "B"}}',
]  # fmt: skip

BESIDE = [
    "Die richtige Antwort ist B. A ist falsch.", "La respuesta correcta es B. A es incorrecta.",
    "La bonne réponse est B. A est incorrecte.", "A resposta correta é B. A opção A está errada.",
    "La risposta corretta è B. A è sbagliata.", "Правильный ответ — B. A неверно.",
    "正解はBです。Aは誤りです。", "정답은 B입니다. A는 오답입니다.", "الإجابة الصحيحة هي B. الخيار A خاطئ.",
    "Doğru cevap B. A yanlış.", "सही उत्तर B है। A गलत है।", "Đáp án đúng là B. A sai.",
    "Jawaban yang benar adalah B. A salah.", "正确答案是B。A是错误的。",
    "答案：B。A选项错误，因为伦敦不在法国。", "Het juiste antwoord is B. A is onjuist.",
    "Prawidłowa odpowiedź to B. A jest błędna.", "Sagot: B. Mali ang A.", "Správná odpověď je B. A je špatně.",
    "Răspunsul corect este B. A este greșit.", "Rätt svar är B. A är fel.", "Oikea vastaus on B. A on väärin.",
    "Правильна відповідь — B. Варіант A неправильний.", "Σωστή απάντηση: B. Το A είναι λάθος.",
    "The correct answer is B. A is incorrect.", "正解：B\nAは間違い。", "সঠিক উত্তর হল B। A ভুল।",
    "Jibu sahihi ni B. A si sahihi.", "సరైన సమాధానం B. A తప్పు.", "התשובה הנכונה היא B. A שגויה.",
    "پاسخ درست B است. A غلط است.", "B项正确，A项错误。", "A错，B对。", "Jawapan: B. A salah.",
    "La opción correcta es la B, no la A.", "La réponse est B et non A.", "Die Antwort ist B, nicht A.",
    "答案是B而不是A。", "Ответ: B, а не A.", "Cevap B, A değil.", "答えはAではなくBです。",
]  # fmt: skip

VERDICTS = [
    "A. False\nB. True\nC. False\nD. False", "- A: Incorrect\n- B: Correct\n- C: Incorrect\n- D: Incorrect",
    "A ✗\nB ✓\nC ✗\nD ✗", "A: ❌\nB: ✅\nC: ❌\nD: ❌",
    "(A) is wrong.\n(B) is right.\n(C) is wrong.\n(D) is wrong.",
    "A) London - no\nB) Paris - yes\nC) Rome - no\nD) Oslo - no",
    "**A. London** – incorrect.\n**B. Paris** – correct.\n**C. Rome** – incorrect.\n**D. Oslo** – incorrect.",
    "A is false. B is true. C is false. D is false.",
    "| A | wrong |\n| B | correct |\n| C | wrong |\n| D | wrong |",
    "1. A is incorrect because x.\n2. B is correct because y.\n3. C is incorrect.\n4. D is incorrect.",
    "A. London: This is not in France, so it is incorrect.\nB. Paris: This is the capital of France, so it is correct.\nC. Rome: incorrect.\nD. Oslo: incorrect.",
    "Option A is incorrect.\nOption B is correct.\nOption C is incorrect.\nOption D is incorrect.",
    "A错误\nB正确\nC错误\nD错误", "A. 错误\nB. 正确\nC. 错误\nD. 错误", "A: falsch\nB: richtig\nC: falsch\nD: falsch",
    "A - No\nB - Yes\nC - No\nD - No", "A. Incorrect. B. Correct. C. Incorrect. D. Incorrect.",
    "A, C and D are wrong.\nB is right.",
]  # fmt: skip

DENIED = [
    "It isn't B.", "So it isn't (B).", "The answer is not B.", "The answer isn't B.", "B is not the answer.",
    "B is not correct.", "B is incorrect.", "B can be ruled out.", "We rule out B.", "We can rule out B.",
    "Option B is eliminated.", "Not B.", "Definitely not B.", "Anything but B.", "It cannot be B.",
    "It can't be B.", "I don't think it's B.", "I doubt it is B.", "B would be wrong.",
    "B is wrong because Paris is not it.", "It is not Paris.", "Paris is wrong.", "Paris is not the answer.",
    "Paris cannot be it.", "We can discard B.", "B fails.", "B does not fit.", "B doesn't work.",
    "The answer must not be B.", "Never choose B.", "Avoid B.", "I reject B.", "B is a distractor.",
    "B is the trap answer.", "The wrong answer is B.", "The incorrect option is B.", "All except B.",
    "Everything but B is possible.", "Neither B nor D.", "Don't pick B.", "You should not choose B.",
    "I wouldn't go with B.", "Clearly B is false.", "B: incorrect", "B - wrong", "B ❌", "(B) is out.",
    "So B is out.", "Cross out B.", "B is unlikely.", "Answer: not B", "ANSWER: not (B)",
    "\\boxed{\\text{not B}}", "The answer is definitely not B.", "B 错误。", "B不正确。", "答案不是B。", "不选B。",
    "排除B。", "B项错误", "应排除B", "不可能是B", "Die Antwort ist nicht B.", "B ist falsch.", "B ist nicht richtig.",
    "La réponse n'est pas B.", "B est faux.", "La respuesta no es B.", "B es incorrecta.", "B no es correcta.",
    "A resposta não é B.", "B está errada.", "La risposta non è B.", "B è sbagliata.", "Ответ не B.",
    "B неверно.", "答えはBではない。", "Bは間違いです。", "정답은 B가 아닙니다.", "B는 틀렸습니다.", "الإجابة ليست B.", "B خاطئ.",
    "Cevap B değil.", "B yanlış.", "उत्तर B नहीं है।", "B गलत है।", "Đáp án không phải là B.", "B sai.",
    "Jawabannya bukan B.", "B salah.", "Het antwoord is niet B.", "Odpowiedź to nie B.", "Svaret är inte B.",
]  # fmt: skip

OPEN = [
    "Answer: A or B", "A or B", "Either A or B.", "The answer is A or B.", "Answer: A/B", "Answer: A? B?",
    "Maybe A, maybe B.", "Answer: A (or B)", "Answer: A; maybe B", "It could be A or B.",
    "The answer is A, or maybe B.", "The answer is A, but it could also be B.",
    "The answer is A, but B is also possible.", "Answer: A, possibly B", "Answer: A (possibly B)",
    "A, perhaps B.", "A or possibly B", "Answer: A | B", "Answer: A, alternatively B",
    "Answer: A. Alternatively, B.", "Answer: A vs B", "Answer: A 或 B", "答案是A或B。",
    "答案可能是A，也可能是B。", "Die Antwort ist A oder B.", "La respuesta es A o B.", "La réponse est A ou B.",
    "A resposta é A ou B.", "Ответ: A или B", "答えはAまたはBです。", "정답은 A 또는 B입니다.", "\\boxed{A \\text{ or } B}",
    "\\boxed{A/B}", "\\boxed{A} or \\boxed{B}", "<answer>A or B</answer>", '{"answer": "A or B"}',
    '{"answer": ["A", "B"]}', "I am torn between A and B.", "Both A and B seem right.",
    "It is between A and B.", "A and B are both possible.", "Not sure: A, B?", "Answer: A ~ B", "Answer: A-B",
    "Answer: A, B, C, D", "All of them.", "My guess is A, though B is just as likely.", "A or B or C or D",
    "Answer: A OR B", "Answer: A, or else B", "The answer is either A or B", "50% A, 50% B",
]  # fmt: skip

REMARKS = [
    "The second-best option would be A.", "A is a close second.", "The most tempting wrong answer is A.",
    "Option A is a common distractor.", "Many students choose A.", "I hope this helps!",
    "This answer is reasonable because A is too small.", "Note that A is wrong.",
    "A would be right if it were in England.", "If the question asked for England, the answer would be A.",
    "Do not confuse this with A.", "A common mistake is to choose A.", "Why not A? It is too small.",
    "A is incorrect.", "Let me know if you want me to explain A.",
    "Some might choose A, but that ignores the Seine.", "Confidence: 95%",
    "Option A is wrong, and so are C and D.", "For comparison, A would need a river.",
    "(A) is also a capital.", "The other options, A, C and D, are wrong.", "Compare with option A.",
    "A also looks plausible, but less so.", "Vitamin A is not relevant here.",
    "In part (a), the answer was A.", "See Appendix A.", "The runner-up is A.",
    "Had the question been about England, A would be correct.", "I considered A first.",
    "At first I thought A, but that is wrong.", "Students often pick A.", "Option A was a trap.",
    "An answer of A would be wrong.", "The answer A is wrong.", "Unlike A, it fits.", "B is better than A.",
    "A is the next best choice.", "This rules out A.", "Only A comes close.", "A is not it.",
    "You may wonder about A.", "Check: A fails.", "Remember: A is England.", "It is not A.",
    "The wrong answers are A, C and D.", "The alternative, A, is wrong.", "In contrast, A is in England.",
    "A: wrong. C: wrong. D: wrong.", "Explanation of A: it is in England.", "Reason: the Seine.",
    "Hence A, C, and D are eliminated.", "Good luck!", "Thanks for the question.", "(Confidence: high)",
    "Source: Appendix A.", "P.S. A is the capital of England.",
]  # fmt: skip

RETRACTED = [
    "Sorry, I meant A.", "Wait, no, it's A.", "Hold on, I misread the question; it is A.", "Correction: A",
    "Correction: the answer is A.", "Actually, A.", "Actually, the answer is A.", "No, A.", "Scratch that, A.",
    "On second thought, A.", "Oops, I meant A.", "I made a mistake. It should be A.",
    "My mistake: A is correct.", "I take that back. A is the right one.", "Hmm, that is wrong. So A.",
    "Let me correct myself: it's A.", "I was wrong; the right choice is A.", "Rather, A.",
    "I change my answer to A.", "After rechecking, it must be A.", "Make that A.",
    "Wait. The river is the Thames. So A.", "Strike that. A.", "I misspoke — A.",
    "Looking again, A fits and B does not.", "On reflection, option A is correct.", "不对，应该是A。", "更正：A",
    "抱歉，我看错了，应选A。", "等等，应该是A。", "Moment, es ist A.", "Entschuldigung, ich meinte A.",
    "Pardon, je voulais dire A.", "Perdón, quise decir A.", "Espera, es A.", "Desculpe, é A.",
    "Scusa, volevo dire A.", "Извините, я ошибся: A.", "すみません、Aです。", "訂正：A", "아니요, A입니다.",
    "عذراً، الإجابة هي A.", "माफ़ कीजिए, सही उत्तर A है।", "Xin lỗi, là A.", "Maaf, maksud saya A.", "Edit: A",
    "Update: A is correct.", "I need to revise that to A.", "Upon review, I choose A instead.",
    "Forget that, it is A.", "Ignore the above; the answer is A.", "That was wrong. The answer is A.",
    "That is incorrect. A is the answer.", "Apologies, A.",
    "I apologize for the confusion; the correct answer is A.", "I confused the two: it is A.",
    "Let me fix that: A.", "Hmm, actually A.", "Hmm, wait, A is right.", "Wait, that is not right.",
    "That can't be right.", "I take it back.", "Scratch that.", "Ignore my answer.",
]  # fmt: skip

STATED = [
    "The answer is B.",
    "Answer: B\n",
    "\\boxed{B}",
    "The correct answer is (B) Paris.",
    "答案是B。",
    "**B**\n",
    "B\n",
]


def _score(response: str, gold: str) -> float | None:
    return McqRlvr().verify(response, {"answer": gold, "options": CITIES}).score


@pytest.mark.parametrize("letter", WRAPPED)
@pytest.mark.parametrize("label", ["ANSWER: ", "The answer is "])
def test_brackets_of_any_kind_stand_around_a_letter(label: str, letter: str) -> None:
    response = f"Weighing the facts.\n\n{label}{letter}".replace("Rome", "Paris")
    assert _score(response, "B") == 1.0
    assert _score(response, "A") == 0.0
    assert McqRlvr().verify(response, {"answer": "B"}).score == 1.0


@pytest.mark.parametrize("response", [*LANGUAGES, *STRUCTURED, *BESIDE, *VERDICTS])
def test_a_choice_is_read_in_many_languages_and_shapes(response: str) -> None:
    assert _score(response, "B") == 1.0
    assert _score(response, "A") == 0.0


@pytest.mark.parametrize("response", DENIED)
def test_an_option_that_is_denied_is_not_chosen(response: str) -> None:
    assert _score(response, "B") == 0.0
    assert _score(f"Let me see. {response}", "B") == 0.0


@pytest.mark.parametrize("response", OPEN)
def test_two_options_left_open_are_no_choice(response: str) -> None:
    assert _score(response, "A") == 0.0
    assert _score(response, "B") == 0.0


@pytest.mark.parametrize("remark", REMARKS)
def test_a_remark_behind_a_choice_leaves_it(remark: str) -> None:
    for stated in STATED:
        assert _score(f"{stated} {remark}", "B") == 1.0, stated
        assert _score(f"{stated}\n\n{remark}", "B") == 1.0, stated


@pytest.mark.parametrize("retraction", RETRACTED)
def test_a_retraction_takes_a_choice_away(retraction: str) -> None:
    for stated in STATED[:5]:
        assert _score(f"{stated} {retraction}", "B") == 0.0, stated
        assert _score(f"{stated}\n\n{retraction}", "B") == 0.0, stated
