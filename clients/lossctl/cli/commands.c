#include "cli/commands.h"

const struct option_spec option_specs[OPT_COUNT] = {
    [OPT_URL] = {"url", "URL", "LOSSD_URL",
                 "the server: http://..., https://... or unix:PATH, a socket; by default "
                 "http://127.0.0.1:8080",
                 COMPLETE_NOTHING, NULL},
    [OPT_LOCAL] = {"local", NULL, NULL, "compute in this process, without a server",
                   COMPLETE_NOTHING, NULL},
    [OPT_TOKEN_FILE] = {"token-file", "FILE", NULL,
                        "send the bearer token in the first line of this file; LOSSD_TOKEN may "
                        "hold the token itself",
                        COMPLETE_FILES, NULL},
    [OPT_CACERT] = {"cacert", "FILE", NULL,
                    "certificates (PEM) that the server's must be signed by", COMPLETE_FILES, NULL},
    [OPT_CERT] = {"cert", "FILE", NULL, "the certificate (PEM) to show to the server",
                  COMPLETE_FILES, NULL},
    [OPT_KEY] = {"key", "FILE", NULL, "the key (PEM) of that certificate", COMPLETE_FILES, NULL},
    [OPT_TIMEOUT] = {"timeout", "SECONDS", NULL,
                     "give up on a request after so long, and tell the server; by default 600",
                     COMPLETE_NOTHING, NULL},
    [OPT_THREADS] = {"threads", "N", NULL,
                     "threads that compute in this process; by default all CPUs that are allowed",
                     COMPLETE_NOTHING, NULL},
    [OPT_ISA] = {"isa", "NAME", "LOSSD_ISA",
                 "instruction set to compute on in this process; by default auto, the best that "
                 "the machine has",
                 COMPLETE_WORDS, "auto x86-64 x86-64-v2 x86-64-v3 x86-64-v4"},
    [OPT_BATCH] = {"batch", "FILE", NULL,
                   "a safetensors or JSON file that holds tensors by their names", COMPLETE_FILES,
                   NULL},
    [OPT_HEADER] = {"header", "WHETHER", NULL,
                    "whether the first row of a CSV file names its columns: yes, no or auto, which "
                    "takes a row for names if all "
                    "its fields begin with a letter and none is a number or stands for a missing "
                    "one; by default auto",
                    COMPLETE_WORDS, "auto yes no"},
    [OPT_TERMS] = {"terms", "FILE", NULL,
                   "where to write the loss, with --reduction none each term", COMPLETE_FILES,
                   NULL},
    [OPT_GRAD] = {"grad", "FILE", NULL, "where to write the gradient of the predictions",
                  COMPLETE_FILES, NULL},
    [OPT_HESS] = {"hess", "FILE", NULL,
                  "where to write the diagonal of the Hessian of the predictions", COMPLETE_FILES,
                  NULL},
    [OPT_LOSSES] =
        {"losses", "LOSS,...", NULL,
         "losses to ask for, with values of their own if need be: huber:delta=2; by default mse",
         COMPLETE_LOSSES, NULL},
    [OPT_SIZES] = {"sizes", "N,...", NULL, "elements of the predictions; by default 1000",
                   COMPLETE_NOTHING, NULL},
    [OPT_CLASSES] = {"classes", "N", NULL,
                     "columns of predictions that come in rows; by default 10", COMPLETE_NOTHING,
                     NULL},
    [OPT_FORMATS] = {"formats", "NAME,...", NULL,
                     "formats of requests and answers: json, base64 (within JSON), safetensors, "
                     "oip (Open Inference Protocol, "
                     "binary); by default safetensors",
                     COMPLETE_WORDS, "json base64 safetensors oip"},
    [OPT_CONNECTIONS] = {"connections", "N,...", NULL, "connections at a time; by default 8",
                         COMPLETE_NOTHING, NULL},
    [OPT_RATE] = {"rate", "N", NULL,
                  "requests a second, on a schedule that waits for nobody; without it each "
                  "connection asks again once it has "
                  "been answered",
                  COMPLETE_NOTHING, NULL},
    [OPT_WARM_UP] = {"warm-up", "SECONDS", NULL, "how long not to count at first; by default 1",
                     COMPLETE_NOTHING, NULL},
    [OPT_DURATION] = {"duration", "SECONDS", NULL, "how long to count; by default 5",
                      COMPLETE_NOTHING, NULL},
    [OPT_WITH_GRAD] = {"grad", NULL, NULL, "ask for the gradient of the predictions too",
                       COMPLETE_NOTHING, NULL},
    [OPT_LIMIT] = {"limit", "NAME=VALUE", NULL,
                   "fail where this is missed; may be given several times: p50, p90, p99, p99.9, "
                   "max or mean (at most: 50ms, 800us, "
                   "2s), errors (at most: 0, 0.1%), throughput (at least: requests a second)",
                   COMPLETE_WORDS, "p50= p90= p99= p99.9= max= mean= errors= throughput="},
    [OPT_JSON_FILE] =
        {"json", "FILE", NULL,
         "write all figures there as JSON; - is standard output, in place of the table",
         COMPLETE_FILES, NULL},
    [OPT_HTML] = {"html", "FILE", NULL,
                  "write a report with plots there, one page that needs nothing else",
                  COMPLETE_FILES, NULL},
    [OPT_JSON] = {"json", NULL, NULL, "print JSON", COMPLETE_NOTHING, NULL},
    [OPT_QUIET] = {"quiet", NULL, NULL, "print no progress and no remarks", COMPLETE_NOTHING, NULL},
    [OPT_HELP] = {"help", NULL, NULL, "print what this command takes, and exit", COMPLETE_NOTHING,
                  NULL},
};

#define BIT(option) (UINT64_C(1) << (option))
#define SERVER                                                                                     \
    (BIT(OPT_URL) | BIT(OPT_TOKEN_FILE) | BIT(OPT_CACERT) | BIT(OPT_CERT) | BIT(OPT_KEY) |         \
     BIT(OPT_TIMEOUT))
#define HERE   (BIT(OPT_LOCAL) | BIT(OPT_THREADS) | BIT(OPT_ISA))
#define ALWAYS (BIT(OPT_JSON) | BIT(OPT_QUIET) | BIT(OPT_HELP))

const struct command commands[] = {
    {
        .name = "list",
        .arguments = "",
        .summary = "list the losses",
        .doc = "Those that this program knows, or with --url or LOSSD_URL those of a server.",
        .options = SERVER | BIT(OPT_LOCAL) | ALWAYS,
        .run = command_list,
    },
    {
        .name = "show",
        .arguments = "LOSS",
        .summary = "show what a loss computes and takes",
        .doc = "Formula, tensors, parameters with their defaults and ranges, reductions. A loss "
               "answers to its names in "
               "PyTorch too. "
               "As this program knows it, or with --url or LOSSD_URL as a server does.",
        .examples = "lossctl show CrossEntropyLoss",
        .options = SERVER | BIT(OPT_LOCAL) | ALWAYS,
        .least = 1,
        .most = 1,
        .completion = COMPLETE_LOSSES,
        .run = command_show,
    },
    {
        .name = "eval",
        .arguments = "LOSS",
        .summary = "evaluate a loss over tensors in files",
        .doc = "Each tensor and each parameter of the loss is an option: see `lossctl show LOSS`, "
               "or `lossctl eval LOSS --help`. "
               "The loss is evaluated by the server, or with --local in this process, with the "
               "same bits.\n"
               "Files are .npy, .safetensors, .json (an array, or an object that holds arrays), "
               ".csv, .tsv or .txt; - is standard "
               "input or output. FILE:NAME is one of the tensors in a safetensors or JSON file, "
               "where it is not called as the "
               "loss "
               "calls it. Where the name of a file does not tell, FORMAT:FILE does (npy:-); input "
               "is also known by its first "
               "bytes, "
               "and output to - is JSON.\n"
               "--grad and --hess write the derivatives of the predictions: several of them into "
               "one safetensors file, as "
               "grad_NAME, while --grad-NAME and --hess-NAME write one, also of a target.",
        .examples =
            "lossctl eval huber --input pred.npy --target y.csv --delta 0.5 --grad grad.npy\n"
            "lossctl eval cross_entropy --local --batch batch.safetensors --reduction none --terms "
            "csv:-\n"
            "cut -d, -f2 predictions.csv | lossctl eval mse --input - --target y.csv --json",
        .options = SERVER | HERE | BIT(OPT_BATCH) | BIT(OPT_HEADER) | BIT(OPT_TERMS) |
                   BIT(OPT_GRAD) | BIT(OPT_HESS) | ALWAYS,
        .least = 1,
        .most = 1,
        .completion = COMPLETE_LOSSES,
        .loss_options = true,
        .run = command_eval,
    },
    {
        .name = "compare",
        .arguments = "LOSS...",
        .summary = "evaluate several losses over the same tensors",
        .doc = "Tensors and parameters are options, as with eval: each goes to every loss that has "
               "it. A loss can have values "
               "of its "
               "own: huber:delta=0.5,reduction=sum. The server is sent the tensors once, or with "
               "--local none is asked.",
        .examples =
            "lossctl compare mse l1 huber:delta=0.5 quantile:q=0.9 --input pred.npy --target y.npy",
        .options = SERVER | HERE | BIT(OPT_BATCH) | BIT(OPT_HEADER) | ALWAYS,
        .least = 1,
        .most = 32,
        .completion = COMPLETE_LOSSES,
        .loss_options = true,
        .run = command_compare,
    },
    {
        .name = "bench",
        .arguments = "",
        .summary = "put load on a server and measure it",
        .doc = "Every loss, of every size, in every format, with each number of connections: one "
               "after the other, for --duration "
               "each, over batches that are made to fit the loss. Before that each request is sent "
               "once, and its answer must have "
               "the bits that this program computes.\n"
               "With --rate requests fall due on a schedule, and a latency counts from when its "
               "request was due: a server that "
               "stalls is not spared the requests that it held up. Those that found no connection "
               "in time count as unsent, with "
               "as "
               "long as they had waited; more --connections let more be under way. Without --rate "
               "each connection waits for its "
               "answer (a closed loop): that measures throughput, and latencies that hide stalls.",
        .examples = "lossctl bench --losses mse,ctc --formats json,safetensors --sizes 100,100000 "
                    "--connections 1,16\n"
                    "lossctl bench --rate 500 --duration 60 --html report.html --limit p99=20ms "
                    "--limit errors=0",
        .options = SERVER | BIT(OPT_LOSSES) | BIT(OPT_SIZES) | BIT(OPT_CLASSES) | BIT(OPT_FORMATS) |
                   BIT(OPT_CONNECTIONS) | BIT(OPT_RATE) | BIT(OPT_WARM_UP) | BIT(OPT_DURATION) |
                   BIT(OPT_WITH_GRAD) | BIT(OPT_LIMIT) | BIT(OPT_JSON_FILE) | BIT(OPT_HTML) |
                   BIT(OPT_QUIET) | BIT(OPT_HELP),
        .run = command_bench,
    },
    {
        .name = "doctor",
        .arguments = "",
        .summary = "check a server",
        .doc = "Whether it is reachable and ready, its version, what it computes on, its limits, "
               "how long a small request "
               "takes, and "
               "whether every loss gives the same bits there as in this program.",
        .examples = "lossctl doctor --url https://losses.example.org --token-file token",
        .options = SERVER | ALWAYS,
        .run = command_doctor,
    },
    {
        .name = "completions",
        .arguments = "SHELL",
        .summary = "print completions for bash, zsh or fish",
        .doc = "A script for the shell to read, made from the tables of commands and losses.",
        .examples = "lossctl completions bash > ~/.local/share/bash-completion/completions/lossctl",
        .options = BIT(OPT_HELP),
        .least = 1,
        .most = 1,
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
