"""How a run is going, as the thinking policy sees it: each turn is folded into the step before the next one."""

from dataclasses import dataclass

from qwencode.agent.guards import steady
from qwencode.agent.thinking import Step
from qwencode.agent.turns import Turn


@dataclass(slots=True)
class Course:
    """Counts hard turns since something last succeeded. `state` names the files' state when the tests last ran."""

    state: str = ""
    _rung: int = 0
    _said: str = ""

    def called(self, number: int, turn: Turn, trouble: str = "") -> Step:
        """Return the step after a turn with calls. It is a success if the tests say something new."""
        tests = [result for call, result in turn.answers if call.name == "run_tests" and not result.refused]
        edited = not turn.state or turn.state != self.state  # without a name for the state, who knows
        failed = bool(tests) and edited and not tests[-1].ok
        news = bool(tests) and (tests[-1].ok or steady(tests[-1].summary) != self._said)
        if tests:
            self.state, self._said = turn.state, steady(tests[-1].summary)
        if trouble:
            self._rung += 1
        elif tests:
            self._rung = 0 if news else self._rung + failed
        elif edited and not self._said and any(result.ok for _, result in turn.answers):
            self._rung = 0
        return Step(number, turn.answers, trouble=trouble, edited=edited, rung=self._rung)

    def stopped(self, number: int, missing: str = "") -> Step:
        """Return the step after a turn without calls; `missing` is what the check said."""
        self._rung += bool(missing)
        return Step(number, missing=missing, rung=self._rung)
