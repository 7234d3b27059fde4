// Reads [language, query] pairs as JSON from standard input; writes, for each, where its grammar finds an error.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const load = createRequire(process.argv[2] + "/");
const parsers = { loki: load("@grafana/lezer-logql").parser, tempo: load("@grafana/lezer-traceql").parser };

function errors([language, query]) {
  const found = [];
  parsers[language].parse(query).iterate({
    enter(node) {
      if (node.type.isError) found.push(node.from);
    },
  });
  return found;
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(errors)));
