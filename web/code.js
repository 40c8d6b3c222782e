// Generates programs that send the current request.

import {Tensor} from './tensor.js';

const maxInline = 300; // maximum count of numbers within a program; larger batches go into a file

const size = (tensors) => Object.values(tensors).reduce((sum, {data}) => sum + data.length, 0);

/** Returns true if the batch goes into a file, called `batchFile`. */
export const inFile = (tensors) => size(tensors) > maxInline;
export const batchFile = 'batch.safetensors';

/**
 * @param {{base: string, loss: string, tensors: Object, fields: Object, token: boolean}} request
 * @returns {{curl: string, python: string, javascript: string}}
 */
export function programs(request) {
    return inFile(request.tensors)
        ? {
              curl: curlFile(request),
              python: pythonFile(request),
              javascript: javascriptFile(request),
          }
        : {curl: curl(request), python: python(request), javascript: javascript(request)};
}

// ---- Literals ----

const dialects = {
    json: {
        true: 'true',
        false: 'false',
        number: (value) => (Number.isFinite(value) ? String(value) : `"${value}"`),
    },
    python: {
        true: 'True',
        false: 'False',
        number: (value) => (Number.isFinite(value) ? String(value) : `float("${value}")`),
    },
    javascript: {true: 'true', false: 'false', number: String},
};

function literal(value, dialect) {
    if (typeof value === 'boolean') return dialect[value];
    if (typeof value === 'number') return dialect.number(value);
    return dialect === dialects.javascript
        ? `'${value.replace(/[\\']/g, '\\$&')}'`
        : JSON.stringify(value);
}

function nested({shape, data}, dialect) {
    let place = 0;
    const level = (axis) =>
        axis === shape.length
            ? dialect.number(Number(data[place++]))
            : `[${Array.from({length: shape[axis]}, () => level(axis + 1)).join(', ')}]`;
    return level(0);
}

const flat = (tensor) =>
    tensor instanceof Tensor ? {shape: tensor.shape, data: tensor.numbers()} : tensor;

// Names and values of all fields. dtype marks doubles, because plain numbers are read as float32.
function members({tensors, fields}, dialect) {
    const double =
        Object.values(tensors).some(({dtype}) => dtype === 'float64') && fields.dtype === undefined;
    return [
        ...Object.entries(tensors).map(([name, tensor]) => [name, nested(flat(tensor), dialect)]),
        ...Object.entries(double ? {...fields, dtype: 'float64'} : fields).map(([name, value]) => [
            name,
            literal(value, dialect),
        ]),
    ];
}

const query = ({fields}) =>
    new URLSearchParams(
        Object.entries(fields).map(([name, value]) => [name, String(value)]),
    ).toString();
const path = ({base, loss}) => `${base}/v1/losses/${loss}`;

// ---- Programs with inline data ----

const continuation = ' \\\n  '; // between arguments of a shell command
const curlToken = ({token}) => (token ? ['-H "Authorization: Bearer $TOKEN"'] : []);

function curl(request) {
    const body = members(request, dialects.json)
        .map(([name, value]) => `  "${name}": ${value}`)
        .join(',\n');
    return [
        `curl ${path(request)}`,
        "-H 'Content-Type: application/json'",
        ...curlToken(request),
        `-d '{\n${body}\n}'\n`,
    ].join(continuation);
}

function python(request) {
    const fields = members(request, dialects.python)
        .map(([name, value]) => `    "${name}": ${value},\n`)
        .join('');
    return `import json
from urllib.request import Request, urlopen

fields = {\n${fields}}
${pythonRequest(request, 'json.dumps(fields).encode()', 'application/json')}`;
}

function pythonRequest(request, data, type, search = '') {
    const token = request.token ? '    "Authorization": "Bearer " + os.environ["TOKEN"],\n' : '';
    const prologue = request.token ? 'import os\n' : '';
    return `${prologue}request = Request("${path(request)}${search}", ${data}, {
    "Content-Type": "${type}",\n    "Accept": "application/json",\n${token}})
response = json.load(urlopen(request))
print(response["loss"])
`;
}

function javascript(request) {
    const fields = members(request, dialects.javascript)
        .map(([name, value]) => `    ${name}: ${value},\n`)
        .join('');
    return `${client(request)}
const {loss, grad} = await client.${request.loss}({\n${fields}});
console.log(loss, grad);
`;
}

const client = ({base, token}) => `import {Client} from 'lossd';

const client = new Client('${base}'${token ? ', {token: process.env.TOKEN}' : ''});`;

// ---- Programs with a data file ----

function curlFile(request) {
    return [
        `curl '${path(request)}?${query(request)}'`,
        "-H 'Content-Type: application/vnd.safetensors' -H 'Accept: application/json'",
        ...curlToken(request),
        `--data-binary @${batchFile}\n`,
    ].join(continuation);
}

function pythonFile(request) {
    return `import json
from urllib.request import Request, urlopen

batch = open("${batchFile}", "rb").read()
${pythonRequest(request, 'batch', 'application/vnd.safetensors', `?${query(request)}`)}`;
}

function javascriptFile(request) {
    const fields = Object.entries(request.fields)
        .map(([name, value]) => `    ${name}: ${literal(value, dialects.javascript)},\n`)
        .join('');
    return `import {readFile} from 'node:fs/promises';
import {Client, decode} from 'lossd';

${client(request).split('\n\n')[1]}
const {tensors} = decode(await readFile('${batchFile}'));
const {loss, grad} = await client.${request.loss}({\n    ...tensors,\n${fields}});
console.log(loss, grad);
`;
}
