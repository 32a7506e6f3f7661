"""The text of a reply around its calls."""

from dataclasses import dataclass


@dataclass(slots=True)
class Prose:
    """Paragraphs without the white space around them. Trailing white space waits for what follows it."""

    text: str = ""
    held: str = ""
    at_start: bool = True  # of a paragraph

    def add(self, text: str) -> str:
        """Return what of the text so far is now certain to belong to it and was not returned before."""
        if self.at_start:
            text = text.lstrip()
            self.held, self.at_start = "\n\n" if self.text else "", not text
        text = self.held + text if text else ""
        certain = text.rstrip()
        self.held = text[len(certain) :]
        self.text += certain
        return certain
