"""A safe expression language for rules and filters."""

from quillexpr.errors import EvaluationError, ExpressionError, SyntaxProblem
from quillexpr.evaluator import evaluate, names_in
from quillexpr.parser import parse

__all__ = ["EvaluationError", "ExpressionError", "SyntaxProblem", "evaluate", "names_in", "parse"]
