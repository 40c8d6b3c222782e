// Validates the manifests of deploy/kubernetes and deploy/kserve: node validate.mjs PROGRAM URL
// Checks them against the schemas of Kubernetes in npm (which has none for KServe's kinds), against
// each other, and against the program, which must accept the arguments; its server at URL must
// answer the probes. Runs the scripts of the Jobs on shards, with the lossctl next to the program.
import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {parseAllDocuments} from 'yaml';
import {writeShards} from './shards.mjs';

const [program, url] = process.argv.slice(2);
const folders = ['deploy/kubernetes', 'deploy/kubernetes/eval', 'deploy/kserve'];
const libraries = {
    'monitoring.coreos.com/v1': '@kubernetes-models/prometheus-operator',
    default: 'kubernetes-models',
};
// Kinds without a schema in npm.
const without = ['Kustomization', 'ServingRuntime', 'InferenceService'];
const faults = [];
const all = {}; // by kind; Jobs by name

const expect = (right, ...what) => right || faults.push(what.join(' '));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

async function checkSchema(file, document) {
    const {apiVersion, kind} = document;
    if (without.includes(kind)) return;
    const library = libraries[apiVersion] ?? libraries.default;
    const model = (await import(`${library}/${apiVersion}`).catch(() => ({})))[kind];
    if (!expect(model, file, 'has an unknown kind:', apiVersion, kind)) return;
    try {
        new model(document).validate();
    } catch (error) {
        faults.push(`${file}: ${error.message}`);
    }
}

for (const folder of folders) {
    for (const name of readdirSync(folder).filter((name) => name.endsWith('.yaml'))) {
        const file = `${folder}/${name}`;
        for (const document of parseAllDocuments(readFileSync(file, 'utf8'), {uniqueKeys: true})) {
            document.errors.forEach((error) => faults.push(`${file}: ${error.message}`));
            const tree = document.toJS();
            const key = tree.kind === 'Job' ? tree.metadata.name : tree.kind;
            expect(!all[key], file, 'is a second', key);
            all[key] = tree;
            await checkSchema(file, tree);
        }
    }
}

function checkSecurity(what, container, podSecurity = {}) {
    const security = {...podSecurity, ...container.securityContext};
    expect(security.runAsNonRoot === true && security.runAsUser > 0, what, 'may run as root');
    expect(security.allowPrivilegeEscalation === false, what, 'may gain privileges');
    expect(security.readOnlyRootFilesystem === true, what, 'can write to its root');
    expect(same(security.capabilities?.drop, ['ALL']), what, 'keeps capabilities');
    expect(security.seccompProfile?.type === 'RuntimeDefault', what, 'has no seccomp profile');
    expect(
        container.resources?.limits?.memory && container.resources.requests?.cpu,
        what,
        'has no limits',
    );
}

function checkArguments(what, container) {
    try {
        // The file is not in the repository.
        const args = container.args.filter((arg) => !arg.startsWith('--token-file='));
        execFileSync(program, [...args, '--print-config'], {stdio: 'pipe'});
    } catch (error) {
        faults.push(`${what} has arguments that lossd does not accept: ${error.stderr}`);
    }
}

async function checkProbes(what, container) {
    const ports = container.ports.flatMap((port) => [port.name, port.containerPort]);
    for (const name of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
        const probe = container[name]?.httpGet;
        if (!probe) continue;
        expect(
            ports.includes(probe.port),
            what,
            name,
            'asks a port that there is not:',
            probe.port,
        );
        const {status} = await fetch(url + probe.path);
        expect(
            status === 200,
            what,
            name,
            'asks for',
            probe.path,
            'which is answered with',
            status,
        );
    }
    expect(container.livenessProbe && container.readinessProbe, what, 'is not probed');
}

const {
    Deployment,
    Service,
    HorizontalPodAutoscaler,
    PodDisruptionBudget,
    NetworkPolicy,
    ServiceMonitor,
} = all;
const pod = Deployment.spec.template;
const labels = pod.metadata.labels;
const [container] = pod.spec.containers;
const portNames = container.ports.map((port) => port.name);
checkSecurity('Deployment', container, pod.spec.securityContext);
checkArguments('Deployment', container);
await checkProbes('Deployment', container);
expect(
    same(Deployment.spec.selector.matchLabels, labels),
    'the Deployment selects other pods than it makes',
);
expect(same(Service.spec.selector, labels), 'the Service selects other pods');
expect(
    same(PodDisruptionBudget.spec.selector.matchLabels, labels),
    'the PodDisruptionBudget selects other pods',
);
expect(
    same(NetworkPolicy.spec.podSelector.matchLabels, labels),
    'the NetworkPolicy selects other pods',
);
expect(
    Service.spec.ports.every((port) => portNames.includes(port.targetPort)),
    'the Service names a port that there is not',
);
expect(
    NetworkPolicy.spec.ingress
        .flatMap((rule) => rule.ports)
        .every(({port}) => portNames.includes(port)),
    'the NetworkPolicy names a port that there is not',
);
expect(
    ServiceMonitor.spec.endpoints.every(({port}) =>
        Service.spec.ports.some(({name}) => name === port),
    ),
    'the ServiceMonitor names a port that there is not',
);
const target = HorizontalPodAutoscaler.spec.scaleTargetRef;
expect(
    target.kind === 'Deployment' && target.name === Deployment.metadata.name,
    'the HorizontalPodAutoscaler scales something else',
);
const argument = (name) =>
    container.args.find((arg) => arg.startsWith(name + '='))?.slice(name.length + 1);
for (const [option, name] of [
    ['--listen', 'http'],
    ['--admin-listen', 'admin'],
])
    expect(
        argument(option)?.endsWith(
            ':' + container.ports.find((port) => port.name === name).containerPort,
        ),
        option,
        'is another port',
    );
expect(
    pod.spec.terminationGracePeriodSeconds > Number(argument('--drain-delay')) + 30,
    'the grace period is too short to drain',
);
expect(
    all.Kustomization.resources.every((name) => readdirSync(folders[0]).includes(name)),
    'kustomization.yaml names a file that there is not',
);

const {ServingRuntime, InferenceService} = all;
const [serving] = ServingRuntime.spec.containers;
checkSecurity('ServingRuntime', serving);
checkArguments('ServingRuntime', serving);
await checkProbes('ServingRuntime', serving);
const {model} = InferenceService.spec.predictor;
const formats = ServingRuntime.spec.supportedModelFormats;
expect(
    serving.name === 'kserve-container',
    'KServe wants the container to be called kserve-container',
);
expect(
    model.runtime === ServingRuntime.metadata.name,
    'the InferenceService names another runtime',
);
expect(
    ServingRuntime.spec.protocolVersions.includes(model.protocolVersion),
    'the InferenceService wants another protocol',
);
expect(
    formats.some(
        ({name, version}) =>
            name === model.modelFormat.name && version === model.modelFormat.version,
    ),
    'the InferenceService wants another format',
);
expect(
    ServingRuntime.spec.annotations['prometheus.kserve.io/port'] ===
        String(serving.ports[0].containerPort),
    'metrics are on another port',
);

// Runs the container of a Job, with a folder as its volume. Returns what it prints.
function runJob({spec}, folder, env = {}) {
    const [{command, args}] = spec.template.spec.containers;
    const [name, ...rest] = [...command, ...args.map((arg) => arg.replaceAll('/data', folder))];
    const PATH = `${dirname(resolve(program))}:${process.env.PATH}`;
    return execFileSync(name, rest, {env: {...env, PATH}, encoding: 'utf8', stdio: 'pipe'});
}

// The merged loss must have the digits of one evaluation.
function checkJobResults(evaluation, merge) {
    const lossctl = join(dirname(resolve(program)), 'lossctl');
    if (!existsSync(lossctl)) return; // built without libcurl
    const folder = mkdtempSync(join(tmpdir(), 'lossd-jobs-'));
    const loss = (text) => text.match(/"loss":([^,]+),/)[1];
    try {
        writeShards(folder);
        for (let index = 0; index < evaluation.spec.completions; index++)
            runJob(evaluation, folder, {
                JOB_COMPLETION_INDEX: String(index),
                PARTS: evaluation.spec.template.spec.containers[0].env[0].value,
                THREADS: '1',
            });
        const tensors = ['--input', `${folder}/logits-*.npy`, '--target', `${folder}/labels-*.npy`];
        const whole = execFileSync(lossctl, ['eval', 'cross_entropy', ...tensors, '--json'], {
            encoding: 'utf8',
        });
        const merged = runJob(merge, folder);
        expect(loss(whole) === loss(merged), 'the Jobs compute', merged, 'instead of', whole);
    } catch (error) {
        faults.push(`a Job fails: ${error.stderr || error}`);
    } finally {
        rmSync(folder, {recursive: true});
    }
}

// Only an invalid command line fails the Job at once; faults that can be temporary do not.
function checkJobFailures({spec}) {
    const lossctl = join(dirname(resolve(program)), 'lossctl');
    if (!existsSync(lossctl)) return;
    const folder = mkdtempSync(join(tmpdir(), 'lossd-jobs-'));
    const [{onExitCodes}] = spec.podFailurePolicy.rules;
    const fails = (PARTS) => {
        try {
            runJob({spec}, folder, {JOB_COMPLETION_INDEX: '0', PARTS, THREADS: '1'});
            return 0;
        } catch ({status}) {
            return status;
        }
    };
    const invalid = fails('none');
    const missing = fails('8');
    expect(
        same(onExitCodes.values, [invalid]) && missing > 0 && missing !== invalid,
        `lossctl-eval exits with ${invalid} if PARTS is invalid and ${missing} without shards`,
    );
    rmSync(folder, {recursive: true});
}

const {'lossctl-eval': evaluation, 'lossctl-merge': merge} = all;
for (const {metadata, spec} of [evaluation, merge]) {
    const {securityContext, containers, volumes} = spec.template.spec;
    checkSecurity(metadata.name, containers[0], securityContext);
    expect(
        same(
            containers[0].volumeMounts.map(({name}) => name),
            volumes.map(({name}) => name),
        ),
        metadata.name,
        'mounts other volumes than there are',
    );
}
const [evaluator] = evaluation.spec.template.spec.containers;
expect(
    evaluator.env[0].name === 'PARTS' &&
        evaluator.env[0].value === String(evaluation.spec.completions),
    'PARTS is not the number of completions',
);
expect(
    evaluator.env[1].valueFrom.resourceFieldRef.containerName === evaluator.name &&
        evaluation.spec.podFailurePolicy.rules[0].onExitCodes.containerName === evaluator.name,
    'lossctl-eval names a container that there is not',
);
expect(
    evaluator.image === merge.spec.template.spec.containers[0].image,
    'the Jobs have different images',
);
checkJobResults(evaluation, merge);
checkJobFailures(evaluation);
expect(
    evaluation.spec.backoffLimitPerIndex > 0 && evaluation.spec.backoffLimit === undefined,
    'lossctl-eval does not count the failures of each part',
);

if (faults.length > 0) {
    console.log(faults.join('\n'));
    process.exit(1);
}
console.log('valid', Object.keys(all).length);
