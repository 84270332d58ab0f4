"""The report's text stands out from its ground, in both colour schemes."""

from __future__ import annotations

import pytest
from report_pages import SCHEMES, colours

TEXTS = ("ink", "soft", "link", "supported", "contradicted", "inconclusive")
GROUNDS = ("paper", "raised", "band", "hover")


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_black_and_white_and_of_a_known_grey() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)  # WCAG's own example


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_stands_out_from_every_ground(scheme: str) -> None:
    found = colours(scheme)
    for text in TEXTS:
        for ground in GROUNDS:
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    for drawn in ("supported", "contradicted", "inconclusive"):
        assert contrast(found[drawn], found["claimed"]) >= 3.0  # of a drawing
    assert contrast(found["rule"], found["paper"]) >= 3.0  # of a field's border
    assert contrast(found["ink"], found["warm"]) >= 4.5
