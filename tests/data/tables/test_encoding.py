"""The encoding of texts is told from their letters, or not told."""

import pytest

from jointune.data.tables.encoding import decode_utf8, detect_encoding

TWEETS = {
    "French": ("cp1252", ["Quelle belle journée à la plage", "Ça m’énerve…", "Très déçu", "Mon frère, c’est où ?"]),
    "German": ("cp1252", ["Schönes Wetter, ab in den Garten!", "so ein Ärger", "Das Essen war köstlich – Grüße"]),
    "Spanish": ("cp1252", ["¡Qué día tan bonito!", "Mañana empieza el año, ¿quién viene?", "Mi corazón"]),
    "Portuguese": ("cp1252", ["Não há melhor", "O comboio está atrasado", "Três dias de chuva, que opinião"]),
    "English": ("cp1252", ["It can’t be better – “wow”", "I don’t like it…", "My café costs £3"]),
    "Polish": ("cp1250", ["Piękny dzień na plaży", "Pociąg się spóźnia", "Żałuję, ten film był nudny"]),
    "Czech": ("cp1250", ["Krásný den na pláži", "Vlak má zase zpoždění", "Už třetí den prší"]),
    "Hungarian": (
        "cp1250",
        ["Gyönyörű nap a strandon!", "Hová tűnt a nyár? Hűvös idő", "Megnyerte, büszke vagyok rá őszintén"],
    ),
    "Turkish": ("cp1254", ["Bugün hava çok güzel", "Tren yine geç kaldı", "Film çok sıkıcıydı, hiç beğenmedim"]),
    "Lithuanian": (
        "cp1257",
        ["Kokia graži diena prie jūros", "Traukinys vėl vėluoja, pavargau", "Šaunu, laimėjo varžybas"],
    ),
    "Russian": ("cp1251", ["Какой прекрасный день!", "Поезд снова опаздывает", "УРА ПОБЕДА"]),
    "Russian in KOI8": ("koi8-r", ["Какой прекрасный день!", "Поезд снова опаздывает", "УРА ПОБЕДА"]),
    "Ukrainian": ("cp1251", ["Який чудовий день на пляжі!", "Потяг знову запізнюється"]),
    "Greek": ("cp1253", ["Τι όμορφη μέρα στην παραλία!", "Το τρένο άργησε πάλι, δεν αντέχω"]),
    "Hebrew": ("cp1255", ["איזה יום יפה בים!", "הרכבת שוב מאחרת, אני לא יכול יותר"]),
    "Arabic": ("cp1256", ["يا له من يوم جميل على الشاطئ!", "القطار متأخر مرة أخرى"]),
    "Thai": ("cp874", ["วันนี้อากาศดีมาก ไปเที่ยวทะเลกัน", "รถไฟมาสายอีกแล้ว"]),
    "Chinese": ("gb18030", ["今天天气真好，我们去海边玩。", "火车又晚点了！", "NBA真好看"]),
    "Chinese in Big5": ("big5", ["今天天氣真好，我們去海邊玩。", "火車又誤點了！"]),
    "Japanese": ("shift_jis", ["今日はとてもいい天気ですね。", "電車がまた遅れています", "ｱﾆﾒの話"]),
    "Japanese in EUC": ("euc_jp", ["今日はとてもいい天気ですね。", "電車がまた遅れています"]),
    "Korean": ("cp949", ["오늘 날씨가 정말 좋네요", "기차가 또 늦었어요, 화가 나요"]),
    "English with Chinese quotation marks": ("gb18030", ["I can’t wait…", "She said “never again” and left"]),
    "several languages at once": (
        "cp1252",
        ["Quelle journée à la plage", "Schönes Wetter", "¡Qué día!", "não há", "It’s fine"],
    ),
}


@pytest.mark.parametrize("language", TWEETS)
def test_a_few_tweets_tell_their_encoding(language):
    encoding, texts = TWEETS[language]
    contents = [content for text in texts if decode_utf8(content := text.encode(encoding)) is None]
    found = detect_encoding(contents).encoding
    assert found, detect_encoding(contents)
    assert [content.decode(found) for content in contents] == [content.decode(encoding) for content in contents]


@pytest.mark.parametrize(("text", "encoding", "rival"), [("vőlegény", "cp1250", "cp1252"), ("não", "cp1252", "cp1250")])
def test_what_could_be_several_is_none(text, encoding, rival):
    found = detect_encoding([text.encode(encoding)])
    assert found.encoding is None
    assert {encoding, rival} <= set(found.candidates), found
    assert " and " in found.reason


def test_what_fits_nowhere_is_none():
    found = detect_encoding([bytes(range(128, 256)), b"\x81\x8d\x8f\x90\x9d \xff"])
    assert (found.encoding, found.candidates, found.reason) == (None, (), "no encoding that was tried fits")


def test_the_encoding_that_is_known_is_taken_unless_another_is_far_likelier():
    assert detect_encoding(["vőlegény".encode("cp1250")], known="cp1250").encoding == "cp1250"
    french = [text.encode("cp1252") for text in TWEETS["French"][1]]
    assert detect_encoding(french, known="gb18030").encoding == "cp1252"


def test_one_that_is_broken_does_not_keep_the_others_from_being_told():
    contents = [f"It’s number {number}…".encode("gb18030") for number in range(20)] + [b"broken \xa1"]
    assert detect_encoding(contents).encoding == "gb18030"
