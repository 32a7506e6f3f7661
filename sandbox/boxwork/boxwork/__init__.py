"""Boxes on a grid: geometry, packing on shelves, and drawings in text."""

from boxwork.box import Box
from boxwork.drawing import draw
from boxwork.shelves import pack, waste

__all__ = ["Box", "draw", "pack", "waste"]
