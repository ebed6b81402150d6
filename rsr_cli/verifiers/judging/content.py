"""Whether a reply says anything at all: what says nothing must never reach a judge.

Judges are known to pass replies such as ":" or "Thought process:" (Zhao et al. 2025, One Token to Fool LLM-as-a-Judge,
arXiv 2507.08794).
"""

from __future__ import annotations

import re
import unicodedata

EMPTY = "the reply has no content"
_TOKEN = re.compile(
    r"<\s?/?\s?[|｜][^<>\n]{0,60}?[|｜]\s?>"  # <|im_end|>, <｜end▁of▁sentence｜>
    r"|</?(?:eo[sahmtpd]|bos|pad|unk|sep|cls|mask|end|im_end|im_start|endoftext|(?:start|end)_of_(?:turn|utterance)"
    r"|(?:begin|end)_of_text|human|bot|assistant|user|system|model|think|thinking|reasoning|answer|response|output|final"
    r"|solution|br|hr|div|span|strong|em|(?-i:[spbiu]))\s?/?>"
    r"|\[/?(?:INST|SYS|EOS|BOS|PAD|SEP|UNK|CLS|MASK|END|THINK|TOOL_CALLS|/s)\]|<</?SYS>>|◁/?think▷|&nbsp;|\\[nt]\b"
    r"|\\boxed(?=\{\s*\})|\\[hv]space\{[^{}]*\}|```\w*|<!--(?:(?!-->|<!--).)*-->",
    re.IGNORECASE | re.DOTALL,
)
_UNSEEN = frozenset("\u115f\u1160\u2800\u3164\uffa0\ufffc\ufffd")
"""Letters and symbols, by their category, that show nothing."""
_LONGEST_OPENER = 300
"""Characters of letters and digits; what is longer is no opener."""
_OPENERS = """
thought process|thinking process|thought|thoughts|thinking|reasoning|reasoning process|analysis|explanation|conclusion
solution|the solution|answer|the answer|final answer|the final answer|my answer|answer is|the answer is|my answer is
response|reply|output|step|steps|step 1|step by step|heres|here is|here is the answer|here is my answer
lets solve this|lets solve this problem|lets think|lets think about this|lets work through this|lets break this down
lets begin|lets start|let us solve this|let us solve this problem|let us think|let me think|let me think about this
let me solve this|to solve this problem|user|assistant|system|human|model|bot
解|答|答案|解答|解析|解题|解題|思考过程|思考過程|思路|分析|最终答案|让我们一步一步地思考|让我们一步步思考
かいせつ|解説|答え|回答|回答は|考え方|풀이|정답|답|답변
respuesta|la respuesta|la respuesta es|solución|pensamiento|réponse|la réponse|la réponse est|raisonnement
antwort|die antwort|die antwort ist|lösung|gedankengang|risposta|la risposta|soluzione|resposta|solução
ответ|решение|рассуждение|الحل|الجواب|उत्तर|समाधान
"""
"""What opens an answer and gives none."""
_LONGEST_FIRST = sorted(_OPENERS.strip().replace("\n", "|").split("|"), key=len, reverse=True)
_ONLY_OPENERS = re.compile(rf"(?:(?:{'|'.join(_LONGEST_FIRST)})(?:\s|$))*")


def has_content(reply: str) -> bool:
    """Return whether there is more than punctuation, end tokens, marks that are not seen, and words that open an
    answer."""
    kept: list[str] = []
    letters = 0
    for char in unicodedata.normalize("NFKC", _TOKEN.sub(" ", reply)):
        kind = unicodedata.category(char)
        if _shows(char, kind) or (kind in ("Mn", "Mc") and kept and kept[-1] != " "):  # marks are parts of letters
            kept.append(char)
            letters += 1
            if letters > _LONGEST_OPENER:
                return True
        elif kind != "Cf" and char not in "'’" and kept[-1:] != [" "]:
            kept.append(" ")
    return letters > 0 and not _ONLY_OPENERS.fullmatch("".join(kept).strip().lower())


def _shows(char: str, kind: str) -> bool:
    """A letter, a digit, or a symbol that is no ornament, such as ∞ or €."""
    if char in _UNSEEN or "\u2190" <= char <= "\u21ff" or "\u2500" <= char <= "\u25ff":
        return False
    return kind[0] in "LN" or (kind in ("Sm", "So", "Sc") and not char.isascii())
