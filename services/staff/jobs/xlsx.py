"""Writes a workbook as a stream: rows go in, parts of the file come out, and neither all rows nor a temporary file are
kept. A row is one text, in which marks stand for the XML around its cells: what turns many rows into XML are a few
replacements of all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import IO
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZIP_DEFLATED, ZipFile

from shared.core.fast_enums import StrEnum

MOST_ROWS = 1_048_576
"""Of a sheet."""
MOST_BYTES = 2_000_000_000
"""Of a sheet: spreadsheets do not read larger parts of an archive."""
TITLE_STYLE = 5


class Mark(StrEnum):
    """Characters that XML forbids; no cell has them."""

    TEXT = "\x01"
    VALUE = "\x02"
    TIME = "\x03"
    AMOUNT_0 = "\x04"
    AMOUNT_2 = "\x05"
    AMOUNT_3 = "\x06"
    FLAG = "\x07"
    MISSING = "\x08"
    END_TEXT = "\x0e"
    END_VALUE = "\x0f"


_OPEN, _CLOSE = b'<c t="inlineStr"><is><t xml:space="preserve">', b"</t></is></c>"
_MARKED: Mapping[Mark, bytes] = {
    Mark.TEXT: _OPEN,
    Mark.VALUE: b"<c><v>",
    Mark.TIME: b'<c s="1"><v>',
    Mark.AMOUNT_0: b'<c s="2"><v>',
    Mark.AMOUNT_2: b'<c s="3"><v>',
    Mark.AMOUNT_3: b'<c s="4"><v>',
    Mark.FLAG: b'<c t="b"><v>',
    Mark.MISSING: b"<c/>",
    Mark.END_TEXT: _CLOSE,
    Mark.END_VALUE: b"</v></c>",
}
_FORBIDDEN = bytes({*range(1, 9), 11, 12, *range(14, 32)} - {ord(mark) for mark in Mark})
"""By XML, and neither a mark nor what stands between rows."""
_REPLACED = (
    *((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;")),
    *((b"\xef\xbf\xbe", b""), (b"\xef\xbf\xbf", b"")),  # U+FFFE and U+FFFF, which XML forbids as well
    *((mark.encode(), xml) for mark, xml in _MARKED.items()),
    (b"\0", b"</row><row>"),
)
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_STYLES = f"""{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="2">
<numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/><numFmt numFmtId="165" formatCode="0.000"/></numFmts>
<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>
<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>
<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>
<cellXfs count="6"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>
{
    "".join(
        f'<xf numFmtId="{number}" fontId="{font}" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
        for number, font in ((164, 0), (1, 0), (2, 0), (165, 0), (0, 1))
    )
}</cellXfs>
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"""


class Sink:
    """What the archive is written to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is kept here for long."""

    def close(self) -> None:
        """There is nothing to close."""

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def text_row(texts: Iterable[str], style: int = 0) -> str:
    shown = f' s="{style}"' if style else ""
    cells = (f'<c t="inlineStr"{shown}><is><t xml:space="preserve">{escape(text)}</t></is></c>' for text in texts)
    return f"<row>{''.join(cells)}</row>"


def rows_as_xml(rows: Sequence[str]) -> bytes:
    if not rows:
        return b""
    data = "\0".join(rows).encode().translate(None, _FORBIDDEN)
    for text, xml in _REPLACED:
        data = data.replace(text, xml)
    return b"<row>" + data + b"</row>"


class Workbook:
    """`rows` may be called from any thread, one at a time. Each sheet begins with the titles, and another one begins
    where one is full."""

    def __init__(
        self, name: str, titles: Sequence[str], most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES
    ) -> None:
        self._name, self._titles = name, text_row(titles, TITLE_STYLE)
        self._most_rows, self._most_bytes = most_rows, most_bytes
        self._sink = Sink()
        self._zip = ZipFile(self._sink, "w", ZIP_DEFLATED, compresslevel=1)
        self._sheets: list[str] = []
        self._sheet: IO[bytes] | None = None
        self._rows = self._bytes = 0

    def rows(self, rows: Sequence[str]) -> bytes:
        """A part of the file."""
        begin = 0
        while begin < len(rows) or self._sheet is None:
            sheet = self._sheet if self._sheet is not None and self._rows < self._most_rows else self._next_sheet()
            taken = rows[begin : begin + self._most_rows - self._rows]
            data = rows_as_xml(taken)
            if self._bytes + len(data) > self._most_bytes and self._rows > 1:
                self._end_sheet()
                continue
            sheet.write(data)
            self._rows, self._bytes, begin = self._rows + len(taken), self._bytes + len(data), begin + len(taken)
        return self._sink.take()

    def end(self, about: Sequence[tuple[str, str]]) -> bytes:
        """The last part. `about`: lines of a last sheet."""
        self._end_sheet()
        self._begin_sheet("About", "".join(text_row(line) for line in about))
        self._end_sheet()
        for name, content in _parts(self._sheets):
            self._zip.writestr(name, content)
        self._zip.close()
        return self._sink.take()

    def _next_sheet(self) -> IO[bytes]:
        self._end_sheet()
        number = len(self._sheets) + 1
        self._rows = 1
        return self._begin_sheet(f"{self._name} {number}" if number > 1 else self._name, self._titles)

    def _begin_sheet(self, name: str, first: str) -> IO[bytes]:
        self._sheets.append(name)
        self._sheet = self._zip.open(f"xl/worksheets/sheet{len(self._sheets)}.xml", "w")
        head = f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>{first}'.encode()
        self._bytes = self._sheet.write(head)
        return self._sheet

    def _end_sheet(self) -> None:
        if self._sheet is not None:
            self._sheet.write(b"</sheetData></worksheet>")
            self._sheet.close()
            self._sheet = None


def _parts(sheets: Sequence[str]) -> Iterable[tuple[str, str]]:
    """What holds the sheets together."""
    numbers = range(1, len(sheets) + 1)
    overrides = "".join(
        f'<Override PartName="/xl/{part}.xml" ContentType="{_TYPE}.{kind}+xml"/>'
        for part, kind in (
            *(("workbook", "sheet.main"), ("styles", "styles")),
            *((f"worksheets/sheet{number}", "worksheet") for number in numbers),
        )
    )
    yield (
        "[Content_Types].xml",
        f'{_XML}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{overrides}</Types>',
    )
    yield "_rels/.rels", _relationships([("rId1", "officeDocument", "xl/workbook.xml")])
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"/>'
        for number, name in zip(numbers, sheets, strict=True)
    )
    yield (
        "xl/workbook.xml",
        f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
    )
    of_sheets = [(f"rId{number}", "worksheet", f"worksheets/sheet{number}.xml") for number in numbers]
    yield (
        "xl/_rels/workbook.xml.rels",
        _relationships([*of_sheets, (f"rId{len(sheets) + 1}", "styles", "styles.xml")]),
    )
    yield "xl/styles.xml", _STYLES


def _relationships(targets: Iterable[tuple[str, str, str]]) -> str:
    listed = "".join(
        f'<Relationship Id="{id}" Type="{_OFFICE}/{kind}" Target="{target}"/>' for id, kind, target in targets
    )
    return f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{listed}</Relationships>'
