// Reads a JSON list of LogQL queries and prints the number of syntax errors in each.
import { readFileSync } from 'node:fs';
import { parser } from '@grafana/lezer-logql';

const errors = JSON.parse(readFileSync(0, 'utf8')).map((query) => {
    let n = 0;
    parser.parse(query).iterate({ enter: (node) => { n += node.type.isError ? 1 : 0; } });
    return n;
});
console.log(JSON.stringify(errors));
