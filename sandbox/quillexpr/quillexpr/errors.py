"""What can be wrong with an expression."""


class ExpressionError(ValueError):
    """Any problem with an expression."""


class SyntaxProblem(ExpressionError):
    """The text is not an expression. `column` counts from 1."""

    def __init__(self, problem: str, column: int):
        super().__init__(f"column {column}: {problem}")
        self.column = column


class EvaluationError(ExpressionError):
    """The expression has no value: an unknown name, a wrong type, a division by zero."""
