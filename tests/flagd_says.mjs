// What flagd makes of a file: for how many of four thousand users, and for whom it cannot tell, each
// flag is on. Its own evaluator, as JSON.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const tools = createRequire(new URL('.tools/', import.meta.url));
const { FlagdCore } = tools('@openfeature/flagd-core');

const silent = { error() {}, warn() {}, info() {}, debug() {} };
const core = new FlagdCore();
const text = readFileSync(process.argv[2], 'utf8');
core.setConfigurations(text);
const is_on = (flag, context) => core.resolveBooleanEvaluation(flag, false, context, silent).value;
const users = Array.from({ length: 4000 }, (_, number) => ({ targetingKey: `user-${number}` }));
const found = Object.keys(JSON.parse(text).flags).map((flag) => {
    const open = users.filter((user) => is_on(flag, user)).length;
    return [flag, { open, nobody: is_on(flag, {}) }];
});
console.log(JSON.stringify(Object.fromEntries(found)));
