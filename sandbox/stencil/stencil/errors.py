class TemplateError(ValueError):
    """The template is wrong. The message names the line."""

    def __init__(self, line: int, problem: str):
        super().__init__(f"line {line}: {problem}")
        self.line = line
