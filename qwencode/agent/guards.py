"""What is said to a model that got stuck."""

from qwencode.messages import Reply

_EMPTY = "Your reply held neither text nor a tool call. Call a tool to go on, or say in a sentence that you are done."
_CUT = "Your reply was cut off before it reached a tool call. Go on with a tool call, in few words."


def nudge(reply: Reply) -> str:
    """Return what to say to a model that called no tool and did not finish a sentence either; '' when it did."""
    if reply.finish in ("length", "repetition"):
        return _CUT
    return "" if reply.message.content.strip() else _EMPTY
