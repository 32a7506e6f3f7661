// A reporter for `node --test`: one JSON line per finished test, with the file that node's own TAP leaves out.
// It runs in the parent process; what the tests themselves print arrives here as events and cannot be mistaken for it.
export default async function* report(source) {
  const path = []; // names of the tests that are open, by nesting, per file in the order node reports them
  for await (const { type, data } of source) {
    if (type === "test:start") {
      path.length = data.nesting;
      path[data.nesting] = data.name;
    } else if (type === "test:pass" || type === "test:fail") {
      const error = data.details?.error;
      const cause = error?.cause ?? error;
      path.length = data.nesting;
      yield JSON.stringify({
        event: "test",
        name: [...path, data.name],
        file: data.file ?? "",
        line: data.line ?? 0,
        ok: type === "test:pass",
        skip: data.skip !== undefined || data.todo !== undefined,
        suite: data.details?.type === "suite" || error?.failureType === "subtestsFailed",
        milliseconds: data.details?.duration_ms ?? 0,
        message: type === "test:pass" ? "" : String(cause?.stack ?? cause?.message ?? cause),
      }) + "\n";
      path[data.nesting] = data.name;
    } else if (type === "test:stdout" || type === "test:stderr") {
      yield JSON.stringify({ event: "output", file: data.file ?? "", text: data.message }) + "\n";
    }
  }
  yield JSON.stringify({ event: "finish" }) + "\n";
}
