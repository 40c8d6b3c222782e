// Programs in tabs, to be copied.

import {batchFile, inFile, programs} from './code.js';
import {byId, make} from './dom.js';
import {split} from './request.js';
import {encode} from './safetensors.js';

const tabs = ['curl', 'python', 'javascript'].map((name) => byId(`tab-${name}`));

const needs = {
    curl: '',
    python: 'Nothing but Python is needed. With NumPy there is a package, clients/python in the repository of lossd.',
    javascript: 'lossd is a package, clients/js in the repository of that name: npm install ./clients/js',
};

export class CodeView {
    #texts = {};

    constructor() {
        for (const tab of tabs) {
            tab.addEventListener('click', () => this.#choose(tab));
            tab.addEventListener('keydown', (event) => this.#move(event, tab));
        }
        byId('copy').addEventListener('click', () => this.#copy());
    }

    show(asked, description) {
        this.#texts = programs(asked);
        this.#write();
        const save = () => saveBatch(asked, description);
        byId('code-note').replaceChildren(...(inFile(asked.tensors) ? ['The numbers: ', make('button', {type: 'button', className: 'quiet', onclick: save}, `save ${batchFile}`), ', to be put where it runs.'] : []));
    }

    clear() {
        this.#texts = {};
        this.#write();
        byId('code-note').replaceChildren();
    }

    #write() {
        const language = this.#chosen.id.slice('tab-'.length);
        byId('code').textContent = this.#texts[language] ?? '';
        byId('copy').disabled = !(language in this.#texts);
        byId('code-needs').textContent = needs[language];
    }

    get #chosen() {
        return tabs.find((tab) => tab.getAttribute('aria-selected') === 'true');
    }

    #choose(chosen) {
        for (const tab of tabs) {
            tab.setAttribute('aria-selected', String(tab === chosen));
            tab.tabIndex = tab === chosen ? 0 : -1;
        }
        byId('code-panel').setAttribute('aria-labelledby', chosen.id);
        this.#write();
    }

    #move(event, tab) {
        const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (!step) return;
        const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
        this.#choose(next);
        next.focus();
    }

    async #copy() {
        const done = await copied(byId('code'));
        byId('copy').textContent = done ? 'copied' : 'selected: press Ctrl+C';
        setTimeout(() => {
            byId('copy').textContent = 'copy';
        }, 2000);
    }
}

function saveBatch({tensors, fields}, description) {
    const loss = {tensors: Object.fromEntries(description.tensors.map((tensor) => [tensor.name, tensor]))};
    const file = encode(split(loss, {...tensors, dtype: fields.dtype}).tensors);
    const href = URL.createObjectURL(new Blob([file], {type: 'application/vnd.safetensors'}));
    make('a', {href, download: batchFile}).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

// Where a page may not write to the clipboard, as over plain HTTP from elsewhere, the text is selected.
async function copied(element) {
    try {
        await navigator.clipboard.writeText(element.textContent);
        return true;
    } catch {
        getSelection().selectAllChildren(element);
        return document.execCommand('copy');
    }
}
