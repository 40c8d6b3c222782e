/* lossctl list and lossctl show: the losses of this program or of a server, which describe them in
   the same JSON. */
#include "cli/wrap.h"
#include "http/connection.h"
#include "v1/v1.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Source ---- */

/* Parses JSON. On failure, reports the error and returns NULL. */
static json_t *parse(const char *text, size_t len)
{
    json_error_t why;
    json_t *const tree = json_loadb(text, len, 0, &why);
    if (!tree)
        fail(EXIT_REFUSED, "invalid response: not JSON: %s", why.text);
    return tree;
}

static enum exit_code fetch_from_server(const struct arguments *a, const char *path,
                                        struct buffer *text)
{
    struct connection connection;
    struct http_response response;
    enum exit_code code = connection_open(&connection, a);
    if (code == EXIT_OK)
        code = connection_get(&connection, path, &response);
    if (code == EXIT_OK)
        *text = response.body;
    connection_close(&connection);
    return code;
}

/* Gets the JSON of GET /v1/losses, or of /v1/losses/NAME: from the server of --url, otherwise from
   this program. */
static enum exit_code fetch(const struct arguments *a, const char *name, struct buffer *text)
{
    char path[256], *escaped = NULL;
    if (a->value[OPT_URL] && !a->value[OPT_LOCAL]) {
        if (name && !(escaped = curl_easy_escape(NULL, name, 0)))
            return fail_memory();
        snprintf(path, sizeof path, "/v1/losses%s%.200s", name ? "/" : "", name ? escaped : "");
        curl_free(escaped);
        return fetch_from_server(a, path, text);
    }
    if (name && !arguments_find_loss(name))
        return EXIT_USAGE;
    struct response reply = {.status = 0};
    if (name)
        v1_describe(name, NULL, &reply);
    else
        v1_list(NULL, &reply);
    *text = reply.body;
    return reply.status == 200 ? EXIT_OK : fail_memory();
}

/* ---- Text output ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void print_names(const char *title, const json_t *names, int indent)
{
    size_t i;
    json_t *name;
    printf("%-*s", indent, title);
    json_array_foreach(names, i, name)
        printf("%s%s", i ? ", " : "", json_string_value(name) ? json_string_value(name) : "");
    putchar('\n');
}

static void print_bound(const json_t *parameter, const char *key, const char *words)
{
    const json_t *const bound = json_object_get(parameter, key);
    if (bound)
        printf(", %s %.15g", words, json_number_value(bound));
}

enum { NAME = 20, TITLE = 12 }; /* widths of columns */

static const char *gradient_of(const json_t *tensor)
{
    if (json_is_true(json_object_get(tensor, "prediction")))
        return "; a prediction, with gradient";
    return json_is_true(json_object_get(tensor, "differentiable")) ? "; with gradient" : "";
}

static void print_tensor(const json_t *tensor)
{
    printf("  %-*s%s%s\n%*s", NAME - 2, text_of(tensor, "name"), text_of(tensor, "shape"),
           json_is_true(json_object_get(tensor, "optional")) ? ", optional" : "", NAME, "");
    wrap_print(stdout, text_of(tensor, "doc"), NAME, NAME);
    printf("%*s%s%s\n", NAME, "", text_of(tensor, "kind"), gradient_of(tensor));
}

static void print_parameter(const json_t *parameter)
{
    const json_t *const fallback = json_object_get(parameter, "default");
    char *const value = json_dumps(fallback, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    printf("  %-*s%s, default %s", NAME - 2, text_of(parameter, "name"), text_of(parameter, "type"),
           value ? value : "");
    free(value);
    print_bound(parameter, "minimum", "at least");
    print_bound(parameter, "exclusiveMinimum", "above");
    print_bound(parameter, "maximum", "at most");
    print_bound(parameter, "exclusiveMaximum", "below");
    if (json_is_true(json_object_get(parameter, "infinite")))
        printf(", or Infinity");
    if (json_is_true(json_object_get(parameter, "nullable")))
        printf(", or null");
    putchar('\n');
    if (json_object_get(parameter, "choices")) {
        printf("%*s", NAME, "");
        print_names("one of ", json_object_get(parameter, "choices"), 0);
    }
    printf("%*s", NAME, "");
    wrap_print(stdout, text_of(parameter, "doc"), NAME, NAME);
}

/* Prints the example as a curl command. */
static void print_example(const json_t *loss)
{
    const json_t *const example = json_object_get(loss, "example");
    char *const body = example ? json_dumps(example, JSON_REAL_PRECISION(15)) : NULL;
    if (body)
        printf("\nexample\n  curl --json '%s' http://127.0.0.1:8080%s\n", body,
               text_of(loss, "path"));
    free(body);
}

static void print_loss(const json_t *loss)
{
    size_t i;
    json_t *each;
    printf("%s: %s\n", text_of(loss, "name"), text_of(loss, "title"));
    wrap_print(stdout, text_of(loss, "doc"), 0, 0);
    printf("\n%-*s", TITLE, "formula");
    wrap_print(stdout, text_of(loss, "formula"), TITLE, TITLE);
    if (json_array_size(json_object_get(loss, "aliases")) > 0)
        print_names("aliases", json_object_get(loss, "aliases"), TITLE);
    print_names("reductions", json_object_get(loss, "reductions"), TITLE);
    printf("%-*s%s\n", TITLE, "hessian",
           json_is_true(json_object_get(loss, "hessian")) ? "diagonal" : "none");
    printf("\ntensors\n");
    json_array_foreach(json_object_get(loss, "tensors"), i, each) print_tensor(each);
    if (json_array_size(json_object_get(loss, "parameters")) > 0)
        printf("\nparameters\n");
    json_array_foreach(json_object_get(loss, "parameters"), i, each) print_parameter(each);
    print_example(loss);
}

static void print_list(const json_t *losses)
{
    size_t i;
    json_t *loss;
    int widest = 0;
    json_array_foreach(losses, i, loss) if ((int)strlen(text_of(loss, "name")) > widest) widest =
        (int)strlen(text_of(loss, "name"));
    json_array_foreach(losses, i, loss)
        printf("%-*s  %s\n", widest, text_of(loss, "name"), text_of(loss, "title"));
}

/* ---- Commands ---- */

static enum exit_code print(const struct arguments *a, const struct buffer *text, bool is_list)
{
    if (a->value[OPT_JSON]) {
        fwrite(text->data, 1, text->len, stdout);
        return EXIT_OK;
    }
    json_t *const tree = parse(text->data, text->len);
    if (!tree)
        return EXIT_REFUSED;
    if (is_list)
        print_list(json_object_get(tree, "losses"));
    else
        print_loss(tree);
    json_decref(tree);
    return EXIT_OK;
}

static enum exit_code describe(const struct arguments *a, const char *name)
{
    struct buffer text = {0};
    enum exit_code code = fetch(a, name, &text);
    if (code == EXIT_OK)
        code = print(a, &text, !name);
    buffer_free(&text);
    return code;
}

enum exit_code command_list(const struct arguments *a)
{
    return describe(a, NULL);
}

enum exit_code command_show(const struct arguments *a)
{
    return describe(a, a->argument[0]);
}
