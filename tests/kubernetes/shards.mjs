// Writes shards of random logits and labels as NumPy files.
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';

const CLASSES = 10;
const ROWS = [50, 0, 7, 43]; // of each shard

function npy(descr, shape, numbers) {
    const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(',')},), }`;
    const header = Buffer.from(text.padEnd(117) + '\n');
    const magic = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
    return Buffer.concat([magic, header, Buffer.from(numbers.buffer)]);
}

export function writeShards(folder) {
    let state = 1; // of a linear congruential generator
    const next = () => (state = (state * 48271) % 2147483647) / 2147483647;
    ROWS.forEach((rows, shard) => {
        const logits = Float32Array.from({length: rows * CLASSES}, () => 8 * next() - 4);
        const labels = Int32Array.from({length: rows}, () => Math.floor(CLASSES * next()));
        const write = (name, ...array) =>
            writeFileSync(join(folder, `${name}-${shard}.npy`), npy(...array));
        write('logits', '<f4', [rows, CLASSES], logits);
        write('labels', '<i4', [rows], labels);
    });
}
