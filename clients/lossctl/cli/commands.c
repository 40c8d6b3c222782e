#include "cli/commands.h"

#include <limits.h>

const struct option_spec option_specs[OPT_COUNT] = {
    [OPT_URL] = {"url", "URL", "LOSSD_URL",
                 "server address: http://..., https://... or unix:PATH for a Unix socket; default "
                 "http://127.0.0.1:8080",
                 COMPLETE_NOTHING, NULL},
    [OPT_LOCAL] = {"local", NULL, NULL, "compute in this process, without a server",
                   COMPLETE_NOTHING, NULL},
    [OPT_TOKEN_FILE] = {"token-file", "FILE", NULL,
                        "send the bearer token in the first line of this file; LOSSD_TOKEN can "
                        "contain the token instead",
                        COMPLETE_FILES, NULL},
    [OPT_CACERT] = {"cacert", "FILE", NULL,
                    "certificate authorities (PEM) to verify the server's certificate with",
                    COMPLETE_FILES, NULL},
    [OPT_CERT] = {"cert", "FILE", NULL, "client certificate (PEM)", COMPLETE_FILES, NULL},
    [OPT_CERT_KEY] = {"cert-key", "FILE", NULL, "private key (PEM) of the client certificate",
                      COMPLETE_FILES, NULL},
    [OPT_TIMEOUT] = {"timeout", "SECONDS", NULL,
                     "maximum duration of a request, which is also sent to the server; default 600",
                     COMPLETE_NOTHING, NULL},
    [OPT_THREADS] = {"threads", "N", NULL,
                     "compute threads of this process; default: all available CPUs",
                     COMPLETE_NOTHING, NULL},
    [OPT_ISA] = {"isa", "NAME", "LOSSD_ISA",
                 "instruction set for computations in this process; default auto, the best that "
                 "the CPU supports",
                 COMPLETE_WORDS, "auto x86-64 x86-64-v2 x86-64-v3 x86-64-v4"},
    [OPT_BATCH] = {"batch", "FILE", NULL,
                   "safetensors or JSON file that contains tensors under their names",
                   COMPLETE_FILES, NULL},
    [OPT_HEADER] = {"header", "WHEN", NULL,
                    "whether CSV files begin with a header row: yes, no or auto, which detects a "
                    "header if every field of the first row begins with a letter and none is a "
                    "number or a missing value; default auto",
                    COMPLETE_WORDS, "auto yes no"},
    [OPT_TERMS] = {"terms", "FILE", NULL,
                   "write the loss to FILE; with --reduction none, one value per term",
                   COMPLETE_FILES, NULL},
    [OPT_GRAD] = {"grad", "FILE", NULL, "write the gradient of the predictions to FILE",
                  COMPLETE_FILES, NULL},
    [OPT_HESS] = {"hess", "FILE", NULL,
                  "write the diagonal of the Hessian of the predictions to FILE", COMPLETE_FILES,
                  NULL},
    [OPT_PARTIAL] = {"partial", "FILE", NULL,
                     "write the partial result, which `lossctl merge` reads, to FILE; - is "
                     "standard output, and the loss is then printed to standard error",
                     COMPLETE_FILES, NULL},
    [OPT_PART] =
        {"part", "K/N", NULL,
         "evaluate only part K of N (K from 1 to N) of the rows; --partial writes its result; with "
         "gradients, parts consist of whole shards",
         COMPLETE_NOTHING, NULL},
    [OPT_STEP_ROWS] =
        {"step-rows", "N", NULL,
         "maximum number of rows of shards to evaluate at once; default 32 MiB of the "
         "tensor with the longest rows",
         COMPLETE_NOTHING, NULL},
    [OPT_CHECKPOINT] = {"checkpoint", "FILE", NULL,
                        "save the results of finished rows in FILE.rank0 (rank R: FILE.rankR), "
                        "and continue after the rows in it if the previous run did not finish",
                        COMPLETE_FILES, NULL},
    [OPT_CHECKPOINT_EVERY] = {"checkpoint-every", "SECONDS", NULL,
                              "time between two checkpoints; default 10", COMPLETE_NOTHING, NULL},
    [OPT_RESTART] = {"restart", NULL, NULL, "discard the checkpoint and start over",
                     COMPLETE_NOTHING, NULL},
    [OPT_LOSSES] = {"losses", "LOSS,...", NULL,
                    "losses to measure, optionally with parameters: huber:delta=2; default mse",
                    COMPLETE_LOSSES, NULL},
    [OPT_SIZES] = {"sizes", "N,...", NULL, "number of elements in the predictions; default 1000",
                   COMPLETE_NOTHING, NULL},
    [OPT_CLASSES] = {"classes", "N", NULL,
                     "number of columns, such as classes, of predictions that have rows; default "
                     "10",
                     COMPLETE_NOTHING, NULL},
    [OPT_FORMATS] = {"formats", "NAME,...", NULL,
                     "formats of requests and responses: json, base64 (within JSON), safetensors, "
                     "oip (Open Inference Protocol, binary); default safetensors",
                     COMPLETE_WORDS, "json base64 safetensors oip"},
    [OPT_CONNECTIONS] = {"connections", "N,...", NULL, "concurrent connections; default 8",
                         COMPLETE_NOTHING, NULL},
    [OPT_RATE] = {"rate", "N", NULL,
                  "requests per second, on a fixed schedule; without it, each connection sends "
                  "its next request after the response",
                  COMPLETE_NOTHING, NULL},
    [OPT_WARM_UP] = {"warm-up", "SECONDS", NULL, "warm-up time before each measurement; default 1",
                     COMPLETE_NOTHING, NULL},
    [OPT_DURATION] = {"duration", "SECONDS", NULL,
                      "duration of the measurement of each combination; default 5",
                      COMPLETE_NOTHING, NULL},
    [OPT_WITH_GRAD] = {"grad", NULL, NULL, "also request the gradient of the predictions",
                       COMPLETE_NOTHING, NULL},
    [OPT_LIMIT] = {"limit", "NAME=VALUE", NULL,
                   "fail if a result does not meet this limit; can be repeated: p50, p90, p99, "
                   "p99.9, max or mean (maximum: 50ms, 800us, 2s), errors (maximum: 0, 0.1%), "
                   "throughput (minimum: requests per second)",
                   COMPLETE_WORDS, "p50= p90= p99= p99.9= max= mean= errors= throughput="},
    [OPT_JSON_FILE] = {"json", "FILE", NULL,
                       "write all results to FILE as JSON; - is standard output, instead of the "
                       "table",
                       COMPLETE_FILES, NULL},
    [OPT_HTML] = {"html", "FILE", NULL, "write a self-contained report with plots to FILE",
                  COMPLETE_FILES, NULL},
    [OPT_JSON] = {"json", NULL, NULL, "print JSON", COMPLETE_NOTHING, NULL},
    [OPT_QUIET] = {"quiet", NULL, NULL, "print only results, without progress, warnings and labels",
                   COMPLETE_NOTHING, NULL},
    [OPT_HELP] = {"help", NULL, NULL, "print the options of this command and exit",
                  COMPLETE_NOTHING, NULL},
};

/* Sets of options. */
#define BIT(option) (UINT64_C(1) << (option))
#define SERVER_OPTIONS                                                                             \
    (BIT(OPT_URL) | BIT(OPT_TOKEN_FILE) | BIT(OPT_CACERT) | BIT(OPT_CERT) | BIT(OPT_CERT_KEY) |    \
     BIT(OPT_TIMEOUT))
#define LOCAL_OPTIONS (BIT(OPT_LOCAL) | BIT(OPT_THREADS) | BIT(OPT_ISA))
#define SHARD_OPTIONS                                                                              \
    (BIT(OPT_PARTIAL) | BIT(OPT_PART) | BIT(OPT_STEP_ROWS) | BIT(OPT_CHECKPOINT) |                 \
     BIT(OPT_CHECKPOINT_EVERY) | BIT(OPT_RESTART))
#define COMMON_OPTIONS (BIT(OPT_JSON) | BIT(OPT_QUIET) | BIT(OPT_HELP))

const struct command commands[] = {
    {
        .name = "list",
        .arguments = "",
        .summary = "list the losses",
        .doc = "Lists the losses of this program; with --url or LOSSD_URL, those of a server.",
        .options = SERVER_OPTIONS | BIT(OPT_LOCAL) | COMMON_OPTIONS,
        .run = command_list,
    },
    {
        .name = "show",
        .arguments = "LOSS",
        .summary = "describe a loss",
        .doc =
            "Prints the formula, tensors, parameters with defaults and ranges, and reductions of a "
            "loss. PyTorch names work too. With --url or LOSSD_URL, describes the loss of a "
            "server.",
        .examples = "lossctl show CrossEntropyLoss",
        .options = SERVER_OPTIONS | BIT(OPT_LOCAL) | COMMON_OPTIONS,
        .min = 1,
        .max = 1,
        .completion = COMPLETE_LOSSES,
        .run = command_show,
    },
    {
        .name = "eval",
        .arguments = "LOSS",
        .summary = "evaluate a loss over tensors in files",
        .doc =
            "Each tensor and parameter of the loss is an option: see `lossctl show LOSS`, or "
            "`lossctl eval LOSS --help`. The server evaluates the loss; with --local, this "
            "process does. Results are bit-identical.\n"
            "Files are .npy, .safetensors, .json (an array, or an object that contains arrays), "
            ".csv, .tsv or .txt; - is standard input or output. FILE:NAME selects a tensor of a "
            "safetensors or JSON file whose name differs from that in the loss. FORMAT:FILE "
            "sets the format if the file name does not show it (npy:-). Otherwise the format of "
            "input is detected from its first bytes, and output to - is JSON.\n"
            "--grad and --hess write the derivatives of all predictions; several go into one "
            "safetensors file as grad_NAME and hess_NAME. --grad-NAME and --hess-NAME write the "
            "derivative of one tensor, which can be a target.\n"
            "Shards: a pattern ('x-*.npy', in quotes) or @LIST, a file with a path per line, "
            "names the files of a tensor whose rows are spread over them. They can be larger than "
            "memory: this process maps them, in steps. Files are .npy in C order, safetensors "
            "('model-*.safetensors:logits') or numbers without a header "
            "('raw:float32,(*,1000):dump-*.bin'). The loss is bit-identical to that of one "
            "evaluation. --grad and --hess then name a folder, which gets one file for each "
            "shard. Ctrl-C writes a checkpoint, and exits with 130.\n"
            "mpirun and srun start several ranks, which share the rows of one evaluation: the loss "
            "is bit-identical to that of one process, and rank 0 prints it. Each rank uses the "
            "CPUs that it is bound to. Several ranks need the module for their MPI: "
            "lossctl-openmpi.so or lossctl-mpich.so.",
        .examples =
            "lossctl eval huber --input pred.npy --target y.csv --delta 0.5 --grad grad.npy\n"
            "lossctl eval cross_entropy --local --batch batch.safetensors --reduction none --terms "
            "csv:-\n"
            "cut -d, -f2 predictions.csv | lossctl eval mse --input - --target y.csv --json\n"
            "lossctl eval cross_entropy --input 'logits-*.npy' --target 'labels-*.npy' --grad "
            "gradients/ --checkpoint run\n"
            "mpirun -np 8 --map-by ppr:1:numa:PE=16 lossctl eval mse --input 'x-*.npy' --target "
            "'y-*.npy'",
        .options = SERVER_OPTIONS | LOCAL_OPTIONS | BIT(OPT_BATCH) | BIT(OPT_HEADER) |
                   BIT(OPT_TERMS) | BIT(OPT_GRAD) | BIT(OPT_HESS) | SHARD_OPTIONS | COMMON_OPTIONS,
        .min = 1,
        .max = 1,
        .completion = COMPLETE_LOSSES,
        .loss_options = true,
        .ranks = RANKS_TOGETHER,
        .run = command_eval,
    },
    {
        .name = "compare",
        .arguments = "LOSS...",
        .summary = "evaluate several losses over the same tensors",
        .doc =
            "Tensors and parameters are options, as with eval; each applies to every loss that has "
            "it. A loss can have parameters of its own: huber:delta=0.5,reduction=sum. The "
            "tensors are sent to the server once; with --local, no server is used.",
        .examples =
            "lossctl compare mse l1 huber:delta=0.5 quantile:q=0.9 --input pred.npy --target y.npy",
        .options =
            SERVER_OPTIONS | LOCAL_OPTIONS | BIT(OPT_BATCH) | BIT(OPT_HEADER) | COMMON_OPTIONS,
        .min = 1,
        .max = 32,
        .completion = COMPLETE_LOSSES,
        .loss_options = true,
        .ranks = RANKS_REFUSED,
        .run = command_compare,
    },
    {
        .name = "merge",
        .arguments = "FILE...",
        .summary = "merge the results of parts of a batch",
        .doc =
            "Merges partial results of parts of one batch, in any order, and prints the loss of "
            "the batch. It is bit-identical to that of a single evaluation. No server is used.\n"
            "Each file contains one partial result, or a whole JSON or safetensors response that "
            "contains one because the request had \"partial\": true; - is standard input. If the "
            "parts have an offset, rows that are in two files are an error. --partial writes a "
            "partial result that can be merged with others.",
        .examples = "lossctl merge part-*.json\n"
                    "lossctl merge part-*.json --partial total.json --json",
        .options = BIT(OPT_PARTIAL) | COMMON_OPTIONS,
        .min = 1,
        .max = INT_MAX,
        .completion = COMPLETE_FILES,
        .run = command_merge,
    },
    {
        .name = "bench",
        .arguments = "",
        .summary = "measure a server under load",
        .doc =
            "Measures every combination of loss, size, format and number of connections in turn, "
            "for --duration each, with batches made to fit the loss. First sends each request "
            "once and checks that the response is bit-identical to that of this program.\n"
            "With --rate, requests are due on a schedule, and a latency counts from the time "
            "when its request was due: a server that stalls is charged for the requests that "
            "it delays. Requests for which no connection was free in time count as unsent, with "
            "the time they had waited; with more --connections, more requests can be in flight. "
            "Without --rate, each connection waits for its response (a closed loop). That "
            "measures throughput, but hides stalls.",
        .examples = "lossctl bench --losses mse,ctc --formats json,safetensors --sizes 100,100000 "
                    "--connections 1,16\n"
                    "lossctl bench --rate 500 --duration 60 --html report.html --limit p99=20ms "
                    "--limit errors=0",
        .options = SERVER_OPTIONS | BIT(OPT_LOSSES) | BIT(OPT_SIZES) | BIT(OPT_CLASSES) |
                   BIT(OPT_FORMATS) | BIT(OPT_CONNECTIONS) | BIT(OPT_RATE) | BIT(OPT_WARM_UP) |
                   BIT(OPT_DURATION) | BIT(OPT_WITH_GRAD) | BIT(OPT_LIMIT) | BIT(OPT_JSON_FILE) |
                   BIT(OPT_HTML) | BIT(OPT_QUIET) | BIT(OPT_HELP),
        .ranks = RANKS_REFUSED,
        .run = command_bench,
    },
    {
        .name = "doctor",
        .arguments = "",
        .summary = "check a server",
        .doc =
            "Checks that the server is reachable and ready, prints its version, build and limits, "
            "measures the latency of a small request, and checks that every loss gives the same "
            "result as this program, bit for bit.",
        .examples = "lossctl doctor --url https://losses.example.org --token-file token",
        .options = SERVER_OPTIONS | COMMON_OPTIONS,
        .run = command_doctor,
    },
    {
        .name = "completions",
        .arguments = "SHELL",
        .summary = "print completions for bash, zsh or fish",
        .doc = "Prints a completion script, made from the tables of commands and losses.",
        .examples = "lossctl completions bash > ~/.local/share/bash-completion/completions/lossctl",
        .options = BIT(OPT_HELP),
        .min = 1,
        .max = 1,
        .completion = COMPLETE_WORDS,
        .words = "bash zsh fish",
        .run = command_completions,
    },
};
const int command_count = sizeof commands / sizeof commands[0];

bool command_takes(const struct command *command, enum option_id option)
{
    return command->options >> option & 1;
}
