"""The Chinese font of reports, whole or cut down to the signs of one page."""

import io
from importlib import resources
from pathlib import Path

NAME = "NotoSansSC-Regular-gb2312.ttf"


def path() -> Path:
    """The font's file."""
    return Path(str(resources.files("host.reports").joinpath("fonts", NAME)))


def subset(signs: str) -> bytes | None:
    """The font with these signs alone; None where the extra `reports` is not installed."""
    try:
        from fontTools import subset as cut  # type: ignore[import-untyped]
    except ImportError:
        return None
    options = cut.Options(notdef_outline=True, hinting=False, layout_features=[], drop_tables=["GPOS", "GSUB", "GDEF"])
    with cut.load_font(str(path()), options) as font:
        cutter = cut.Subsetter(options)
        cutter.populate(text=signs)
        cutter.subset(font)
        # The same signs give the same bytes: no time of making.
        font.recalcTimestamp = False
        out = io.BytesIO()
        font.save(out)
    return out.getvalue()
