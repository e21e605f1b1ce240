import pandas as pd
import pytest

from unclip_pipeline.curation.captions import is_boilerplate, is_filename, measure_caption, mentions
from unclip_pipeline.curation.filter_config import BOILERPLATE, BOILERPLATE_PATTERNS
from unclip_pipeline.curation.languages import check_languages, guess_language


@pytest.mark.parametrize(
    ("caption", "words"),
    [("", 0), ("two words", 2), ("три слова есть", 3), ("it's", 2), ("犬が走る", 4), ("ein 猫 da", 3)],
)
def test_words_are_counted_in_any_script(caption, words):
    assert measure_caption(caption).caption_words == words


@pytest.mark.parametrize(
    ("caption", "answer"),
    [("DSC0012.JPG", True), (" photo-12.png ", True), ("https://a.b/c", True), ("a photo.png of it", False),
     ("flower", False)],
)  # fmt: skip
def test_file_names_and_addresses_are_not_captions(caption, answer):
    assert is_filename(caption) is answer
    assert measure_caption(caption).caption_is_filename is answer


def test_repetition_is_the_share_that_was_there_before():
    measured = measure_caption("buy now buy now buy now")
    assert measured.repeated_words == pytest.approx(4 / 6)
    assert measured.repeated_pairs == pytest.approx(3 / 5)
    assert measure_caption("no word twice here").repeated_words == 0


def test_the_longest_run_of_a_character_leaves_out_spaces():
    assert measure_caption("so      long").character_run == 1
    assert measure_caption("aaaa!!!!!!").character_run == 6


def test_symbols_are_neither_letters_nor_marks_on_them():
    assert measure_caption("ab12").symbol_share == 0.5
    assert measure_caption("हिन्दी").symbol_share == 0  # its vowel signs are marks
    assert measure_caption("   ").symbol_share == 0


def test_joiners_of_emoji_and_scripts_are_no_control_characters():
    assert measure_caption("👩\u200d🚀 in space\n").control_characters == 0
    assert measure_caption("a\x00b\ufffd\ue000").control_characters == 3


@pytest.mark.parametrize(
    ("caption", "answer"),
    [
        ("Untitled", True),
        ("  STOCK  photo!", True),
        ("a stock photo of a cat", False),
        ("Image 3 of 12", True),
        ("image of 3 cats", False),
        ("A lamp. Click to enlarge", True),
        ("framed picture", False),
    ],
)
def test_boilerplate_says_nothing_of_the_image(caption, answer):
    found = is_boilerplate(pd.Series([caption, "x"]), BOILERPLATE, BOILERPLATE_PATTERNS)
    assert found.tolist() == [answer, False]


def test_no_phrases_and_no_patterns_find_nothing():
    assert not is_boilerplate(pd.Series(["untitled", ""]), (), ()).any()


def test_mentions_are_whole_words_in_any_case():
    captions = pd.Series(["A NUDE", "nudel soup", "semi-nude"])
    assert mentions(captions, ["nude"]).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("caption", "language"),
    [
        ("ein Hund läuft über die Wiese", "de"),
        ("a long-haired farmer in front of a dark night sky", "en"),
        ("犬が走っている", "ja"),
    ],
)
def test_sentences_are_told_by_their_language(caption, language):
    guess = guess_language(caption)
    assert guess.language == language
    assert guess.language_probability > 0.5


def test_a_word_or_two_leave_the_language_in_doubt():
    assert all(
        guess_language(caption).language_probability < 0.5 for caption in ("chien", "a red circle", "")
    )


def test_an_unknown_code_is_an_error_that_lists_the_known_ones():
    check_languages(["en", "zh", "unknown"], "filter.languages")
    with pytest.raises(ValueError, match=r"filter.languages takes ISO 639 codes .* got \['english'\].*'en'"):
        check_languages(["english"], "filter.languages")
