// The page GET /docs: shows /openapi.json and sends requests. It loads nothing from other hosts,
// and never parses text as HTML.

const $ = (id) => document.getElementById(id);
let api;

/**
 * Makes an element. Names with a leading dot are properties, the others attributes. Empty children
 * are skipped.
 */
function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith('.')) element[name.slice(1)] = value;
        else if (value !== undefined && value !== false)
            element.setAttribute(name, value === true ? '' : value);
    }
    element.append(
        ...children
            .flat(Infinity)
            .filter((child) => child !== undefined && child !== null && child !== ''),
    );
    return element;
}

function resolve(object) {
    if (!object?.$ref) return object ?? {};
    const target = object.$ref
        .slice(2)
        .split('/')
        .reduce((at, name) => at[name], api);
    const {$ref, ...others} = object;
    return {...target, ...others};
}

const nameOf = (reference) => reference.slice(reference.lastIndexOf('/') + 1);
const isOfLoss = (name) => /_(request|answer|options|form)$/.test(name);

// ---- Schemas ----

/** Describes the type of a schema in a few words, with links to named schemas. */
function typeOf(schema) {
    if (schema.$ref) {
        const name = nameOf(schema.$ref);
        return isOfLoss(name)
            ? [typeOf(resolve(schema))]
            : [h('a', {href: '#schema-' + name}, name)];
    }
    if (schema.const !== undefined) return [h('code', {}, JSON.stringify(schema.const))];
    if (schema.enum) {
        const shown = schema.enum
            .slice(0, 12)
            .map((value) => JSON.stringify(value))
            .join(', ');
        return [
            h('code', {}, shown + (schema.enum.length > 12 ? `, … (${schema.enum.length})` : '')),
        ];
    }
    if (schema.anyOf)
        return schema.anyOf.flatMap((option, i) =>
            i ? [' or ', ...typeOf(option)] : typeOf(option),
        );
    if (schema.type === 'array') return ['array of ', ...typeOf(schema.items ?? {})];
    if (Array.isArray(schema.type)) return [schema.type.join(' or ')];
    return [schema.contentMediaType ? 'file' : (schema.type ?? 'anything')];
}

function limitsOf(schema) {
    const limits = [
        ['minimum', '≥ '],
        ['exclusiveMinimum', '> '],
        ['maximum', '≤ '],
        ['exclusiveMaximum', '< '],
        ['minItems', 'at least '],
        ['maxItems', 'at most '],
    ];
    return limits
        .filter(([key]) => schema[key] !== undefined)
        .map(([key, sign]) => sign + schema[key])
        .join(', ');
}

/** A table of the properties of an object; for other types a line. */
function schemaTable(reference, caption) {
    const schema = resolve(reference);
    if (!schema.properties)
        return h(
            'p',
            {},
            typeOf(reference.$ref && isOfLoss(nameOf(reference.$ref)) ? schema : reference),
        );
    const row = ([name, property]) => {
        const whole = resolve(property);
        const required = schema.required?.includes(name);
        const limits = limitsOf(whole);
        return h(
            'tr',
            {},
            h(
                'td',
                {},
                h('code', {}, name),
                required ? h('span', {class: 'required', title: 'required'}, ' *') : '',
            ),
            h('td', {}, typeOf(property), limits ? `, ${limits}` : ''),
            h(
                'td',
                {},
                whole.default === undefined ? '' : h('code', {}, JSON.stringify(whole.default)),
            ),
            h('td', {}, whole.description),
        );
    };
    return h(
        'div',
        {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption},
        h(
            'table',
            {},
            h(
                'thead',
                {},
                h(
                    'tr',
                    {},
                    ['field', 'type', 'default', 'meaning'].map((head) =>
                        h('th', {scope: 'col'}, head),
                    ),
                ),
            ),
            h('tbody', {}, Object.entries(schema.properties).map(row)),
        ),
    );
}

// ---- Requests ----

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** JSON with the innermost arrays on one line each. */
function pretty(value) {
    const text = JSON.stringify(value, null, 2);
    return text.replace(/\[[^[\]{}]*\]/g, (list) =>
        list.includes('"') ? list : list.replace(/\s+/g, ' ').replace('[ ', '[').replace(' ]', ']'),
    );
}

function examplesOf(media) {
    if (media.example !== undefined) return {example: media.example};
    return Object.fromEntries(
        Object.entries(media.examples ?? {}).map(([name, example]) => [
            name,
            resolve(example).value,
        ]),
    );
}

async function send(method, path, body, output) {
    const headers = {};
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if ($('token').value) headers.Authorization = `Bearer ${$('token').value}`;
    const started = performance.now();
    let status,
        good = false,
        text;
    try {
        const response = await fetch(path, {method, headers, body});
        text = await response.text();
        good = response.ok;
        status =
            `${response.status} ${response.statusText}, ` +
            `${(performance.now() - started).toFixed(1)} ms`;
        if (/json/.test(response.headers.get('Content-Type') ?? ''))
            text = pretty(JSON.parse(text));
    } catch (error) {
        status = `no response: ${error.message}`;
    }
    output.replaceChildren(
        h('p', {class: `status ${good ? 'good' : 'bad'}`}, status),
        text === undefined ? '' : h('pre', {tabindex: '0'}, text),
    );
}

/**
 * Copies the text of an element, or selects it if the clipboard is not available. Returns a text
 * that says which.
 */
async function copied(element) {
    try {
        await navigator.clipboard.writeText(element.textContent);
        return 'Copied';
    } catch {
        getSelection().selectAllChildren(element);
        return document.execCommand('copy') ? 'Copied' : 'Selected: press Ctrl+C';
    }
}

/** A form that sends a request, filled in with the example of the operation. */
function tryIt(path, method, operation) {
    const id = operation.operationId;
    const parameters = (operation.parameters ?? [])
        .map(resolve)
        .filter((parameter) => parameter.in === 'path');
    const fields = parameters.map((parameter) => {
        const choices = resolve(parameter.schema).enum;
        return choices
            ? h(
                  'select',
                  {name: parameter.name},
                  choices.map((choice) =>
                      h('option', {selected: choice === parameter.example}, choice),
                  ),
              )
            : h('input', {name: parameter.name, value: parameter.example ?? ''});
    });
    const media = operation.requestBody?.content['application/json'];
    const examples = media ? examplesOf(media) : {};
    const names = Object.keys(examples);
    const body =
        media &&
        h('textarea', {
            spellcheck: 'false',
            'aria-label': `body of ${id}`,
            '.value': pretty(examples[names[0]]),
        });
    const chooser =
        names.length > 1 &&
        h(
            'select',
            {},
            names.map((name) => h('option', {}, name)),
        );
    const output = h('div', {role: 'status'});
    const curl = h('pre', {tabindex: '0'});
    const copy = h('button', {type: 'button'}, 'Copy curl');

    /** Relative to this page, because a proxy can serve it under a path prefix. */
    const target = () =>
        new URL(
            '.' +
                parameters.reduce(
                    (at, parameter, i) =>
                        at.replace(`{${parameter.name}}`, encodeURIComponent(fields[i].value)),
                    path,
                ),
            document.baseURI,
        ).href;
    const show = () => {
        const token = $('token').value ? "-H 'Authorization: Bearer TOKEN' " : '';
        const oneLine = () => {
            try {
                return JSON.stringify(JSON.parse(body.value));
            } catch {
                return body.value;
            }
        };
        curl.textContent =
            `curl ${token}` +
            `${body ? `--json ${quote(oneLine())} ` : method === 'post' ? '-X POST ' : ''}` +
            `${target()}`;
    };
    chooser &&
        chooser.addEventListener('change', () => {
            body.value = pretty(examples[chooser.value]);
            const loss = fields[parameters.findIndex((parameter) => parameter.name === 'loss')];
            if (loss) loss.value = chooser.value;
            show();
        });
    copy.addEventListener('click', async () => {
        copy.textContent = await copied(curl);
        setTimeout(() => (copy.textContent = 'Copy curl'), 1500);
    });
    const form = h(
        'form',
        {},
        parameters.length || chooser
            ? h(
                  'div',
                  {class: 'row'},
                  chooser && h('label', {}, 'example ', chooser),
                  parameters.map((parameter, i) => h('label', {}, `${parameter.name} `, fields[i])),
              )
            : '',
        body,
        h('div', {class: 'row'}, h('button', {class: 'main'}, 'Send'), copy),
        curl,
        output,
    );
    form.addEventListener('input', show);
    form.addEventListener('submit', (event) => {
        event.preventDefault();
        send(method.toUpperCase(), target(), body ? body.value : undefined, output);
    });
    $('token').addEventListener('input', show);
    show();
    return form;
}

// ---- Operations ----

function contentOf(content, caption) {
    return Object.entries(content ?? {}).map(([type, media]) => [
        h('p', {}, h('code', {}, type)),
        media.schema
            ? schemaTable(media.schema, `${type} ${caption}`)
            : h('p', {class: 'dim'}, 'bytes, not JSON'),
    ]);
}

function responses(operation) {
    const whole = Object.entries(operation.responses).map(([status, response]) => [
        status,
        resolve(response),
    ]);
    const [first] = whole;
    return [
        h('h3', {}, `Response ${first[0]}`),
        contentOf(first[1].content, `response of ${operation.operationId}`),
        h('h3', {}, 'Other statuses'),
        h(
            'table',
            {},
            h(
                'tbody',
                {},
                whole
                    .slice(1)
                    .map(([status, response]) =>
                        h(
                            'tr',
                            {},
                            h('td', {}, h('code', {}, status)),
                            h('td', {}, response.description),
                        ),
                    ),
            ),
        ),
    ];
}

function details(path, method, operation) {
    const options = (operation.parameters ?? [])
        .map(resolve)
        .filter((parameter) => parameter.in !== 'path');
    return h(
        'div',
        {},
        (operation.description ?? '')
            .split('\n\n')
            .filter(Boolean)
            .map((text, i) =>
                h('p', i === 1 ? {class: 'formula'} : {}, i === 1 ? h('code', {}, text) : text),
            ),
        h('h3', {}, 'Try it'),
        tryIt(path, method, operation),
        operation.requestBody
            ? [
                  h('h3', {}, 'Body'),
                  contentOf(operation.requestBody.content, `body of ${operation.operationId}`),
              ]
            : [],
        options.map((parameter) => [
            h('h3', {}, `${parameter.in === 'query' ? 'Query' : 'Header ' + parameter.name}`),
            h('p', {}, parameter.description),
            schemaTable(parameter.schema, `${parameter.name} of ${operation.operationId}`),
        ]),
        responses(operation),
    );
}

function drawOperation(path, method, operation) {
    const element = h(
        'details',
        {class: 'operation', id: operation.operationId},
        h(
            'summary',
            {},
            h('span', {class: `method ${method}`}, method.toUpperCase()),
            h('code', {}, path),
            h('span', {class: 'dim'}, operation.summary),
        ),
    );
    element.addEventListener('toggle', () => {
        if (element.open && element.children.length === 1)
            element.append(details(path, method, operation));
    });
    return element;
}

/** The text that the filter searches. */
const wordsOf = (path, item) =>
    Object.values(item)
        .map((operation) => `${path} ${operation.summary} ${operation.description ?? ''}`)
        .join(' ')
        .toLowerCase();

function drawTag(tag) {
    const items = Object.entries(api.paths).filter(([, item]) =>
        Object.values(item)[0].tags.includes(tag.name),
    );
    const id = 'tag-' + tag.name.replaceAll(' ', '-');
    const section = h(
        'section',
        {'aria-labelledby': id},
        h('h2', {id}, tag.name),
        h('p', {class: 'dim'}, tag.description),
    );
    const list = h('ul');
    for (const [path, item] of items) {
        const words = wordsOf(path, item);
        const methods = Object.entries(item).reverse(); // POST before GET
        const entry = h(
            'div',
            {class: 'filtered'},
            methods.map(([method, operation]) => drawOperation(path, method, operation)),
        );
        const link = h(
            'li',
            {class: 'filtered'},
            h('a', {href: '#' + methods[0][1].operationId}, path),
        );
        entry.words = link.words = words;
        section.append(entry);
        list.append(link);
    }
    $('contents').append(h('h2', {}, tag.name), list);
    return section;
}

function drawSchemas() {
    const names = Object.keys(api.components.schemas)
        .filter((name) => !isOfLoss(name))
        .sort();
    return h(
        'section',
        {'aria-labelledby': 'schemas'},
        h('h2', {id: 'schemas'}, 'Schemas'),
        names.map((name) => {
            const schema = api.components.schemas[name];
            return [
                h('h3', {id: 'schema-' + name, tabindex: '-1'}, name),
                h('p', {}, schema.description),
                schemaTable(schema, `schema ${name}`),
            ];
        }),
    );
}

function filter() {
    const words = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const element of document.querySelectorAll('.filtered'))
        element.hidden = !words.every((word) => element.words.includes(word));
}

/** Opens the element that the fragment of the address names. */
function open() {
    const element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (element?.matches('.operation')) {
        element.open = true;
        element.querySelector('summary').focus({preventScroll: true});
    }
    element?.scrollIntoView();
}

async function draw() {
    try {
        api = await (await fetch('openapi.json')).json();
    } catch (error) {
        $('state').textContent = `cannot load /openapi.json: ${error.message}`;
        return;
    }
    $('title').textContent = `${api.info.title} ${api.info.version}`;
    $('about').textContent = api.info.summary + '. Requests from this page go to this server.';
    $('contents').open = matchMedia('(min-width: 45rem)').matches;
    $('main').replaceChildren(...api.tags.map(drawTag), drawSchemas());
    $('filter').addEventListener('input', filter);
    $('tools').addEventListener('submit', (event) => event.preventDefault());
    addEventListener('hashchange', open);
    open();
}

draw();
