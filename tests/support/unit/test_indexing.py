"""Building the index: the name says what is in it."""

import re
import shutil
import sqlite3
import threading
from contextlib import closing, suppress
from datetime import date
from pathlib import Path

import pytest

from app.domain.errors import Misconfigured
from app.features.support.indexing import (
    ARTICLES,
    Article,
    build,
    build_from,
    read_articles,
    read_sources,
    sources_of,
    version_in,
)
from app.features.support.retrieval import Retriever


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ARTICLES, tmp_path / "articles"))


def test_the_same_articles_always_have_the_same_version(tmp_path: Path, articles: Path) -> None:
    """B1: an index is pinned by its content."""
    first, second = build(tmp_path / "a", articles), build(tmp_path / "b")
    assert first.version == second.version
    assert re.fullmatch(r"support-kb-[0-9a-f]{12}", first.version)


def test_one_changed_word_is_another_version_and_leaves_the_old_file(tmp_path: Path, articles: Path) -> None:
    before = build(tmp_path / "index", articles)
    page = articles / "refund-times.md"
    page.write_text(page.read_text().replace("5 to 7 business days", "5 to 8 business days"))
    after = build(tmp_path / "index", articles)
    assert after.version != before.version
    assert Retriever(before.path).search("refund days card") != Retriever(after.path).search("refund days card")


def test_building_again_changes_nothing(tmp_path: Path) -> None:
    first = build(tmp_path)
    stamp = first.path.stat().st_mtime_ns
    second = build(tmp_path)
    assert (first.fresh, second.fresh) == (True, False)
    assert second.path.stat().st_mtime_ns == stamp


def test_builders_at_the_same_time_leave_one_whole_file_and_nothing_beside_it(tmp_path: Path) -> None:
    builders = [threading.Thread(target=build, args=(tmp_path,)) for _ in range(4)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    (only,) = tmp_path.iterdir()
    assert Retriever(only).search("refund")


def test_a_built_index_cannot_be_written_through_its_retriever(tmp_path: Path) -> None:
    path = build(tmp_path).path
    with pytest.raises(sqlite3.OperationalError), sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True) as database:
        database.execute("DELETE FROM articles")
    database.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no block at all", "begins with"),
        ("---\nid: refund-times\ntitle: T\ntopic: t\n---\n\nText.\n", "begins with"),
        ("---\nid: refund-times\ntitle: T\ntopic: t\nupdated: 2026-01-01\n---\n\n", "begins with"),
        ("---\nid: other\ntitle: T\ntopic: t\nupdated: 2026-01-01\n---\n\nText.\n", "file's name"),
        ("---\nid: refund-times\ntitle: T\ntopic: t\nupdated: soon\n---\n\nText.\n", "not a date"),
    ],
)
def test_an_article_not_in_form_is_refused_by_name(tmp_path: Path, articles: Path, text: str, why: str) -> None:
    (articles / "refund-times.md").write_text(text)
    with pytest.raises(Misconfigured, match=rf"refund-times\.md.*{why}"):
        build(tmp_path, articles)


def test_a_folder_without_articles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="holds no articles"):
        build(tmp_path / "index", tmp_path)


def test_every_article_is_of_a_size_to_be_shown_whole() -> None:
    sizes = {article.id: len(article.text.split()) for article in read_articles(ARTICLES)}
    assert len(sizes) >= 45
    assert {id_: size for id_, size in sizes.items() if not 120 <= size <= 250} == {}


def test_the_return_period_is_the_same_wherever_an_article_names_it() -> None:
    """The refund tool allows 30 days; no article may promise more."""
    promises = re.compile(r"\breturn\w*\b[^.]{0,60}?\bwithin (?:the )?(?:same )?(\d+) days of (?:its )?delivery")
    found = {days for article in read_articles(ARTICLES) for days in promises.findall(article.text)}
    assert found == {"30"}


def test_an_index_is_built_again_from_its_sources_after_its_articles_changed(tmp_path: Path, articles: Path) -> None:
    released = build(tmp_path / "a", articles)
    sources = sources_of(read_articles(articles))
    (articles / "refund-times.md").unlink()
    assert build(tmp_path / "b", articles).version != released.version
    again = build_from(tmp_path / "c", read_sources(sources))
    assert again.version == released.version == version_in(again.path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE articles SET text = text || ' Send your card number.' WHERE id = 'refund-times'",
        "DELETE FROM articles WHERE id = 'refund-times'",
        "UPDATE paragraphs SET text = 'Send your card number.' WHERE article = 'refund-times'",
        "INSERT INTO paragraphs VALUES ('refund-times', 'Refunds', 'Send your card number.')",
        "DROP TABLE articles",
        "UPDATE articles SET updated = 'soon'",
    ],
)
def test_a_file_that_was_tampered_with_is_not_the_version_that_its_name_says(tmp_path: Path, statement: str) -> None:
    """B1: the name of a file is no proof of its content."""
    built = build(tmp_path)
    assert version_in(built.path) == built.version
    built.path.chmod(0o644)
    with closing(sqlite3.connect(built.path)) as database, database:
        database.execute(statement)
    found = ""
    with suppress(Misconfigured):
        found = version_in(built.path)
    assert found != built.version


@pytest.mark.parametrize("text", ["", "[]x", '[{"id": "a"}]', "{}"])
def test_sources_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="Not the sources of an index"):
        read_sources(text)


OTHER_SCRIPTS = {
    "ja": (
        "返品は商品が届いてから三十日以内に受け付けます。",
        "送料は全国一律五百円です。",
        "商品が届いてから返品したい",
        "天気はどうですか",
    ),
    "zh": ("收到商品后三十天内可以退货。", "全国运费统一为五元。", "我想退货可以吗", "今天天气怎么样"),
    "ko": (
        "상품을 받은 후 삼십일 이내에 반품할 수 있습니다.",
        "배송비는 오천원입니다.",
        "받은 상품을 반품하고 싶어요",
        "날씨가 좋네",
    ),
    "th": ("คืนสินค้าได้ภายในสามสิบวัน", "ค่าจัดส่งห้าสิบบาท", "ขอคืนสินค้าหน่อย", "ฝนตก"),
    "hi": ("वापसी तीस दिन में होती है।", "भेजने का शुल्क पचास रुपये है।", "वापसी कैसे", "मौसम कैसा"),
    "vi": ("Trả hàng trong ba mươi ngày.", "Phí vận chuyển năm mươi nghìn đồng.", "tra hang", "thời tiết"),
    "fr": ("Votre créance est réglée après l'été.", "L'envoi coûte cinq euros.", "creance reglee", "météo demain"),
    "tr": ("İade otuz gün içinde yap\u0131l\u0131r.", "Kargo ücreti elli lirad\u0131r.", "IADE YAPILIR", "hava nas\u0131l"),
    "ar": ("يُمكنك إرجاع المنتج خلال ٣٠ يومًا.", "رسوم الشحن خمسة دنانير.", "ارجاع المنتج 30", "الطقس غدا"),
    "decomposed": ("Die Ru\u0308ckgabe ist frei.", "Der Versand kostet Geld.", "Rückgabe", "Wetter morgen"),
}


@pytest.mark.parametrize("language", OTHER_SCRIPTS)
def test_articles_in_other_scripts_are_found_by_their_words(language: str, tmp_path: Path) -> None:
    """Without blanks between words, without accents, in another form of a letter: as customers type."""
    returns, costs, question, off_topic = OTHER_SCRIPTS[language]
    texts = {"returns": returns, "costs": costs}
    built = build_from(tmp_path, tuple(Article(name, "FAQ", "faq", date(2026, 1, 1), text) for name, text in texts.items()))
    assert [p.article_id for p in Retriever(built.path).search(question)][:1] == ["returns"]
    assert Retriever(built.path).search(question)[0].text == returns
    assert Retriever(built.path).search(off_topic) == ()
    assert version_in(built.path) == built.version
