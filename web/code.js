// Programs that ask what the page asked.

import {Tensor} from './tensor.js';

const most = 300; // numbers that stand in a program; more are in a file

const size = (tensors) => Object.values(tensors).reduce((sum, {data}) => sum + data.length, 0);

/** Whether a batch is to be a file, whose name is `batchFile`. */
export const inFile = (tensors) => size(tensors) > most;
export const batchFile = 'batch.safetensors';

/**
 * @param {{base: string, loss: string, tensors: Object, fields: Object, token: boolean}} asked
 * @returns {{curl: string, python: string, javascript: string}}
 */
export function programs(asked) {
    return inFile(asked.tensors) ? {curl: curlFile(asked), python: pythonFile(asked), javascript: javascriptFile(asked)}
        : {curl: curl(asked), python: python(asked), javascript: javascript(asked)};
}

// ---- values as each language writes them -------------------------------------------------------------------------------

const dialects = {
    json: {true: 'true', false: 'false', number: (value) => (Number.isFinite(value) ? String(value) : `"${value}"`)},
    python: {true: 'True', false: 'False', number: (value) => (Number.isFinite(value) ? String(value) : `float("${value}")`)},
    javascript: {true: 'true', false: 'false', number: String},
};

function literal(value, dialect) {
    if (typeof value === 'boolean') return dialect[value];
    if (typeof value === 'number') return dialect.number(value);
    return dialect === dialects.javascript ? `'${value.replace(/[\\']/g, '\\$&')}'` : JSON.stringify(value);
}

function nested({shape, data}, dialect) {
    let place = 0;
    const level = (axis) => (axis === shape.length ? dialect.number(Number(data[place++]))
        : `[${Array.from({length: shape[axis]}, () => level(axis + 1)).join(', ')}]`);
    return level(0);
}

const flat = (tensor) => (tensor instanceof Tensor ? {shape: tensor.shape, data: tensor.numbers()} : tensor);

// Names and values of all fields. Doubles say so, for plain numbers would be read as float32.
function members({tensors, fields}, dialect) {
    const double = Object.values(tensors).some(({dtype}) => dtype === 'float64') && fields.dtype === undefined;
    return [...Object.entries(tensors).map(([name, tensor]) => [name, nested(flat(tensor), dialect)]),
        ...Object.entries(double ? {...fields, dtype: 'float64'} : fields).map(([name, value]) => [name, literal(value, dialect)])];
}

const query = ({fields}) => new URLSearchParams(Object.entries(fields).map(([name, value]) => [name, String(value)])).toString();
const path = ({base, loss}) => `${base}/v1/losses/${loss}`;

// ---- numbers in the program --------------------------------------------------------------------------------------------

function curl(asked) {
    const body = members(asked, dialects.json).map(([name, value]) => `  "${name}": ${value}`).join(',\n');
    return `curl ${path(asked)} \\\n  -H 'Content-Type: application/json'${asked.token ? ' \\\n  -H "Authorization: Bearer $TOKEN"' : ''} \\\n  -d '{\n${body}\n}'\n`;
}

function python(asked) {
    const fields = members(asked, dialects.python).map(([name, value]) => `    "${name}": ${value},\n`).join('');
    return `import json
from urllib.request import Request, urlopen

fields = {\n${fields}}
${pythonRequest(asked, 'json.dumps(fields).encode()', 'application/json')}`;
}

function pythonRequest(asked, data, type, search = '') {
    const token = asked.token ? '    "Authorization": "Bearer " + os.environ["TOKEN"],\n' : '';
    return `${asked.token ? 'import os\n' : ''}request = Request("${path(asked)}${search}", ${data}, {
    "Content-Type": "${type}",\n    "Accept": "application/json",\n${token}})
answer = json.load(urlopen(request))
print(answer["loss"])
`;
}

function javascript(asked) {
    const fields = members(asked, dialects.javascript).map(([name, value]) => `    ${name}: ${value},\n`).join('');
    return `${client(asked)}
const {loss, grad} = await client.${asked.loss}({\n${fields}});
console.log(loss, grad);
`;
}

const client = ({base, token}) => `import {Client} from 'lossd';

const client = new Client('${base}'${token ? ', {token: process.env.TOKEN}' : ''});`;

// ---- numbers in a file -------------------------------------------------------------------------------------------------

function curlFile(asked) {
    return `curl '${path(asked)}?${query(asked)}' \\\n  -H 'Content-Type: application/vnd.safetensors' -H 'Accept: application/json'${asked.token ? ' \\\n  -H "Authorization: Bearer $TOKEN"' : ''} \\\n  --data-binary @${batchFile}\n`;
}

function pythonFile(asked) {
    return `import json
from urllib.request import Request, urlopen

batch = open("${batchFile}", "rb").read()
${pythonRequest(asked, 'batch', 'application/vnd.safetensors', `?${query(asked)}`)}`;
}

function javascriptFile(asked) {
    const fields = Object.entries(asked.fields).map(([name, value]) => `    ${name}: ${literal(value, dialects.javascript)},\n`).join('');
    return `import {readFile} from 'node:fs/promises';
import {Client, decode} from 'lossd';

${client(asked).split('\n\n')[1]}
const {tensors} = decode(await readFile('${batchFile}'));
const {loss, grad} = await client.${asked.loss}({\n    ...tensors,\n${fields}});
console.log(loss, grad);
`;
}
