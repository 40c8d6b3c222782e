// The page: a form on one side, what the server makes of it on the other.

import {batchOptions, realBatch} from './batches.js';
import {Client} from './client.js';
import {CodeView} from './code-view.js';
import {CompareView} from './compare.js';
import {CurveView} from './curve-view.js';
import {byId, debounced, fillSelect, latest} from './dom.js';
import {LossdError} from './error.js';
import {clearFacts, showFacts} from './facts.js';
import {readFile} from './files.js';
import {GradientView} from './gradient.js';
import {LossForm} from './loss-form.js';
import {TextError, fromNested} from './numbers.js';
import {Samples} from './samples.js';
import {watchStatus} from './status.js';

const base = new URL('.', document.baseURI).href.replace(/\/$/, '');
const mostAtOnce = 200_000; // numbers that are sent anew while somebody types; more wait for the button

const token = () => sessionStorage.getItem('token') ?? undefined;
let client = new Client(base, {token: token()});
let losses = [];

const evaluateSoon = debounced(() => evaluate(), 250);
const drawSoon = debounced(() => drawCurves(), 60);

const form = new LossForm({changed, dropped: (files, field) => guarded(takeFiles, files, field)});
const curves = new CurveView(drawSoon);
const compare = new CompareView(drawSoon);
const code = new CodeView();
const gradient = new GradientView((sample) => {
    curves.choose(sample);
    drawSoon();
    byId('curve-heading').scrollIntoView({behavior: 'smooth'});
});

function changed() {
    const tensors = form.read();
    byId('loaded').textContent = '';
    if (!tensors) return;
    writeCode(tensors);
    if (Object.values(tensors).reduce((sum, {data}) => sum + data.length, 0) > mostAtOnce) return;
    evaluateSoon();
    drawSoon();
}

// Runs what may fail at anything, and says so.
async function guarded(action, ...values) {
    try {
        await action(...values);
    } catch (error) {
        if (error instanceof LossdError) refused(error);
        else form.showMistake(null, error.message);
        if (!(error instanceof LossdError || error instanceof TextError)) throw error;
    }
}

function refused(error) {
    // 403 is also what a token gets that is known no more.
    if (error.status === 401 || (error.status === 403 && token() !== undefined)) askForToken(error.detail);
    else form.showMistake(error.pointer, error.detail);
}

function askForToken(why) {
    byId('token-field').hidden = false;
    byId('token-mistake').textContent = why;
    byId('token-mistake').hidden = token() === undefined; // the first time the hint says all
    byId('token').focus();
}

// ---- the request -------------------------------------------------------------------------------------------------------

const fieldsOf = () => ({...form.arguments, ...form.common, grad: true});
const termsOf = () => ({...fieldsOf(), reduction: 'none', grad: undefined, hess: undefined, grad_output: undefined});

const evaluate = latest(async (signal) => {
    const tensors = form.description && form.read();
    if (!tensors) return;
    writeCode(tensors);
    const {name} = form.description;
    try {
        const [result, each] = await Promise.all([client.loss(name, {...tensors, ...fieldsOf()}, {signal}),
            client.loss(name, {...tensors, ...termsOf()}, {signal})]);
        showFacts(result);
        gradient.show({grad: result.grad, hess: result.hess, terms: each.loss.numbers(), samples: new Samples(form.description, tensors)});
    } catch (error) {
        if (signal.aborted || !(error instanceof LossdError)) throw error;
        clearFacts();
        gradient.clear();
        refused(error);
    }
});

const drawCurves = latest(async (signal) => {
    const {description} = form, tensors = description && form.read();
    if (!tensors || description.tensors.some(({name, optional}) => !optional && !(name in tensors))) return;
    const samples = new Samples(description, tensors), fields = form.arguments;
    try {
        const place = await curves.show({client, description, fields, samples, signal});
        if (place) await compare.show({client, description, fields, place, tensors, signal});
    } catch (error) {
        if (signal.aborted || !(error instanceof LossdError)) throw error;
        curves.refuse(error.detail);
    }
});

function writeCode(tensors) {
    code.show({base, loss: form.description.name, tensors, fields: fieldsOf(), token: token() !== undefined}, form.description);
}

// ---- losses and batches ------------------------------------------------------------------------------------------------

async function showLoss(name, withExample) {
    const description = await client.describe(name);
    document.querySelector('main').dataset.state = 'shown';
    form.show(description);
    compare.offer(losses, description);
    curves.fit();
    byId('loss').value = name;
    history.replaceState(null, '', `#${name}`);
    document.title = `${name} · lossd`;
    const missing = description.tensors.some((tensor) => !tensor.optional && form.tensor(tensor.name).isEmpty);
    if (withExample || missing) fillExample();
}

function fillExample() {
    const {example} = form.description, tensors = {}, fields = {};
    for (const [name, value] of Object.entries(example)) {
        if (form.tensor(name)) tensors[name] = fromNested(value);
        else fields[name] = value;
    }
    form.fill(tensors, fields, 'the example');
    curves.choose(0);
}

async function takeBatch(name) {
    if (name === 'example') {
        fillExample();
    } else {
        const {tensors, loss} = await realBatch(name, form.description);
        if (loss !== form.description.name) await showLoss(loss, false);
        form.fill(tensors, form.argued ? {...form.arguments, ...form.common} : {}, name); // those of the example went with it
        curves.choose(0);
    }
    refresh();
}

function refresh() {
    return Promise.all([evaluate(), drawCurves()]);
}

// ---- files -------------------------------------------------------------------------------------------------------------

// A tensor goes to the field of its name; one without goes where it was dropped, to the field that its file is named after, or to the
// first that is empty.
async function takeFiles(files, target) {
    const taken = [];
    for (const file of files) {
        const {tensors, fields} = await readFile(file);
        const known = Object.entries(tensors).filter(([name]) => form.tensor(name));
        const strange = Object.keys(tensors).filter((name) => name !== '' && !form.tensor(name));
        if (strange.length > 0 && !(target && Object.keys(tensors).length === 1)) {
            throw new TextError(`${file.name}: ${form.description.name} has no tensor '${strange[0]}'; it has ${form.tensors.map(({name}) => name).join(', ')}`);
        }
        if (known.length === 0) known.push(...Object.values(tensors).map((tensor) => [(target ?? homeOf(file.name)).name, tensor]));
        for (const [name, tensor] of known) {
            form.tensor(name).set(tensor, file.name);
            taken.push(name);
        }
        for (const parameter of form.parameters) if (parameter.name in fields) parameter.value = fields[parameter.name];
        if (form.description.reductions.includes(fields.reduction)) byId('reduction').value = fields.reduction;
        if (fields.dtype) byId('dtype').value = fields.dtype;
        if (fields.hess !== undefined) byId('hess').checked = fields.hess !== false;
        if (typeof fields.grad_output === 'number') form.tensor('grad_output').set({shape: [], data: [fields.grad_output]}, file.name);
    }
    curves.choose(0);
    await refresh();
    byId('loaded').textContent = `Read ${taken.join(', ')} from ${files.map(({name}) => name).join(', ')}.`;
}

function homeOf(file) {
    const stem = file.slice(0, file.lastIndexOf('.')).toLowerCase();
    const aliases = {pred: 'input', preds: 'input', predictions: 'input', x: 'input', logits: 'input', y: 'target', labels: 'target', targets: 'target'};
    return form.tensor(stem) ?? form.tensor(aliases[stem] ?? '') ?? form.tensors.find((field) => field.isEmpty) ?? form.tensors[0];
}

function takeDrops() {
    const zone = byId('data');
    zone.addEventListener('dragover', (event) => {
        event.preventDefault();
        zone.classList.add('target');
    });
    zone.addEventListener('dragleave', () => zone.classList.remove('target'));
    zone.addEventListener('drop', (event) => {
        zone.classList.remove('target');
        if (event.dataTransfer.files.length === 0) return;
        event.preventDefault();
        guarded(takeFiles, [...event.dataTransfer.files]);
    });
}

// ---- the start ---------------------------------------------------------------------------------------------------------

function listen() {
    byId('loss').addEventListener('input', () => guarded(async () => {
        await showLoss(byId('loss').value, false);
        await refresh();
    }));
    byId('batch').addEventListener('input', () => guarded(async () => {
        const {value} = byId('batch');
        byId('batch').value = '';
        if (value) await takeBatch(value);
    }));
    byId('files').addEventListener('change', () => guarded(async () => {
        const files = [...byId('files').files];
        byId('files').value = '';
        await takeFiles(files);
    }));
    byId('form').addEventListener('submit', (event) => {
        event.preventDefault();
        guarded(refresh);
    });
    byId('form').addEventListener('keydown', (event) => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) byId('form').requestSubmit();
    });
    byId('token').addEventListener('change', () => guarded(async () => {
        sessionStorage.setItem('token', byId('token').value);
        client = new Client(base, {token: token()});
        byId('token-mistake').hidden = true;
        await start();
        byId('token-field').hidden = true;
    }));
    addEventListener('hashchange', () => guarded(async () => {
        const name = location.hash.slice(1);
        if (name === form.description?.name || !losses.some((loss) => loss.name === name)) return;
        await showLoss(name, false);
        await refresh();
    }));
    takeDrops();
}

async function start() {
    losses = await client.losses();
    const wanted = location.hash.slice(1), names = losses.map(({name}) => name);
    fillSelect(byId('loss'), losses.map(({name, title}) => [name, `${name} – ${title}`]));
    fillSelect(byId('batch'), batchOptions, '');
    await showLoss(names.includes(wanted) ? wanted : names[0], true);
    await refresh();
}

listen();
watchStatus((path) => fetch(`${base}/${path}`, {headers: token() ? {Authorization: `Bearer ${token()}`} : {}}));
guarded(start);
