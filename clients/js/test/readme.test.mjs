// Runs the snippets of README.md and compares their output with their comments.

import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {test} from 'node:test';

const here = fileURLToPath(new URL('..', import.meta.url));
const snippets = [...readFileSync(`${here}/README.md`, 'utf8').matchAll(/```js\n(.*?)```/gs)].map(
    ([, code]) => code,
);
assert.ok(snippets.length > 3);

for (const [i, snippet] of snippets.entries()) {
    test(`snippet ${i + 1} of README.md`, async () => {
        const code = snippet.replaceAll('http://127.0.0.1:8080', process.env.LOSSD_URL);
        const {stdout} = await promisify(execFile)(
            process.execPath,
            ['--input-type=module', '--eval', code],
            {cwd: here},
        );
        const expected = [...snippet.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(
            ([, line]) => `${line}\n`,
        );
        assert.ok(expected.length > 0);
        assert.equal(stdout, expected.join(''));
    });
}
