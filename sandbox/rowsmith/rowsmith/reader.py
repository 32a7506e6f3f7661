"""Reading and writing CSV text after RFC 4180, with any one-character delimiter."""

from collections.abc import Iterable, Iterator, Sequence


class CsvError(ValueError):
    """The text is not well-formed CSV. The message names the line."""


def parse(text: str, delimiter: str = ",") -> Iterator[list[str]]:
    """Yield the records of a CSV text. Empty lines are skipped; CR LF and LF both end a record."""
    record: list[str] = []
    field = ""
    quoted = False  # inside quotes now
    closed = False  # this field was quoted, and its quotes are closed
    line = opened = 1
    index = 0
    while index < len(text):
        char = text[index]
        if quoted:
            if char == '"' and text[index + 1 : index + 2] == '"':
                field += '"'
                index += 1
            elif char == '"':
                quoted, closed = False, True
            else:
                field += char
        elif char == '"' and not field and not closed:
            quoted, opened = True, line
        elif char == delimiter:
            record.append(field)
            field, closed = "", False
        elif char == "\n":
            if record or field or closed:
                yield [*record, field]
            record, field, closed = [], "", False
        elif char == "\r" and text[index + 1 : index + 2] == "\n":
            pass
        elif closed:
            raise CsvError(f"line {line}: text after a closing quote")
        else:
            field += char
        line += char == "\n"
        index += 1
    if quoted:
        raise CsvError(f"line {opened}: a quote is not closed")
    if record or field or closed:
        yield [*record, field]


def render(records: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    """Write records as CSV text, with quotes only where they are needed."""
    return "".join(delimiter.join(_quote(field, delimiter) for field in record) + "\n" for record in records)


def _quote(field: str, delimiter: str) -> str:
    if any(char in field for char in (delimiter, '"', "\n", "\r")):
        return '"' + field.replace('"', '""') + '"'
    return field
