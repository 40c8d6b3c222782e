// Tabs with code that sends the current request.

import {batchFile, inFile, programs} from './code.js';
import {byId, make} from './dom.js';
import {split} from './request.js';
import {encode} from './safetensors.js';

const tabs = ['curl', 'python', 'javascript'].map((name) => byId(`tab-${name}`));

const needs = {
    curl: '',
    python: 'Needs only Python. The package clients/python of the lossd repository supports NumPy.',
    javascript: 'Needs the package clients/js of the lossd repository: npm install ./clients/js',
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
        byId('code-note').replaceChildren(
            ...(inFile(asked.tensors)
                ? [
                      'Data: ',
                      make(
                          'button',
                          {type: 'button', className: 'quiet', onclick: save},
                          `save ${batchFile}`,
                      ),
                      ' and put it next to the program.',
                  ]
                : []),
        );
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
    const loss = {
        tensors: Object.fromEntries(description.tensors.map((tensor) => [tensor.name, tensor])),
    };
    const file = encode(split(loss, {...tensors, dtype: fields.dtype}).tensors);
    const href = URL.createObjectURL(new Blob([file], {type: 'application/vnd.safetensors'}));
    make('a', {href, download: batchFile}).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

// Selects the text if the clipboard is not accessible, as over plain HTTP from
// another host.
async function copied(element) {
    try {
        await navigator.clipboard.writeText(element.textContent);
        return true;
    } catch {
        getSelection().selectAllChildren(element);
        return document.execCommand('copy');
    }
}
