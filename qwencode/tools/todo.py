"""`todo_write`: the visible plan."""

import re
from typing import Annotated

from qwencode.errors import ToolError
from qwencode.events import PlanChanged
from qwencode.tools.protocol import Tool, ToolResult, changes_nothing
from qwencode.tools.schema import tool

_STATES = {" ": "pending", "": "pending", ">": "in_progress", "x": "done"}
_ITEM = re.compile(r"\s*(?:[-*]\s+)?(?:\[(?P<mark>[ >xX]?)\]\s*)?(?P<text>.*\S)\s*", re.DOTALL)


def todo_tool() -> Tool:
    """Make the tool that shows the plan. It keeps nothing: the last call in the history is the plan."""

    def todo_write(items: Annotated[list[str], '"[x] done", "[>] doing now", "[ ] to do"']) -> ToolResult:
        """Show the user your plan, whole and in order. Only for work of three or more steps."""
        plan = tuple(parsed_item(item) for item in items)
        done = sum(state == "done" for _, state in plan)
        left = [text for text, state in plan if state != "done"]
        text = f"Plan noted: {done} of {len(plan)} done." + (f" Next: {left[0]}" if left else "")
        return ToolResult(text, f"plan: {done}/{len(plan)} done", events=(PlanChanged(plan),))

    return tool(todo_write, changes=changes_nothing)


def parsed_item(item: str) -> tuple[str, str]:
    """Return (text, state) of one item; one without a mark is pending. Raises ToolError for an empty item."""
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ToolError('todo_write: an item is empty. Write items like "[ ] find the cause".')
    return match["text"], _STATES[(match["mark"] or "").lower()]
