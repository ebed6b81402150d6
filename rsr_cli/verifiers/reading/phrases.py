"""The phrases of replies, one table an idea and one line a language: regular expressions without groups.

A new language is a new line in each table. Words of scripts that write no spaces match anywhere, the others as whole
words.
"""

# ruff: noqa: E501 - characters of other scripts count twice

from __future__ import annotations

import re
from collections.abc import Iterable

_NO_SPACES = frozenset(["zh", "ja", "ko", "th"])

ANSWER = {
    "en": r"answers?|ans",
    "zh": r"答案|正解|结果",
    "de": r"antwort|endergebnis|ergebnis|lösung",
    "fr": r"réponse|résultat",
    "es": r"respuesta|resultado",
    "pt": r"resposta|resultado",
    "it": r"risposta|risultato",
    "nl": r"antwoord",
    "pl": r"odpowied[źz]|odpowiedzią|odpowiedzi",
    "cs": r"odpověď|odpoveď",
    "ro": r"răspuns(?:ul)?",
    "sv": r"svar(?:et)?",
    "fi": r"vastaus",
    "hu": r"válasz",
    "ru": r"ответ(?:ом)?",
    "uk": r"відповідь",
    "el": r"απάντηση",
    "tr": r"cevap|cevabı|cevabım|yanıt|yanıtı",
    "id": r"jawaban(?:nya)?",
    "vi": r"đáp án|câu trả lời|đáp số|kết quả",
    "sw": r"jibu",
    "ja": r"答え|正解|解答|回答",
    "ko": r"정답|답변|답",
    "ar": r"الإجابة|الاجابة|الجواب|إجابة",
    "fa": r"پاسخ|جواب",
    "he": r"התשובה|תשובה",
    "hi": r"उत्तर|जवाब",
    "bn": r"উত্তর",
    "te": r"సమాధానం|జవాబు",
    "ta": r"விடை|பதில்",
    "th": r"คำตอบ(?:ที่ถูกต้อง|ที่ถูก|สุดท้าย)?",
    "ms": r"jawapan(?:nya)?",
    "tl": r"sagot",
    "da": r"svaret",
    "no": r"svaret",
    "sk": r"odpoveď",
    "hr": r"odgovor",
    "sr": r"одговор",
    "bg": r"отговор(?:ът|а)?",
    "lt": r"atsakymas",
    "lv": r"atbilde",
    "et": r"vastus",
    "ur": r"جواب",
    "mr": r"उत्तर|बरोबर",
    "ml": r"ഉത്തരം",
    "kn": r"ಉತ್ತರ",
    "gu": r"જવાબ",
    "pa": r"ਜਵਾਬ|ਉੱਤਰ",
    "ne": r"उत्तर",
    "my": r"အဖြေ",
    "km": r"ចម្លើយ",
    "ka": r"პასუხი",
    "hy": r"պատասխան(?:ը)?",
    "am": r"መልስ|መልሱ",
    "yo": r"idahun",
    "la": r"responsum",
    "eo": r"respondo",
}
"""What a reply calls its answer."""

OPTION = {
    "en": r"options?|choices?|statements?|letter|selection|response|exception|solution|conclusion|winner|pick|vote|bet|verdict|key",
    "zh": r"选项|结论",
    "de": r"option|auswahl|wahl|aussage|buchstabe",
    "fr": r"option|choix|lettre|proposition|affirmation",
    "es": r"opción|alternativa|letra|elección|afirmación",
    "pt": r"opção|alternativa|letra|escolha|afirmação",
    "it": r"opzione|lettera|scelta|alternativa|affermazione",
    "nl": r"optie|keuze",
    "pl": r"opcja|opcją|wariant",
    "cs": r"možnost|varianta",
    "ro": r"opțiunea|varianta",
    "sv": r"alternativ(?:et)?",
    "ru": r"вариант(?:ом)?|выбор|утверждение",
    "uk": r"варіант",
    "tr": r"seçenek|seçeneği|şık|şıkkı",
    "id": r"pilihan(?:nya)?|opsi",
    "vi": r"phương án|lựa chọn",
    "ja": r"選択肢",
    "ko": r"선택지|보기",
    "ar": r"الخيار|الاختيار",
    "hi": r"विकल्प",
    "th": r"ตัวเลือก|ข้อ",
}
"""What a reply calls the option that it chooses."""

IS = {
    "en": r"is|are|be|was|equals",
    "zh": r"是|为|等于|选择|选",
    "de": r"ist|sind|lautet|lauten|beträgt|wäre",
    "fr": r"est|sont|serait",
    "es": r"es|son|sería",
    "pt": r"é|são|seria",
    "it": r"è|sono|sarebbe",
    "nl": r"is",
    "pl": r"to|jest|brzmi",
    "cs": r"je|zní",
    "ro": r"este|e",
    "sv": r"är|er",
    "fi": r"on",
    "ru": r"это|равен|равна|равно|является|будет",
    "uk": r"це",
    "el": r"είναι",
    "id": r"adalah|ialah|yaitu",
    "vi": r"là",
    "sw": r"ni",
    "ja": r"は|が",
    "ko": r"은|는|이",
    "ar": r"هي|هو",
    "he": r"היא|הוא",
    "hi": r"है",
    "bn": r"হল|হলো|হচ্ছে",
    "th": r"คือ|เป็น",
    "ms": r"ialah|adalah",
    "tl": r"ay",
    "da": r"er",
    "no": r"er",
    "sk": r"je",
    "hr": r"je",
    "sr": r"је",
    "bg": r"е",
    "lt": r"yra",
    "lv": r"ir",
    "et": r"on",
    "hu": r"az?",
    "am": r"ነው",
}

CORRECT = {
    "en": r"correct|right|true|accurate",
    "zh": r"正确|对|符合",
    "de": r"richtig|korrekt|wahr|stimmt",
    "fr": r"correcte?s?|vraie?s?|exacte?s?|bonne|juste",
    "es": r"correct[ao]s?|verdader[ao]s?|cierto",
    "pt": r"corret[ao]s?|verdadeir[ao]s?|cert[ao]",
    "it": r"corrett[ao]|ver[ao]|giust[ao]|esatt[ao]",
    "ru": r"верно|верен|верна|правильно|правильный|верный|истинно",
    "ja": r"正しい|正解",
    "ko": r"맞습니다|옳습니다|정답입니다",
    "tr": r"doğru|doğrudur",
    "vi": r"đúng",
    "ar": r"صحيح|صحيحة",
    "hi": r"सही",
    "id": r"benar",
}

WRONG = {
    "en": r"wrong|incorrect|false|untrue|invalid|inaccurate|mistaken|out|impossible|implausible|ruled out|eliminated"
    r"|excluded|discarded|rejected|off the table|too (?:small|large|big|low|high|few|many|little|much|short|long)",
    "zh": r"错误|不正确|不对|错|不符合|排除|不选|不是答案|有误",
    "de": r"falsch|inkorrekt|unzutreffend|ausgeschlossen|stimmt nicht|nicht richtig",
    "fr": r"faux|fausses?|incorrecte?s?|inexacte?s?|exclue?s?|écartée?s?|erronée?s?",
    "es": r"fals[ao]s?|incorrect[ao]s?|descartad[ao]s?|errone[ao]s?|erróne[ao]s?|equivocad[ao]s?",
    "pt": r"fals[ao]s?|incorret[ao]s?|errad[ao]s?|descartad[ao]s?|excluíd[ao]s?",
    "it": r"fals[ao]|sbagliat[ao]|scorrett[ao]|errat[ao]|esclus[ao]|scartat[ao]",
    "ru": r"неверно|неверен|неверна|неверный|неправильно|неправильный|ложно|ошибочно|исключён|исключен|не подходит",
    "ja": r"誤り|間違い|間違っている|不正解|正しくない|違う|違います|ではない|ではありません",
    "ko": r"틀렸습니다|틀렸|틀립니다|틀린|오답|아닙니다|아니다|제외",
    "tr": r"yanlış|yanlıştır|hatalı|değil|değildir|elenir",
    "vi": r"sai|không đúng|loại",
    "ar": r"خطأ|خاطئ|خاطئة|غير صحيح|غير صحيحة|مستبعد",
    "hi": r"ग़लत|गलत|सही नहीं",
    "id": r"salah|keliru|tidak benar",
    "nl": r"fout|onjuist|verkeerd",
    "uk": r"неправильн\w*|невірн\w*|хибн\w*",
    "cs": r"špatně|nesprávn\w*|chybn\w*",
    "ro": r"greșit\w*|incorect\w*",
    "sv": r"fel|felaktig\w*|feil|forkert",
    "fi": r"väärin|väärä",
    "el": r"λάθος|λανθασμέν\w*",
    "th": r"ผิด|ไม่ถูก",
    "bn": r"ভুল",
    "fa": r"غلط|نادرست",
    "pl": r"błędna|błędny|niepoprawna|fałszywa|nieprawidłowa",
}
"""What is said of an answer or an option that is not taken."""

NOT = {
    "en": r"not|never|no longer|cannot|can't|isn't|aren't|wasn't|don't|doesn't|didn't|won't|wouldn't|couldn't"
    r"|shouldn't|neither|nor",
    "zh": r"不是|并非|不等于|不为|不应|不选|不能|不可能|没有|无法|而非|不会",
    "de": r"nicht|kein|keine|keinen|niemals|weder",
    "fr": r"n[e'’].{1,20}pas|pas|jamais|aucune?",
    "es": r"no es|no son|no puede|no sería|nunca|tampoco|no hay|no se|no está|no cumple",
    "pt": r"não|nunca|nem",
    "it": r"non(?!-)|né",
    "ru": r"не|нет|никогда",
    "uk": r"не|ні",
    "ja": r"ではない|ではありません|じゃない|でない|合わない|ません|わけではない",
    "ko": r"아닙니다|아니다|아니라|아닌|않습니다|않다|않는|없습니다",
    "tr": r"değil|değildir|olamaz|yok",
    "vi": r"không|chẳng|chưa",
    "ar": r"ليس|ليست|لا|لم|لن|غير",
    "fa": r"نیست",
    "he": r"לא|אינו|אינה",
    "hi": r"नहीं|मत",
    "bn": r"নয়|না",
    "th": r"ไม่ใช่|ไม่",
    "id": r"bukan|bukanlah|tidak",
    "nl": r"niet|geen",
    "pl": r"nie",
    "cs": r"není|nejsou",
    "sv": r"inte|ikke",
    "fi": r"ei ole|eivät",
    "sw": r"si sahihi|hapana",
    "te": r"కాదు",
}

CHOOSES = {
    "en": r"(?:i|we)(?:'d|'ll|'m|'re| am| are)? {0,6}(?:would|will|must|can|should|have to)? {0,6}(?:go|going|bet|betting) (?:with|on)"
    r"|(?:i|we)(?:'d|'ll| would| will| must| should)? {0,6}(?:choose|pick|select|chose|answer|say)"
    r"|(?:believe|think|guess|say|so|thus|hence|but)(?: that)? it(?:'s| is| must be| should be| would be"
    r"| could be| might be| may be)"
    r"|guess(?: is| would be| it's)?[:,]?|leav(?:es|ing)(?: us)?(?: with)?(?: only)?|must be|has to be"
    r"|best fit is|correct(?:ion)?\s?:"
    r"|(?:you |let['’]?s |we |i )?(?:(?:should|will|would|can|must|have to) )?(?:choose|pick|select|go with|opt for|settle on)",
    "de": r"ich (?:wähle|nehme)|wähle",
    "fr": r"je choisis|choisissons",
    "es": r"elijo|escojo|elegimos|selecciono",
    "pt": r"escolho|escolhemos|seleciono",
    "it": r"scelgo|scegliamo",
    "ru": r"выбираю|выбираем|верно|правильно",
    "vi": r"chọn",
    "id": r"saya (?:memilih|pilih)",
    "nl": r"ik kies",
    "pl": r"wybieram",
    "th": r"ตอบ|เลือก",
}

RETRACTS = {
    "en": r"i (?:(?:just|then|have|had|actually|must have|seem to have|also|really|clearly) ){0,2}"
    r"(?:misread|misspoke|misstated|miscounted|miscalculated|miscomputed|misremembered|misinterpreted|misunderstood"
    r"|misapplied|mistyped|overlooked|forgot|messed up|mixed up|slipped up|erred|goofed|blundered|got it wrong"
    r"|got (?:that|this) wrong|was (?:wrong|mistaken|off|incorrect)|double[- ]counted|swapped|confused"
    r"|(?:made|found|see|spotted|notice|noticed|caught) (?:an?|my|the|some) (?:\w+ ){0,2}(?:mistake|error|slip"
    r"|blunder)"
    r"|need to (?:correct|revise|change|fix)|take (?:that|it|this) back|stand corrected|meant|mean|meant to say"
    r"|withdraw|retract|change my (?:mind|answer)|should have)"
    r"|let me (?:correct|fix|revise|change) (?:that|this|it|my|myself)"
    r"|(?:that|this|it|which|my (?:\w+ )?answer|the (?:above|previous|first|earlier)(?: \w+)?)(?: (?:is|was|'s)"
    r"|['’]s)"
    r"(?: (?:actually|clearly|in fact|simply|just))? (?:wrong|incorrect|not right|not correct|mistaken|a mistake"
    r"|an error|in error|off by)"
    r"|(?:that|this|it|which) (?:isn['’]t|can['’]t be|wasn['’]t|is not|cannot be|was not|doesn['’]t look) "
    r"(?:right|correct|it|true|the answer|quite right)"
    r"|scratch that|strike that|make that|forget (?:that|it|what i said)|disregard (?:that|this|the|my|what)"
    r"|ignore (?:that|this|the above|my|what i said)"
    r"|my (?:mistake|bad|error|apologies)|oops|whoops|correction(?=\s*[:—–-]|\.?\s*$)|erratum|errata|i apologi[sz]e|apologies"
    r"|on second thoughts?|no, (?:wait|sorry|actually|it)|i retract|changing my answer|changed my mind|let me restart"
    r"|(?:there (?:is|was)|there's) (?:a|an) (?:\w+ )?(?:mistake|error|slip) (?:in|above|there|here)",
    "zh": r"我(?:算|看|记|弄|搞|写|说|数|想|选)?错了|更正|修正一下|纠正|抱歉|对不起|不对[，,。!！；;]|重新(?:考虑|计算|检查|审题|看|算)|(?:算|看|弄|写|数|读)错",
    "de": r"ich habe mich (?:verrechnet|vertan|geirrt|verzählt|verlesen|versprochen|verschrieben)|korrektur"
    r"|entschuldigung|mein fehler|das (?:ist|war|stimmt) (?:falsch|nicht|so nicht)|ich meinte|ich korrigiere"
    r"|nein, (?:warte|doch|es)|verzeihung|sorry",
    "fr": r"je me suis trompée?|correction(?=\s*:)|désolée?|pardon|mon erreur|erreur de ma part|je voulais dire"
    r"|c['’]est faux|excusez[- ]moi|je corrige|non, (?:en fait|c['’]est|attend)|au temps pour moi|autant pour moi",
    "es": r"me equivoqué|me he equivocado|corrección|perdón|lo siento|disculp[ae]|mi error|quise decir|eso está mal"
    r"|corrijo|no, (?:espera|en realidad|es)|me confundí|cometí un error",
    "pt": r"me enganei|enganei-me|errei|correção|desculpe?|meu erro|quis dizer|isso está errado|corrigindo|perdão"
    r"|cometi um erro|não, (?:espera|na verdade|é)|confundi",
    "it": r"mi sono sbagliat[oa]|ho sbagliato|correzione|scus(?:a|ate|i)|mio errore|errore mio|volevo dire"
    r"|è sbagliato|correggo|no, (?:aspetta|in realtà|è)|mi correggo|chiedo scusa",
    "ru": r"я ошибся|я ошиблась|ошибся|ошиблась|поправка|исправление|исправляю|извините|простите|прошу прощения"
    r"|моя ошибка|я имел[аи]? в виду|это неверно|это неправильно|нет, (?:стоп|подожди|на самом|это)|виноват",
    "ja": r"間違えました|間違えた|間違いました|訂正|すみません|失礼|誤りでした|計算ミス|見間違|読み間違|ごめん|いえ、|いや、|違いました|申し訳",
    "ko": r"죄송|정정|실수했|실수가|틀렸네|잘못 (?:계산|읽|봤|세|말|이해)|미안|아니요,|아니,|제가 틀렸",
    "ar": r"لقد أخطأت|أخطأت|تصحيح|عذر[اًا]|عذرا|آسف|معذرة|خطأ مني|أقصد|قصدت|هذا خطأ",
    "tr": r"yanıldım|hata yaptım|düzeltme|özür dilerim|pardon|yanlış (?:okudum|hesapladım|saydım|oldu)|benim hatam"
    r"|demek istedi[ğm]im|düzeltiyorum|kusura bakma(?:yın)?|hayır, ",
    "hi": r"मुझसे (?:गलती|ग़लती)|सुधार|माफ़ कीजिए|माफ़|माफ|क्षमा|गलती (?:हो|हुई)|ग़लती (?:हो|हुई)|मैंने (?:गलत|ग़लत)",
    "vi": r"tôi (?:đã )?(?:nhầm|sai|tính sai|đọc nhầm|tính nhầm|đếm nhầm)|đính chính|xin lỗi|sửa lại|ý tôi là|nhầm rồi|không, ",
    "id": r"saya (?:salah|keliru)|maaf|koreksi|ralat|maksud saya|itu salah|kesalahan saya",
    "nl": r"ik heb me vergist|correctie|sorry|mijn fout|dat klopt niet|ik bedoel(?:de)?|foutje",
    "pl": r"pomyliłem się|pomyliłam się|korekta|poprawka|przepraszam|mój błąd|miałem na myśli|to błąd",
    "cs": r"spletl jsem se|oprava|omlouvám se|promiňte|moje chyba",
    "sv": r"jag hade fel|rättelse|förlåt|mitt fel|ursäkta|jag menade",
    "uk": r"я помиливс?я|я помилилася|виправлення|вибачте|перепрошую",
    "th": r"ขอโทษ|ขออภัย|แก้ไข|ผิดพลาด|ผมคิดผิด",
    "fa": r"اشتباه کردم|تصحیح|ببخشید|متأسفم",
}
"""What takes back what was said before."""

RECONSIDERS = {
    "en": r"wait|hold on|hang on|hmm+|actually|in fact|on reflection|upon reflection|on closer \w+|on checking"
    r"|checking again|on rechecking|after rechecking|recheck(?:ing)?|recomput(?:e|ing)|recount(?:ing)?"
    r"|recalculat(?:e|ing)|re-?read(?:ing)?|re-?examin(?:e|ing)|looking (?:again|back|closer|more closely)"
    r"|thinking (?:again|about it)|on (?:re-?\w+|review)|upon (?:re-?\w+|review|checking|closer \w+)"
    r"|after (?:review|a second)"
    r"|to correct|revised|instead|sorry|edit|update|rather|no|hm|let me (?:re\w+|double[- ]check|check|think"
    r"|look|see)",
    "zh": r"等等|等一下|等下|且慢|其实|实际上|不[，,]|应该是|应为|应是|再想想|再检查|仔细",
    "de": r"moment|halt|warte|stopp|eigentlich|tatsächlich|nein|doch",
    "fr": r"attend(?:s|ez)|en fait|en réalité|à la réflexion|non|plutôt|finalement",
    "es": r"espera|espere|un momento|en realidad|pensándolo bien|no,|mejor dicho|de hecho",
    "pt": r"espere?a?|um momento|na verdade|pensando bem|não,|aliás|melhor dizendo",
    "it": r"aspetta|un momento|in realtà|ripensandoci|no,|anzi|a ripensarci",
    "ru": r"подождите|подожди|постойте|стоп|на самом деле|хотя нет|нет,|точнее|вернее|погодите",
    "ja": r"待って|いや|実は|実際|よく考え|再計算|正しくは|やはり|ちょっと",
    "ko": r"잠깐|잠시만|사실|다시|아니",
    "ar": r"انتظر|لحظة|في الواقع|في الحقيقة|بل|كلا",
    "tr": r"bekle|dur|aslında|bir dakika|hayır|durun",
    "hi": r"रुको|रुकिए|रुकें|ठहरिए|असल में|दरअसल|वास्तव में",
    "vi": r"khoan|chờ|đợi|thực ra|thật ra|không phải",
    "id": r"tunggu|sebenarnya|sebentar|eh",
    "nl": r"wacht|eigenlijk|nee|toch",
    "pl": r"czekaj|chwila|zaraz|właściwie|jednak",
    "cs": r"počkat|počkej|vlastně|moment",
    "sv": r"vänta|egentligen|nej",
    "uk": r"зачекайте|насправді|стривайте",
    "th": r"เดี๋ยว|จริงๆ แล้ว|ที่จริง",
    "fa": r"صبر کن|در واقع",
}
"""What opens a second thought: it counts where another value is stated behind it."""

HEDGES = {
    "en": r"(?:or )?(?:maybe|perhaps|possibly)|(?:it |this |that |the answer )?(?:might|could|may)(?: (?:well|also|equally|just as well|instead))*"
    r" be|or else|alternatively|or",
    "zh": r"也可能是|或者|也许是|可能是|或",
    "de": r"oder|vielleicht|möglicherweise|es könnte auch",
    "fr": r"ou|peut-être|possiblement",
    "es": r"o|quizás?|tal vez|posiblemente",
    "pt": r"ou|talvez|possivelmente",
    "it": r"o|oppure|forse|magari",
    "ru": r"или|возможно|может быть",
    "ja": r"または|もしくは|かもしれ|あるいは",
    "ko": r"또는|아니면|혹은",
    "ar": r"أو|ربما",
    "tr": r"veya|ya da|belki",
    "hi": r"या|शायद",
    "vi": r"hoặc|có lẽ",
    "id": r"atau|mungkin",
}
"""What puts another value beside the one just claimed."""

THEREFORE = {
    "en": r"therefore|thus|hence|so|in total|altogether|in conclusion|to conclude|finally|consequently|overall|we (?:conclude|get|obtain|find)|this (?:gives|means|yields)",
    "zh": r"因此|所以|综上(?:所述)?|故|答|总共|一共|于是|从而|可得|得到",
    "de": r"daher|somit|folglich|insgesamt|deshalb|demnach",
    "fr": r"donc|ainsi|par conséquent|au total",
    "es": r"por lo tanto|por tanto|así que|en total|entonces|luego",
    "pt": r"portanto|logo|assim|ao todo|no total",
    "it": r"quindi|dunque|pertanto|perciò|in totale",
    "ru": r"следовательно|итак|поэтому|значит|таким образом|всего",
    "ja": r"したがって|よって|ゆえに|つまり|合計|以上より",
    "ko": r"따라서|그러므로|그래서|총",
    "ar": r"إذن|لذلك|وبالتالي|إذا",
    "tr": r"bu nedenle|dolayısıyla|böylece|öyleyse|toplamda",
    "hi": r"इसलिए|अतः|कुल",
    "vi": r"vậy|do đó|vì vậy|suy ra|tổng cộng",
    "id": r"jadi|oleh karena itu|dengan demikian|maka",
}

CHATTER = {
    "en": r"(?:i )?hope (?:this|that|it)\b.*|i hope.*|let me know.*|feel free.*|(?:please )?(?:do )?(?:not hesitate|ask|reach out).*"
    r"|is there anything.*|(?:do you|would you|if you) (?:have|need|want|like|would|'d).*|good luck.*|thank(?:s"
    r"| you).*|happy .*|have a .*"
    r"|you(?:'re| are) welcome.*|cheers.*|best (?:regards|wishes|of luck).*|enjoy.*|great question.*"
    r"|any (?:other |more |further )?questions.*"
    r"|(?:\*|_)?generated (?:by|with|using).*|as an ai.*|glad to help.*|sincerely.*|hope .*|need (?:more|further"
    r"|any).*"
    r"|(?:stay|keep) .*|this (?:was|is) a (?:nice|fun|great|good) .*|q\.?\s?e\.?\s?d\.?|what a .*"
    r"|end of (?:answer|response|solution).*"
    r"|(?:my )?confidence(?: level| score)?\s?[:=(is]{0,3}.*|i(?:'m| am) (?:\w+ ){0,3}(?:confident|sure|certain).*"
    r"|(?:total )?tokens? .*|sources?:.*|references?:.*|disclaimer.*",
    "zh": r"希望.*|如果(?:你|您|还)?有.*|(?:请|欢迎).*(?:告诉|提问|联系|问).*|谢谢.*|祝.*|不客气.*|还有(?:什么|其他).*|加油.*",
    "de": r"ich hoffe.*|lass(?:en sie)? (?:es )?mich wissen.*|viel (?:erfolg|glück|spaß).*|danke.*|gern geschehen.*|bei (?:weiteren )?fragen.*|falls du.*|wenn sie.*",
    "fr": r"j['’]espère.*|n['’]hésitez pas.*|n['’]hésite pas.*|bonne (?:chance|journée).*|merci.*|si vous avez.*|de rien.*",
    "es": r"espero que.*|no dudes en.*|no dude en.*|¡?buena suerte.*|gracias.*|si tienes.*|si necesitas.*|¡?suerte.*|avísame.*",
    "pt": r"espero (?:que|ter).*|fique à vontade.*|boa sorte.*|obrigad[oa].*|se (?:você )?(?:tiver|precisar).*|não hesite.*|bons estudos.*",
    "it": r"spero (?:che|di).*|fammi sapere.*|buona fortuna.*|grazie.*|se hai.*|non esitare.*",
    "ru": r"надеюсь.*|если (?:у вас|вам|есть).*|удачи.*|спасибо.*|обращайтесь.*|дайте знать.*",
    "ja": r"お役に立て.*|参考に.*|ご(?:質問|不明).*|頑張って.*|ありがとう.*|何か.*",
    "ko": r"도움이.*|궁금.*|감사합니다.*|행운을.*|질문.*|더 필요.*",
    "ar": r"(?:آمل|أتمنى|أرجو).*|شكر[اًا].*|بالتوفيق.*|إذا كان.*|لا تتردد.*",
    "tr": r"umarım.*|yardımcı .*|teşekkür.*|iyi (?:şanslar|günler|çalışmalar).*|başka .*|kolay gelsin.*",
    "hi": r"(?:मुझे )?(?:उम्मीद|आशा) है.*|धन्यवाद.*|शुभकामनाएँ.*|अगर आप.*|यदि आप.*",
    "vi": r"hy vọng.*|cảm ơn.*|chúc .*|nếu (?:bạn|có).*|hãy cho.*",
    "id": r"semoga .*|terima kasih.*|jika (?:anda|ada|kamu).*|selamat .*",
    "nl": r"ik hoop.*|succes.*|laat (?:het )?me weten.*|bedankt.*",
    "pl": r"mam nadzieję.*|powodzenia.*|dziękuję.*|daj znać.*",
}
"""What is said for politeness behind an answer: whole sentences."""

REMARKS = {
    "en": r"note|notice|remember|recall|be careful|keep in mind|don['’]t forget|check|checking|verification|verify|to (?:check|verify|confirm|double-check)"
    r"|we can (?:also )?(?:verify|check|confirm|see that this)|double-check|sanity check|this (?:answer|result|value|took|matches|agrees|assumes|method|approach|works|follows|problem|question|uses)"
    r"|(?:this|that|it|which) (?:is|was) (?:reasonable|consistent|because|why|correct|right|less|more|greater|smaller|larger|the same as|also|due|based|well|in line|exactly what|supported|not|a (?:good|nice|standard|common|classic|well|simple|prime))"
    r"|this (?:makes sense|is (?:a|an|the) )|the (?:answer|result|value) (?:must be|is (?:rounded|reasonable|consistent|expressed|given|correct|exact|approximate|in)|can (?:also )?be (?:checked|verified|confirmed)|makes sense|agrees|matches)"
    r"|the (?:units?|method|proof|other (?:options|choices|answers)|remaining|second[- ]best|next[- ]best|runner[- ]up|most tempting|wrong|closest (?:alternative|other)|alternative)"
    r"|in general|generally|for (?:reference|comparison|example|more)|see|source|hopefully|does (?:that|this)|confidence|hint|tip|caution|warning|disclaimer|p\.?s\.?|by the way|incidentally|interestingly"
    r"|(?:\W)?answer key|explanation|reason(?:ing)?|therefore,? the (?:solution|proof) is complete|all (?:other|the other|remaining)|none of the other|students?"
    r"|\(?[A-J]\)? is (?:a|also|not|wrong|incorrect|tempting|out)|a close second|vitamin|an answer of",
    "zh": r"注意|验证|检验|检查|提示|说明|备注|其他选项|另外|顺便|解析|这个答案|该答案",
    "de": r"probe|überprüfung|hinweis|beachte|anmerkung|kontrolle|zur kontrolle|die anderen",
    "fr": r"vérification|remarque|note|attention|notez|les autres",
    "es": r"comprobación|verificación|nota|observa|recuerda|ojo|las otras|las demás",
    "pt": r"verificação|nota|observação|lembre|prova real|as outras|as demais",
    "it": r"verifica|nota|osserva|ricorda|attenzione|le altre",
    "ru": r"проверка|проверим|примечание|заметим|обратите внимание|остальные",
    "uk": r"перевірка|примітка",
    "ja": r"確認|検算|注意|なお|ちなみに|他の選択肢",
    "ko": r"확인|검산|참고|주의|나머지",
    "ar": r"للتحقق|التحقق|ملاحظة|تنبيه",
    "tr": r"kontrol|sağlama|not|dikkat|doğrulama|diğer",
    "hi": r"जाँच|जांच|ध्यान|नोट|सत्यापन",
    "vi": r"kiểm tra|lưu ý|chú ý|ghi chú|các đáp án",
    "id": r"periksa|pemeriksaan|catatan|perhatikan|pilihan lain",
    "nl": r"controle|let op|opmerking",
    "pl": r"sprawdzenie|uwaga|pozostałe",
    "th": r"ตรวจสอบ|หมายเหตุ",
    "sw": r"hakiki|kumbuka",
    "bn": r"যাচাই|দ্রষ্টব্য",
    "te": r"తనిఖీ|గమనిక",
}
"""How a sentence begins that only remarks on the answer stated before: a check, a unit, advice, the other options."""

REFUSES = {
    "en": r"(?:can['’]?t|cannot|can not|unable to|not able to|won['’]t|could not|couldn['’]t) "
    r"(?:\w+ ){0,3}(?:help|assist|answer|solve|determine|be determined|say|tell|decide|choose|provide|do this"
    r"|do that|comply|complete|conclude|find|view|see|finish|continue)"
    r"|(?:insufficient|not enough|without more|need more|lack of|missing|more) (?:information|data|context|details)"
    r"|i (?:do not|don['’]t) know|not sure|no idea|as an ai|give up|(?:ran|running|run) out of|unclear|inconclusive|not able to|unknown|i refuse|not possible to"
    r"|impossible to (?:say|tell|determine)",
    "zh": r"无法(?:回答|确定|判断|解答|得出|帮助|提供)|不能(?:回答|确定)|不知道|不确定|信息不足|条件不足|没有足够|抱歉",
    "de": r"kann (?:\w+ ){0,4}nicht|weiß (?:\w+ )?nicht|nicht genügend|nicht sicher|keine ahnung",
    "fr": r"ne (?:peux|sais|puis) pas|pas assez|impossible de|pas sûr",
    "es": r"no (?:puedo|sé|se puede)|información insuficiente|no estoy segur[oa]|no hay suficiente",
    "pt": r"não (?:posso|sei|consigo|é possível)|informações? insuficientes?|não tenho certeza",
    "it": r"non (?:posso|so|è possibile)|informazioni insufficienti|non sono sicur[oa]",
    "ru": r"не могу|не знаю|недостаточно|невозможно|не уверена?",
    "ja": r"わかりません|分かりません|できません|不十分|判断できない|答えられ",
    "ko": r"모르겠|할 수 없|알 수 없|부족|불가능",
    "ar": r"لا (?:أستطيع|يمكنني|أعرف|يمكن)|غير كافية|لست متأكد",
    "tr": r"bilmiyorum|yapamam|yeterli (?:bilgi|veri)|emin değilim|belirlenemez|yardımcı olamam",
    "hi": r"नहीं (?:कर सकता|जानता|पता|बता सकता)|पर्याप्त|असमर्थ",
    "vi": r"không (?:thể|biết|đủ|chắc)",
    "id": r"tidak (?:bisa|dapat|tahu|cukup|yakin)",
}
"""What says that there is no answer."""


def any_of(table: dict[str, str], languages: Iterable[str] | None = None) -> str:
    """The alternation of a table's phrases, or of those of some languages."""
    chosen = table if languages is None else {name: table[name] for name in languages if name in table}
    spaced = "|".join(phrases for language, phrases in chosen.items() if language not in _NO_SPACES)
    joined = "|".join(phrases for language, phrases in chosen.items() if language in _NO_SPACES)
    return "|".join(part for part in (rf"(?<!\w)(?:{spaced})(?!\w)" if spaced else "", joined) if part)


def compiled(table: dict[str, str]) -> re.Pattern[str]:
    return re.compile(any_of(table), re.IGNORECASE)
