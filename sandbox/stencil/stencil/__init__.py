"""A small template engine: values, filters, conditions and loops."""

from stencil.errors import TemplateError
from stencil.filters import FILTERS
from stencil.template import Template, render

__all__ = ["FILTERS", "Template", "TemplateError", "render"]
