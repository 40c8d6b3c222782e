// Writes losses.js and losses.d.ts, what the client knows of each loss, from what a server says of them.
//
//     node generate.mjs http://127.0.0.1:8080            writes them here
//     node generate.mjs http://127.0.0.1:8080 --check    says whether they are up to date: exit status 1 if not

import {readFile, writeFile} from 'node:fs/promises';

const pascal = (name) => name.replace(/(?:^|_)([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const either = (names) => names.map((name) => `'${name}'`).join(' | ') || 'never';
const named = (tensors, what) => tensors.filter((tensor) => tensor[what]).map(({name}) => name);
const head = (losses) => `// Made by generate.mjs from GET /v1/losses of lossd: ${losses.length} losses. Not to be edited.\n`;

function table(losses) {
    const tensor = ({name, kind, prediction}) => `${name}: {kind: '${kind}'${prediction ? ', prediction: true' : ''}}`;
    const nullable = (parameters) => parameters.filter((parameter) => parameter.nullable).map(({name}) => `'${name}'`);
    const entries = losses.map(({name, aliases, tensors, parameters}) => `    ${name}: {
        aliases: [${aliases.map((alias) => `'${alias}'`).join(', ')}],
        tensors: {${tensors.map(tensor).join(', ')}},${nullable(parameters).length ? `
        nullable: [${nullable(parameters).join(', ')}],` : ''}
    },\n`);
    return `${head(losses)}
export const losses = {\n${entries.join('')}};\n`;
}

function tensorType({kind, optional, name, doc, shape}) {
    const type = {real: 'Numbers', index: 'Indices'}[kind] ?? 'Numbers | Indices';
    return `    /** ${doc}: ${shape} */\n    ${name}${optional ? '?' : ''}: ${type};\n`;
}

function parameterType(parameter) {
    const {name, doc, type, choices} = parameter;
    const range = [['minimum', 'at least'], ['exclusiveMinimum', 'above'], ['maximum', 'at most'], ['exclusiveMaximum', 'below']]
        .filter(([bound]) => bound in parameter).map(([bound, words]) => `, ${words} ${parameter[bound]}`).join('') + (parameter.infinite ? ', or Infinity' : '') + (parameter.nullable ? ', or null' : '');
    const written = {number: 'number', integer: 'number', boolean: 'boolean', choice: choices && either(choices)}[type] + (parameter.nullable ? ' | null' : '');
    return `    /** ${doc}${range}; by default ${parameter.default} */\n    ${name}?: ${written};\n`;
}

function fields(loss) {
    const tensors = loss.tensors.map(tensorType), parameters = loss.parameters.map(parameterType);
    return `/** What {@link Losses.${loss.name}} takes. */
export interface ${pascal(loss.name)}<R, G, H> extends Common<R, G, H> {
${[...tensors, ...parameters].join('')}}\n`;
}

function method({name, title, doc, formula, tensors, reductions, hessian}) {
    const predictions = either(named(tensors, 'prediction'));
    const hessians = hessian ? `boolean | readonly (${predictions})[]` : 'false';
    return `    /**
     * ${title}. ${doc}
     *
     * \`${formula}\`
     */
    ${name}<R extends ${either(reductions)} = 'mean', G extends boolean | readonly (${either(named(tensors, 'differentiable'))})[] = false, H extends ${hessians} = false>(
        fields: ${pascal(name)}<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, ${predictions}>, Wanted<H, ${predictions}>>>;\n`;
}

function types(losses) {
    return `${head(losses)}
import type {CallOptions, Common, Indices, Numbers, Result, Wanted} from './index.js';

${losses.map(fields).join('\n')}
/** A method for each loss. */
export interface Losses {
${losses.map(method).join('\n')}}

/** The names of the losses. */
export type LossName = keyof Losses;\n`;
}

async function main(url, flag) {
    const response = await fetch(`${url}/v1/losses`);
    const {losses} = await response.json();
    let stale = 0;
    for (const [name, text] of [['losses.js', table(losses)], ['losses.d.ts', types(losses)]]) {
        const file = new URL(name, import.meta.url);
        if (flag !== '--check') {
            await writeFile(file, text);
        } else if (await readFile(file, 'utf8') !== text) {
            console.error(`clients/js/${name} is out of date; make generate writes it anew`);
            stale = 1;
        }
    }
    process.exitCode = stale;
}

await main(...process.argv.slice(2));
