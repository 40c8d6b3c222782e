// Loss and gradient with JavaScript, in Node or a browser: as JSON, as binary tensors, and an
// error.
//
//     node tests/clients/javascript.mjs http://127.0.0.1:8080

async function post(url, body, type) {
    const response = await fetch(url, {method: 'POST', headers: {'Content-Type': type}, body});
    if (!response.ok) throw new Error((await response.json()).detail);
    return response;
}

// Sends fields as JSON.
async function evaluate(url, fields) {
    return (await post(url, JSON.stringify(fields), 'application/json')).json();
}

// Sends and receives safetensors files: numbers are never converted to text. Takes Float32Arrays of
// one dimension; returns typed arrays.
async function evaluateArrays(url, arrays) {
    const header = {};
    let size = 0;
    for (const [name, array] of Object.entries(arrays)) {
        header[name] = {
            dtype: 'F32',
            shape: [array.length],
            data_offsets: [size, (size += array.byteLength)],
        };
    }
    let text = JSON.stringify(header);
    text = text.padEnd(Math.ceil(text.length / 8) * 8); // aligns the data
    const length = new BigUint64Array([BigInt(text.length)]);
    const response = await (
        await post(
            url,
            new Blob([length, text, ...Object.values(arrays)]),
            'application/vnd.safetensors',
        )
    ).arrayBuffer();
    const begin = 8 + Number(new DataView(response).getBigUint64(0, true));
    const found = new TextDecoder().decode(response.slice(8, begin));
    const {__metadata__, ...tensors} = JSON.parse(found);
    const types = {F32: Float32Array, F64: Float64Array};
    return Object.fromEntries(
        Object.entries(tensors).map(
            ([
                name,
                {
                    dtype,
                    data_offsets: [from, to],
                },
            ]) => [name, new types[dtype](response.slice(begin + from, begin + to))],
        ),
    );
}

function show(name, values) {
    console.log(name, ...Array.from(values, (value) => value.toFixed(6)));
}

const server = process.argv[2];
const input = [2.5, 0, 2],
    target = [3, -0.5, 2];

const {loss, grad} = await evaluate(`${server}/v1/losses/mse`, {input, target, grad: true});
show('loss', [loss]);
show('gradient', grad.input);

const arrays = await evaluateArrays(`${server}/v1/losses/mse?grad=true`, {
    input: new Float32Array(input),
    target: new Float32Array(target),
});
show('binary loss', arrays.loss);
show('binary gradient', arrays.grad_input);

try {
    await evaluate(`${server}/v1/losses/cross_entropy`, {input: [[0.2, 0.8]], target: [2]});
} catch (error) {
    console.log('error:', error.message);
}
