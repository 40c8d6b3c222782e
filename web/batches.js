// Batches to begin with: the example of each loss, and held-out predictions of small models.

import {TextError} from './numbers.js';
import {decode} from './safetensors.js';

/** What each batch is, and the loss that it was made for. */
const real = {
    diabetes: {title: 'diabetes: a regression of 221', loss: 'mse'},
    breast_cancer: {title: 'breast cancer: 285 yes or no', loss: 'bce_with_logits'},
    digits: {title: 'digits: 899 in 10 classes', loss: 'cross_entropy'},
};

export const batchOptions = [['', 'choose …'], ['example', "the loss's example"], ...Object.entries(real).map(([name, {title}]) => [name, title])];

/** The tensors of a real batch, and the loss to show them with: the present one where it takes them. */
export async function realBatch(name, description, signal) {
    const response = await fetch(new URL(`assets/${name}.safetensors`, document.baseURI), {signal});
    if (!response.ok) throw new TextError(`the batch ${name} was not read: the server answered with status ${response.status}`);
    const {tensors} = decode(await response.arrayBuffer());
    return {tensors, loss: takes(description, tensors) ? description.name : real[name].loss};
}

function takes({tensors: specs}, tensors) {
    const needed = specs.filter(({optional}) => !optional);
    return needed.length === Object.keys(tensors).length && needed.every(({name, kind}) => {
        const whole = tensors[name]?.dtype === 'int64';
        return name in tensors && (kind === 'real' ? !whole : whole);
    });
}
