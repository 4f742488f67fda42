from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from farm.report import svg

SVG = "{http://www.w3.org/2000/svg}"


def test_a_picture_has_its_parts_on_white_and_a_title() -> None:
    drawn = ElementTree.fromstring(
        svg.document(
            100, 50, "a title", [svg.box(1, 2, 3, 4, "#123456"), svg.line(0, 0, 9, 9), svg.diamond(5, 5, 2, "#000")]
        )
    )

    assert [part.tag.removeprefix(SVG) for part in drawn] == ["title", "rect", "rect", "line", "polygon"]
    assert drawn.get("viewBox") == "0 0 100 50"
    assert drawn[2].attrib == {
        "x": "1.00", "y": "2.00", "width": "3.00", "height": "4.00", "fill": "#123456", "stroke": "none",
    }  # fmt: skip
    assert drawn[4].get("points") == "5.00,3.00 7.00,5.00 5.00,7.00 3.00,5.00"


@pytest.mark.parametrize(
    "hostile", ["</text><script>alert(1)</script>", '"><a href="x">', "a\x00b\x1b[31m", "&amp;\n\n<"]
)
def test_nothing_hostile_becomes_an_element(hostile: str) -> None:
    drawn = ElementTree.fromstring(svg.document(9, 9, hostile, [svg.words(0, 0, hostile)]))

    assert [part.tag.removeprefix(SVG) for part in drawn] == ["title", "rect", "text"]
    assert "\x1b" not in (drawn[2].text or "")


def test_words_turn_around_their_own_place() -> None:
    assert 'transform="rotate(-90 3.00 4.00)"' in svg.words(3, 4, "up", turn=-90)
    assert "transform" not in svg.words(3, 4, "level")


def test_the_room_for_words_grows_with_letters_and_size() -> None:
    assert 0 < svg.width_of("ab", 10) < svg.width_of("abc", 10) < svg.width_of("abc", 20)
