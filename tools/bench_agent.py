"""What each mechanism of the agent is worth: policies over practice repositories and generated ones, without weights.

    PYTHONPATH=.:tools python tools/bench_agent.py [--policies NAME,…] [--arms NAME,…] [--practice NAME,…] [--seed N]

The models are programs (`agent_bench/policies.py`): a competent one and the ways in which models fail. Tests, tools,
sandbox and verdict are real; tokens are counted by characters on the text that a model would read and write. Prints one
row for every policy and arm, what each arm costs against the whole agent, and one line of JSON last.
"""

import argparse
import json
from dataclasses import asdict

from agent_bench.arms import ARMS, Result, tried
from agent_bench.cases import from_practice, generated
from agent_bench.policies import POLICIES

PRACTICE = ("quillexpr", "rowsmith", "sluice", "waymark", "daybook")
"""What the competent policy is tried on beside the generated cases."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--practice", default=",".join(PRACTICE))
    parser.add_argument("--generated", default="", help="names of generated cases; all without any")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wanted = options.generated.split(",") if options.generated else []
    made = [case for case in generated(options.seed) if not wanted or case.name in wanted]
    practised = [from_practice(name) for name in options.practice.split(",") if name]
    rows: list[dict[str, object]] = []
    print(
        f"{'policy':<22}{'arm':<17}{'solved':>8}{'turns':>7}{'read':>9}{'written':>9}{'errors':>8}{'minutes':>9}  ended"
    )
    for policy in options.policies.split(","):
        for arm in options.arms.split(","):
            cases = [*made, *practised] if policy == "careful" else made
            results = {case.name: tried(case, POLICIES[policy], ARMS[arm]) for case in cases}
            rows.append(_row(policy, arm, results))
            print(_line(rows[-1]), flush=True)
    print(json.dumps({"seed": options.seed, "rows": rows}))


def _row(policy: str, arm: str, results: dict[str, Result]) -> dict[str, object]:
    found = list(results.values())
    return {
        "policy": policy,
        "arm": arm,
        "cases": len(found),
        "solved": sum(each.solved for each in found),
        "turns": sum(each.turns for each in found),
        "evaluated": sum(each.evaluated for each in found),
        "generated": sum(each.generated for each in found),
        "errors": sum(each.errors for each in found),
        "minutes": round(sum(each.seconds for each in found) / 60, 1),
        "ended": sorted({each.ended for each in found}),
        "results": {name: asdict(each) for name, each in results.items()},
    }


def _line(row: dict[str, object]) -> str:
    solved = f"{row['solved']}/{row['cases']}"
    return (
        f"{row['policy']:<22}{row['arm']:<17}{solved:>8}{row['turns']:>7}{row['evaluated']:>9,}{row['generated']:>9,}"
        f"{row['errors']:>8}{row['minutes']:>9}  {', '.join(map(str, row['ended']))}"  # type: ignore[arg-type]
    )


if __name__ == "__main__":
    main()
