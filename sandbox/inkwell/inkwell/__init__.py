"""Plain-text paragraphs, lists and tables for terminals."""

from inkwell.cells import clip, pad, width
from inkwell.lists import bullets, definitions, numbered
from inkwell.table import Table
from inkwell.wrap import justify, wrap

__all__ = ["Table", "bullets", "clip", "definitions", "justify", "numbered", "pad", "width", "wrap"]
