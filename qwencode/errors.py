"""What can go wrong, and what the process says about it.

Three kinds of failure, three ways:

* the model's mistake is a `ToolError`: it becomes a result text that the model can act on;
* a stop by the user, by a limit or by the world outside is a `QwencodeError`: one sentence and an exit code;
* anything else is a bug of ours and stays a traceback.
"""


class QwencodeError(Exception):
    """One clear sentence for the user: what, where, what to do. Raised as it is for 'not fixed' (exit 1)."""

    exit_code = 1


class UsageError(QwencodeError):
    """The command line, a path, a configuration file or the repository is not usable as given."""

    exit_code = 2


class ConsentNeeded(QwencodeError):
    """Going on needs a yes of the user that was not given."""

    exit_code = 3


class ModelUnavailable(QwencodeError):
    """No such model, an unusable file, an unreachable server, or not enough memory."""

    exit_code = 4


class HistoryTooLong(ModelUnavailable):
    """The history does not fit into the context of the model, which would go on with a shorter one."""


class BudgetSpent(QwencodeError):
    """Steps, minutes or tokens are used up."""

    exit_code = 5


class SandboxUnavailable(QwencodeError):
    """No rung of the sandbox ladder works here, and `--no-sandbox` was not given."""

    exit_code = 6


class Interrupted(QwencodeError):
    """The user pressed Ctrl-C, or the process was asked to end."""

    exit_code = 130


class ToolError(Exception):
    """A tool call that could not be done. The text goes to the model and says what to do instead."""


class Declined(ToolError):
    """A tool call that was not wanted: by the user, or by what the user has laid down. No mistake of the model's."""
