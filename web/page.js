// The page: a form on one side, what the server makes of it on the other.

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
const mostAtOnce = 200_000; // numbers that are sent anew while somebody types; more wait for the button

const token = () => sessionStorage.getItem('token') ?? undefined;
let client = new Client(base, {token: token()});
let losses = [];

const evaluateSoon = debounced(() => guarded(evaluate), 250);
const drawSoon = debounced(() => guarded(drawCurves), 60);
const act = queue(); // what changes the form, one after another
let switching = false; // whether another loss is on its way: until it is there nothing is evaluated

const form = new LossForm({changed, dropped: (files, field) => act(() => guarded(takeFiles, files, field))});
const curves = new CurveView(drawSoon);
const compare = new CompareView(drawSoon);
const code = new CodeView();
const gradient = new GradientView((sample) => {
    curves.choose(sample);
    drawSoon();
    byId('curve-heading').scrollIntoView({behavior: 'smooth'});
});

function changed() {
    stop(); // what is on its way belongs to what was entered before
    byId('loaded').textContent = '';
    const tensors = readForm();
    if (!tensors) return;
    if (Object.values(tensors).reduce((sum, {data}) => sum + data.length, 0) > mostAtOnce) {
        clearResults(`There are more than ${mostAtOnce.toLocaleString('en')} numbers: press Evaluate.`);
        return;
    }
    outdated(true);
    evaluateSoon();
    drawSoon();
}

// The tensors, with the programs for them; null where one cannot be read, which is then said, or while there is no form for them.
function readForm() {
    if (!form.description || switching) return null;
    const tensors = form.read();
    if (tensors) {
        writeCode(tensors);
    } else {
        code.clear();
        clearResults(form.mistake);
    }
    return tensors;
}

// Runs what may fail at anything, and says so.
async function guarded(action, ...values) {
    try {
        await action(...values);
    } catch (error) {
        failed(error);
    }
}

// Results are of what was entered last: where that came to nothing there are none.
function failed(error) {
    // The client's, of numbers that cannot be what a tensor needs.
    const [, name, detail] = error instanceof TypeError ? error.message.match(/^(\w+): (.*)/s) ?? [] : [];
    clearResults(error.message);
    if (error instanceof LossdError) {
        refused(error);
    } else if (form.tensor(name)) {
        form.showMistake(`/${name}`, detail);
    } else {
        form.showMistake(null, error.message);
        if (!(error instanceof TextError)) throw error;
    }
}

function refused(error) {
    // 403 is also what a token gets that is known no more.
    if (error.status === 401 || (error.status === 403 && token() !== undefined)) askForToken(error.detail);
    else form.showMistake(error.pointer, error.detail);
}

function askForToken(why) {
    tried = '';
    byId('token-field').hidden = false;
    byId('token-mistake').textContent = why;
    byId('token-mistake').hidden = token() === undefined; // the first time the hint says all
    byId('token').focus();
}

// ---- the request -------------------------------------------------------------------------------------------------------

const fieldsOf = () => ({...form.arguments, ...form.common, grad: true});
const termsOf = () => ({...fieldsOf(), reduction: 'none', grad: undefined, hess: undefined, grad_output: undefined});

function stop() {
    for (const later of [evaluateSoon, drawSoon]) later.cancel();
    for (const task of [evaluate, drawCurves]) task.stop();
}

// Shows no results, but why there are none.
function clearResults(why = '') {
    stop();
    clearFacts(why);
    gradient.clear();
    curves.clear();
    compare.clear();
    outdated(false);
}

// Whether the facts are of something that is not entered any more, until the answer comes.
function outdated(are) {
    byId('results').setAttribute('aria-busy', String(are));
}

const evaluate = latest(async (signal) => {
    const tensors = readForm();
    if (!tensors) return;
    const {description} = form;
    outdated(true);
    const [result, each] = await Promise.all([client.loss(description.name, {...tensors, ...fieldsOf()}, {signal}),
        client.loss(description.name, {...tensors, ...termsOf()}, {signal})]);
    signal.throwIfAborted();
    outdated(false);
    showFacts(result);
    gradient.show({grad: result.grad, hess: result.hess, terms: each.loss.numbers(), samples: new Samples(description, tensors)});
});

const drawCurves = latest(async (signal) => {
    const {description} = form, tensors = readForm();
    if (!tensors) return;
    if (description.tensors.some(({name, optional}) => !optional && !(name in tensors))) {
        clearCurves();
        return;
    }
    const samples = new Samples(description, tensors), fields = form.arguments;
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
    code.show({base, loss: form.description.name, tensors, fields: fieldsOf(), token: token() !== undefined}, form.description);
}

// ---- losses and batches ------------------------------------------------------------------------------------------------

// Changes the loss. Until the form of the other one is there, nothing is shown; if it never comes, the form stays.
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

async function takeBatch(name, signal) {
    byId('loaded').textContent = '';
    if (!form.description) await changeLoss(byId('loss').value, signal); // no loss could be loaded so far
    if (name === 'example') {
        fillExample();
    } else {
        const {tensors, loss} = await realBatch(name, form.description, signal);
        if (loss !== form.description.name) await changeLoss(loss, signal);
        form.fill(tensors, form.argued ? {...form.arguments, ...form.common} : {}, name); // those of the example went with it
        curves.choose(0);
    }
    refresh();
}

function refresh() {
    stop();
    guarded(evaluate);
    guarded(drawCurves);
}

// ---- files -------------------------------------------------------------------------------------------------------------

async function takeFiles(files, target) {
    const read = [];
    for (const file of files) read.push({name: file.name, ...await readFile(file)});
    const {tensors, fields} = assign(read, form, target);
    for (const {field, tensor, file} of tensors) field.set(tensor, file);
    form.take(fields);
    curves.choose(0);
    byId('loaded').textContent = `Read ${tensors.map(({field}) => field.name).join(', ')} from ${files.map(({name}) => name).join(', ')}.`;
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

// ---- the start ---------------------------------------------------------------------------------------------------------

// What takes the place of a change of the form that has not come to its end.
function supersede(action) {
    return act((signal) => guarded(async () => {
        try {
            await action(signal);
        } catch (error) {
            if (!signal.aborted) throw error;
        }
    }), {supersedes: true});
}

function chooseLoss(name) {
    return supersede(async (signal) => {
        await changeLoss(name, signal);
        refresh();
    });
}

let tried = ''; // the token that was entered last

function takeToken() {
    const entered = byId('token').value;
    if (entered === tried) return;
    tried = entered;
    try {
        client = new Client(base, {token: entered});
    } catch (error) {
        byId('token-mistake').textContent = error.message;
        byId('token-mistake').hidden = false;
        return;
    }
    sessionStorage.setItem('token', entered);
    byId('token-mistake').hidden = true;
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
        event.preventDefault(); // the form would be sent, with the token of before
        takeToken();
    });
    addEventListener('hashchange', () => {
        const name = location.hash.slice(1);
        if (name !== form.description?.name && losses.some((loss) => loss.name === name)) chooseLoss(name);
    });
    takeDrops();
}

async function start(signal) {
    losses = await client.losses({signal});
    const wanted = location.hash.slice(1), names = losses.map(({name}) => name);
    fillSelect(byId('loss'), losses.map(({name, title}) => [name, `${name} – ${title}`]));
    fillSelect(byId('batch'), batchOptions, '');
    await showLoss(names.includes(wanted) ? wanted : names[0], true, signal);
    refresh();
}

listen();
watchStatus((path) => fetch(`${base}/${path}`, {headers: token() ? {Authorization: `Bearer ${token()}`} : {}}));
supersede(start);
