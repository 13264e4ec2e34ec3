"""How many texts are cut, and how many words a tokenizer does not know: numbers, and from when on a note."""

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from conftest import make_tokenizer_folder
from jointune import JointClassifier, JointuneWarning, Posts, SettingsError
from jointune.data.post import Post
from jointune.encoders.tokenizer_alone import load_tokenizer
from jointune.errors import EncoderError
from jointune.modalities.text.normalise import KINDS
from jointune.modalities.text.text_fit import TextFit, TextFitCounter
from jointune.modalities.text.tokens import TextPreprocessor

ENGLISH = [
    "the best day ever, I love my job",
    "what a great match last night!",
    "never buying from that shop again",
] * 9
SLANG = ["lmao tbh idk y he did that smh", "omg soooo cute ikr <3 :)", "gr8 gig 2nite, u comin? #FOMO", "100% #1 !!!"]
FOREIGN = {
    "Hindi": "यह एक बहुत अच्छा दिन है",
    "Arabic": "هذا يوم جميل جدا",
    "Thai": "วันนี้อากาศดีมาก",
    "Chinese": "今天天气很好、我们去公园玩",
    "Japanese": "今日はいい天気ですね",
    "Korean": "오늘 날씨가 정말 좋아요",
    "Russian": "сегодня был прекрасный день",
    "emoji": "😀😂 🤷 🔥🔥",
}


def fit(texts, text):
    counter = TextFitCounter(text)
    counter.add(text.encode(texts), [Post(text) for text in texts])
    return counter.result()


@pytest.fixture
def tiny(tmp_path):
    make_tokenizer_folder(tmp_path)
    return TextPreprocessor(Tokenizer.from_file(str(tmp_path / "tokenizer.json")), 12)


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_ = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(ENGLISH, trainers.BpeTrainer(vocab_size=2000, initial_alphabet=bytes_))
    return TextPreprocessor(tokenizer, 128)


def sentence_pieces():
    """As in Llama and its like: words are not parted beforehand, and what is unknown becomes bytes."""
    words = {f"▁{word}" for text in ENGLISH for word in text.split()}
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *sorted(words)]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return TextPreprocessor(tokenizer, 128)


@pytest.mark.parametrize("language", FOREIGN)
@pytest.mark.parametrize("make", [lambda: load_tokenizer("minilm-l6"), byte_level, sentence_pieces])
def test_what_an_english_tokenizer_sees_as_letters_or_not_at_all(language, make):
    found = fit([FOREIGN[language]], make())
    assert found.unknown_words > 0.6
    assert any("Choose a text encoder for the language" in note for note in found.notes("mine"))


def test_english_is_known_slang_and_named_emoji_included():
    text = load_tokenizer("minilm-l6", None, KINDS)
    found = fit([*ENGLISH, *SLANG, FOREIGN["emoji"]], text)
    assert found.unknown_words == 0
    assert found.notes("minilm-l6") == []
    for make in (byte_level, sentence_pieces):
        assert fit(ENGLISH, make()).unknown_words == 0


def test_a_tokenizer_made_for_single_characters_of_chinese_knows_them():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, **{c: i for i, c in enumerate("今天气很好我们去公园玩", 1)}}))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    assert fit(["今天天气很好我们去公园玩"], TextPreprocessor(tokenizer, 128)).unknown_words == 0


def test_unknown_words_are_a_share(tiny):
    assert fit(["good bad fine zzz"], tiny).unknown_words == 0.25
    assert fit(["good bad 17 !!!"], tiny).unknown_words == 0  # neither numbers nor punctuation
    assert fit(["good"] * 8999 + ["zzz"] * 1001, tiny).unknown_words == pytest.approx(0.1, abs=0.01)


def test_what_is_cut_is_counted(tiny):
    texts = ["good " * 10, "good " * 11, "good " * 20, "", "good " * 31]
    assert fit(texts, tiny) == TextFit(5, 12, cut=3, median_cut_off=10, longest=33, unknown_words=0)
    rows = tiny.encode(texts)
    assert [len(row) for row in rows] == [12, 12, 12, 2, 12]
    assert [row.cut_off for row in rows] == [0, 1, 10, 0, 21]
    assert [row.cut_off for row in tiny.encode(["good " * 4, "good " * 9], ["bad " * 5, "bad " * 9])] == [0, 9]
    assert fit([], tiny) == TextFit(0, 12, 0, 0, 0, 0.0)


def test_very_long_texts_are_estimated(tiny):
    (row,) = tiny.encode(["good " * 10_000])
    assert row.cut_off == pytest.approx(10_000, rel=0.02)
    (row,) = tiny.encode([" " * 1000 + "good"])  # of which not even the beginning is read
    assert row.cut_off > 0


def test_a_note_has_the_numbers_and_comes_from_five_percent_on(tiny):
    (note,) = fit(["good " * 40] * 112 + ["good"] * 188, tiny).notes("mine")
    assert note.startswith(
        "112 of 300 texts (37%) are cut at 12 tokens, and half of those lose 30 or more; the longest"
    )
    assert "has 42." in note
    assert "max_tokens" in note
    assert fit(["good " * 40] * 15 + ["good"] * 285, tiny).notes("mine") == []


def test_training_notes_it_and_the_card_has_the_numbers(tiny_settings, tmp_path):
    posts = Posts([Post(f"day {k} " + f"{'good' if k % 2 else 'bad'} " * 30, label="ab"[k % 2]) for k in range(40)])
    classifier = JointClassifier(**tiny_settings | {"max_tokens": 16, "epochs": 1})
    with pytest.warns(JointuneWarning, match=r"36 of 36 texts \(100%\) are cut at 16 tokens"):
        classifier.fit(posts)
    classifier.save(tmp_path / "bundle")
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert "Of 36 texts, 36 (100.0%) are cut at 16 tokens; the longest has 34." in card
    loaded = JointClassifier.load(tmp_path / "bundle")
    assert loaded.text_fit_ == classifier.text_fit_
    assert loaded.text_fit_["unknown_words"] == pytest.approx(1 / 13, abs=0.02)  # of those that are read
    assert loaded.predictor().card == card.replace("# bundle", "# model")


def test_a_tokenizer_alone_cuts_where_training_does(tiny_text, tiny_clip, tiny_siglip):
    from jointune.encoders.loading import load_text_encoder

    for name in ("minilm-l6", tiny_text, tiny_clip, tiny_siglip):
        assert load_tokenizer(name).max_tokens == load_text_encoder(name)[1].max_tokens
    assert load_tokenizer(tiny_text, 20).max_tokens == 20
    with pytest.raises(SettingsError, match=r"max_tokens=65.* takes 4 to 64 tokens"):
        load_tokenizer(tiny_text, 65)


@pytest.mark.parametrize(
    ("content", "says"), [(None, "has no tokenizer.json"), ("{}", "tokenizer.json is not a tokenizer")]
)
def test_folders_without_a_tokenizer(tmp_path, content, says):
    if content:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(EncoderError, match=says):
        load_tokenizer(str(tmp_path))
    with pytest.raises(EncoderError, match="neither built in nor a folder"):
        load_tokenizer("nobody/nothing")
