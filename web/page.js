// The page: a form with a request, and the results.

import {assign} from './assign.js';
import {batchOptions, realBatch} from './batches.js';
import {Client} from './client.js';
import {CodeView} from './code-view.js';
import {CompareView} from './compare.js';
import {CurveView} from './curve-view.js';
import {byId, debounced, fillSelect, latest, queue} from './dom.js';
import {LossdError} from './error.js';
import {clearFacts, showFacts} from './facts.js';
import {readFile} from './files.js';
import {GradientView} from './gradient.js';
import {LossForm} from './loss-form.js';
import {TextError, fromNested} from './numbers.js';
import {Samples} from './samples.js';
import {watchStatus} from './status.js';

const base = new URL('.', document.baseURI).href.replace(/\/$/, '');
const maxLive = 200_000; // numbers; larger batches are sent only by the Evaluate button

const token = () => sessionStorage.getItem('token') ?? undefined;
let client = new Client(base, {token: token()});
let losses = [];

const evaluateSoon = debounced(() => guarded(evaluate), 250);
const drawSoon = debounced(() => guarded(drawCurves), 60);
const act = queue(); // runs changes of the form one after another
let switching = false; // true while another loss is loading; nothing is evaluated then

const form = new LossForm({
    changed,
    dropped: (files, field) => act(() => guarded(takeFiles, files, field)),
});
const curves = new CurveView(drawSoon);
const compare = new CompareView(drawSoon);
const code = new CodeView();
const gradient = new GradientView((sample) => {
    curves.choose(sample);
    drawSoon();
    byId('curve-heading').scrollIntoView({behavior: 'smooth'});
});

function changed() {
    stop(); // pending requests are for previous values
    byId('loaded').textContent = '';
    const tensors = readForm();
    if (!tensors) return;
    if (Object.values(tensors).reduce((sum, {data}) => sum + data.length, 0) > maxLive) {
        clearResults(
            `There are more than ${maxLive.toLocaleString('en')} numbers: press Evaluate.`,
        );
        return;
    }
    outdated(true);
    evaluateSoon();
    drawSoon();
}

// Reads the tensors and updates the code. Returns null if one is invalid, which is then shown, or
// while a loss is loading.
function readForm() {
    if (!form.description || switching) return null;
    const tensors = form.read();
    if (tensors) {
        writeCode(tensors);
    } else {
        code.clear();
        clearResults(form.error);
    }
    return tensors;
}

// Runs an action and shows its errors.
async function guarded(action, ...values) {
    try {
        await action(...values);
    } catch (error) {
        failed(error);
    }
}

// Removes the results, which would not match the current values.
function failed(error) {
    // An error of the client about a tensor.
    const [, name, detail] =
        error instanceof TypeError ? (error.message.match(/^(\w+): (.*)/s) ?? []) : [];
    clearResults(error.message);
    if (error instanceof LossdError) {
        showRefusal(error);
    } else if (form.tensor(name)) {
        form.showError(`/${name}`, detail);
    } else {
        form.showError(null, error.message);
        if (!(error instanceof TextError)) throw error;
    }
}

function showRefusal(error) {
    // 403 is also the status for a token that is no longer valid.
    if (error.status === 401 || (error.status === 403 && token() !== undefined))
        askForToken(error.detail);
    else form.showError(error.pointer, error.detail);
}

function askForToken(why) {
    tried = '';
    byId('token-field').hidden = false;
    byId('token-error').textContent = why;
    byId('token-error').hidden = token() === undefined; // until then, the hint is enough
    byId('token').focus();
}

// ---- Request ----

const fieldsOf = () => ({...form.arguments, ...form.common, grad: true});
const termsOf = () => ({
    ...fieldsOf(),
    reduction: 'none',
    grad: undefined,
    hess: undefined,
    grad_output: undefined,
});

function stop() {
    for (const later of [evaluateSoon, drawSoon]) later.cancel();
    for (const task of [evaluate, drawCurves]) task.stop();
}

// Removes the results and shows the reason.
function clearResults(why = '') {
    stop();
    clearFacts(why);
    gradient.clear();
    curves.clear();
    compare.clear();
    outdated(false);
}

// Marks results that are out of date until the response arrives.
function outdated(are) {
    byId('results').setAttribute('aria-busy', String(are));
}

const evaluate = latest(async (signal) => {
    const tensors = readForm();
    if (!tensors) return;
    const {description} = form;
    outdated(true);
    const [result, each] = await Promise.all([
        client.loss(description.name, {...tensors, ...fieldsOf()}, {signal}),
        client.loss(description.name, {...tensors, ...termsOf()}, {signal}),
    ]);
    signal.throwIfAborted();
    outdated(false);
    showFacts(result);
    gradient.show({
        grad: result.grad,
        hess: result.hess,
        terms: each.loss.numbers(),
        samples: new Samples(description, tensors),
    });
});

const drawCurves = latest(async (signal) => {
    const {description} = form,
        tensors = readForm();
    if (!tensors) return;
    if (description.tensors.some(({name, optional}) => !optional && !(name in tensors))) {
        clearCurves();
        return;
    }
    const samples = new Samples(description, tensors),
        fields = form.arguments;
    try {
        const place = await curves.show({client, description, fields, samples, signal});
        if (place) await compare.show({client, description, fields, place, tensors, signal});
        else compare.clear();
    } catch (error) {
        if (signal.aborted || !(error instanceof LossdError)) throw error;
        clearCurves(error.detail);
    }
});

function clearCurves(why) {
    curves.clear(why);
    compare.clear();
}

function writeCode(tensors) {
    code.show(
        {
            base,
            loss: form.description.name,
            tensors,
            fields: fieldsOf(),
            token: token() !== undefined,
        },
        form.description,
    );
}

// ---- Losses and batches ----

// Changes the loss. Shows no results until the new form is loaded; keeps the old form if that
// fails.
async function changeLoss(name, signal) {
    switching = true;
    byId('loaded').textContent = '';
    code.clear();
    clearResults();
    try {
        await showLoss(name, false, signal);
    } finally {
        switching = false;
        if (form.description) byId('loss').value = form.description.name;
    }
}

async function showLoss(name, withExample, signal) {
    const description = await client.describe(name, {signal});
    signal?.throwIfAborted();
    document.querySelector('main').dataset.state = 'shown';
    form.show(description);
    compare.offer(losses, description);
    curves.fit();
    byId('loss').value = name;
    history.replaceState(null, '', `#${name}`);
    document.title = `${name} · lossd`;
    const missing = description.tensors.some(
        (tensor) => !tensor.optional && form.tensor(tensor.name).isEmpty,
    );
    if (withExample || missing) fillExample();
}

function fillExample() {
    const {example} = form.description,
        tensors = {},
        fields = {};
    for (const [name, value] of Object.entries(example)) {
        if (form.tensor(name)) tensors[name] = fromNested(value);
        else fields[name] = value;
    }
    form.fill(tensors, fields, 'the example');
    curves.choose(0);
}

async function takeBatch(name, signal) {
    byId('loaded').textContent = '';
    // No loss has been loaded so far.
    if (!form.description) await changeLoss(byId('loss').value, signal);
    if (name === 'example') {
        fillExample();
    } else {
        const {tensors, loss} = await realBatch(name, form.description, signal);
        if (loss !== form.description.name) await changeLoss(loss, signal);
        // Parameters of the example belong to the example.
        form.fill(tensors, form.argued ? {...form.arguments, ...form.common} : {}, name);
        curves.choose(0);
    }
    refresh();
}

function refresh() {
    stop();
    guarded(evaluate);
    guarded(drawCurves);
}

// ---- Files ----

async function takeFiles(files, target) {
    const read = [];
    for (const file of files) read.push({name: file.name, ...(await readFile(file))});
    const {tensors, fields} = assign(read, form, target);
    for (const {field, tensor, file} of tensors) field.set(tensor, file);
    form.take(fields);
    curves.choose(0);
    byId('loaded').textContent =
        `Read ${tensors.map(({field}) => field.name).join(', ')} from ` +
        `${files.map(({name}) => name).join(', ')}.`;
    refresh();
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
        const files = [...event.dataTransfer.files];
        act(() => guarded(takeFiles, files));
    });
}

// ---- Startup ----

// Runs an action that replaces pending changes of the form.
function supersede(action) {
    return act(
        (signal) =>
            guarded(async () => {
                try {
                    await action(signal);
                } catch (error) {
                    if (!signal.aborted) throw error;
                }
            }),
        {supersedes: true},
    );
}

function chooseLoss(name) {
    return supersede(async (signal) => {
        await changeLoss(name, signal);
        refresh();
    });
}

let tried = ''; // the last token entered

function takeToken() {
    const entered = byId('token').value;
    if (entered === tried) return;
    tried = entered;
    try {
        client = new Client(base, {token: entered});
    } catch (error) {
        byId('token-error').textContent = error.message;
        byId('token-error').hidden = false;
        return;
    }
    sessionStorage.setItem('token', entered);
    byId('token-error').hidden = true;
    supersede(async (signal) => {
        await start(signal);
        byId('token-field').hidden = true;
    });
}

function listen() {
    byId('loss').addEventListener('input', () => chooseLoss(byId('loss').value));
    byId('batch').addEventListener('input', () => {
        const {value} = byId('batch');
        byId('batch').value = '';
        if (value) supersede((signal) => takeBatch(value, signal));
    });
    byId('files').addEventListener('change', () => {
        const files = [...byId('files').files];
        byId('files').value = '';
        act(() => guarded(takeFiles, files));
    });
    byId('form').addEventListener('submit', (event) => {
        event.preventDefault();
        refresh();
    });
    byId('form').addEventListener('keydown', (event) => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) byId('form').requestSubmit();
    });
    byId('token').addEventListener('change', takeToken);
    byId('token').addEventListener('keydown', (event) => {
        if (event.key !== 'Enter') return;
        event.preventDefault(); // do not submit the form with the previous token
        takeToken();
    });
    addEventListener('hashchange', () => {
        const name = location.hash.slice(1);
        if (name !== form.description?.name && losses.some((loss) => loss.name === name))
            chooseLoss(name);
    });
    takeDrops();
}

async function start(signal) {
    losses = await client.losses({signal});
    const wanted = location.hash.slice(1),
        names = losses.map(({name}) => name);
    fillSelect(
        byId('loss'),
        losses.map(({name, title}) => [name, `${name} – ${title}`]),
    );
    fillSelect(byId('batch'), batchOptions, '');
    await showLoss(names.includes(wanted) ? wanted : names[0], true, signal);
    refresh();
}

listen();
watchStatus((path) =>
    fetch(`${base}/${path}`, {headers: token() ? {Authorization: `Bearer ${token()}`} : {}}),
);
supersede(start);
