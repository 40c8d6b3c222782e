// Assigns the tensors in files to the tensors of a form.

import {TextError} from './numbers.js';

const aliases = {
    pred: 'input',
    preds: 'input',
    predictions: 'input',
    x: 'input',
    logits: 'input',
    y: 'target',
    labels: 'target',
    targets: 'target',
};
// Other fields of requests.
const others = ['reduction', 'dtype', 'hess', 'grad', 'encoding', 'loss'];

/**
 * Assigns tensors by their name, or by the name of their file. A tensor without such a name goes to
 * the field it was dropped on, else to the next required tensor, empty ones first; never to an
 * optional tensor.
 *
 * @param {{name: string, tensors: Object, fields: Object}[]} files as readFile gives them
 * @param {LossForm} form
 * @param {TensorField} [target] that the files were dropped on
 * @returns {{tensors: {field: TensorField, tensor: Object, file: string}[], fields: Object}}
 * @throws {TextError} if a tensor has no field, or a field gets two tensors
 */
export function assign(files, form, target) {
    const taken = [],
        fields = {},
        unnamed = [];
    const put = (field, tensor, file) => {
        const before = taken.find((other) => other.field === field);
        if (before) throw new TextError(`${file}: ${field.name} is already in ${before.file}`);
        taken.push({field, tensor, file});
    };
    for (const file of files) {
        Object.assign(fields, fieldsOf(file, form));
        for (const [name, tensor] of [
            ...Object.entries(file.tensors),
            ...Object.entries(scalarsOf(file, form)),
        ]) {
            const field = fieldOf(name || stemOf(file.name), form);
            const single = Object.keys(file.tensors).length === 1;
            if (field && !(target && single && name === '')) put(field, tensor, file.name);
            else if (name === '' || (target && single)) unnamed.push({tensor, file: file.name});
            else
                throw new TextError(
                    `${file.name}: ${form.description.name} has no tensor '${name}'; it ` +
                        `has ${namesOf(form.tensors)}`,
                );
        }
    }
    for (const {tensor, file} of unnamed) put(placeFor(form, target, taken, file), tensor, file);
    return {tensors: taken, fields};
}

const namesOf = (fields) => fields.map(({name}) => name).join(', ');
const stemOf = (file) => file.replace(/\.[^.]*$/, '').toLowerCase();
const fieldOf = (name, form) => form.tensor(name) ?? form.tensor(aliases[name.toLowerCase()] ?? '');

function placeFor(form, target, taken, file) {
    const free = (field) => !taken.some((other) => other.field === field);
    if (target && free(target)) return target;
    const required = form.tensors.filter((field) => !field.description.optional && free(field));
    const place = required.find((field) => field.isEmpty) ?? required[0];
    if (place) return place;
    throw new TextError(
        `${file}: no field for this tensor; drop it on a field, or name the file after ` +
            `one: ${namesOf(form.tensors)}`,
    );
}

// A tensor that is a single number arrives among the other fields.
function scalarsOf({fields}, form) {
    return Object.fromEntries(
        Object.entries(fields)
            .filter(([name, value]) => form.tensor(name) && typeof value === 'number')
            .map(([name, value]) => [name, {shape: [], data: [value]}]),
    );
}

const choices = (name, {reductions}) =>
    ({reduction: reductions, dtype: ['float32', 'float64']})[name];

function fieldsOf({name: file, fields}, form) {
    const {description, parameters} = form,
        own = {};
    for (const [name, value] of Object.entries(fields)) {
        if (form.tensor(name)) {
            if (typeof value !== 'number')
                throw new TextError(
                    `${file}: ${name} must be nested arrays of numbers, or an object ` +
                        `with shape and data`,
                );
        } else if (
            !parameters.some((parameter) => parameter.name === name) &&
            !others.includes(name)
        ) {
            throw new TextError(
                `${file}: ${description.name} has no field '${name}'; it has ` +
                    `${namesOf([...form.tensors, ...parameters])}`,
            );
        } else if (choices(name, description) && !choices(name, description).includes(value)) {
            throw new TextError(
                `${file}: ${name} is ${JSON.stringify(value)}; it must be ` +
                    `${choices(name, description).join(' or ')}`,
            );
        } else {
            own[name] = value;
        }
    }
    return own;
}
