// Sample batches: the example of each loss, and held-out predictions of small models.

import {TextError} from './numbers.js';
import {decode} from './safetensors.js';

/** The title of each batch, and the loss that its model was trained with. */
const real = {
    diabetes: {title: 'diabetes: regression, 221 samples', loss: 'mse'},
    breast_cancer: {title: 'breast cancer: binary, 285 samples', loss: 'bce_with_logits'},
    digits: {title: 'digits: 10 classes, 899 samples', loss: 'cross_entropy'},
};

export const batchOptions = [
    ['', 'choose …'],
    ['example', "the loss's example"],
    ...Object.entries(real).map(([name, {title}]) => [name, title]),
];

/**
 * Returns the tensors of a real batch and the loss to show them with: the current loss if it
 * accepts them, otherwise the loss that the model was trained with.
 */
export async function realBatch(name, description, signal) {
    const response = await fetch(new URL(`assets/${name}.safetensors`, document.baseURI), {signal});
    if (!response.ok)
        throw new TextError(
            `cannot load the batch ${name}: the server responded with status ${response.status}`,
        );
    const {tensors} = decode(await response.arrayBuffer());
    return {tensors, loss: takes(description, tensors) ? description.name : real[name].loss};
}

function takes({tensors: specs}, tensors) {
    const needed = specs.filter(({optional}) => !optional);
    return (
        needed.length === Object.keys(tensors).length &&
        needed.every(({name, kind}) => {
            const whole = tensors[name]?.dtype === 'int64';
            return name in tensors && (kind === 'real' ? !whole : whole);
        })
    );
}
