"""A conversation as Markdown."""

from collections.abc import Iterator, Sequence

from qwencode.messages import Message

_FENCE = "```"


def markdown(history: Sequence[Message], title: str) -> str:
    """Return the conversation as a document: what the user said, what the model wrote, its calls and their answers."""
    return f"# {title}\n\n" + "\n\n".join(part for message in history for part in _parts(message)) + "\n"


def _parts(message: Message) -> Iterator[str]:
    match message.role:
        case "user":
            yield "## User"
            yield message.content
        case "assistant":
            yield "## Model"
            if message.reasoning.strip():
                yield _folded("Thinking", message.reasoning.strip())
            if message.content.strip():
                yield message.content.strip()
            for call in message.tool_calls:
                arguments = "\n".join(f"{name}: {value}" for name, value in call.arguments.items())
                yield _folded(call.name, arguments)
        case "tool":
            yield _folded("Result", message.content)
        case _:
            pass


def _folded(title: str, text: str) -> str:
    fence = _FENCE
    while fence in text:
        fence += "`"
    return f"<details><summary>{title}</summary>\n\n{fence}\n{text}\n{fence}\n\n</details>"
