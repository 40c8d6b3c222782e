/*
 * Tests the descriptions that the server gives, through the socket: the example of every loss, and
 * the OpenAPI document. The document must contain every route and every loss and nothing else. The
 * tests call its operations with their examples and compare the responses with the schemas.
 *
 * A validator from npm checks the document too (tests/openapi). If it is not installed and cannot
 * be downloaded, a message on stderr says so; with LOSSD_CLIENTS=all (make check-clients, which
 * installs npm) that is a failure.
 */
#include "loss.h"
#include "routes/routes.h"
#include "suites.h"
#include "support/command.h"
#include "support/schema.h"
#include "support/server_fixture.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 128 };

static json_t *tree;     /* the JSON of the response */
static json_t *document; /* /openapi.json, if a test requested it */

static void setup(void)
{
    start_server(ARGUMENTS("--log-level=warning", "--threads=1"));
}

static void teardown(void)
{
    json_decref(tree);
    json_decref(document);
    tree = document = NULL;
    end_server();
}

/* Sends a request with or without a JSON body. The response must be JSON. */
static void ask_json(const char *method, const char *path, const json_t *body)
{
    json_error_t error;
    char *const text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    ck_assert(http_client_ask(&client, method, path,
                              text ? "Content-Type: application/json\r\n" : NULL, text,
                              text ? strlen(text) : 0, &response));
    free(text);
    json_decref(tree);
    tree = json_loadb(response.body, response.body_len, 0, &error);
    ck_assert_msg(tree != NULL, "%s %s: %d, %s in %.400s", method, path, response.status,
                  error.text, response.body);
}

/* ---- Examples ---- */

/* Counts the numbers other than 0 in a nested array. All must be finite: numbers that are not are
   strings. */
static int count_slopes(const json_t *value)
{
    if (!json_is_array(value)) {
        ck_assert_msg(json_is_number(value), "%s", response.body);
        return json_number_value(value) != 0;
    }
    int count = 0;
    for (size_t i = 0; i < json_array_size(value); i++)
        count += count_slopes(json_array_get(value, i));
    return count;
}

/* _i is the index of the loss. */
START_TEST(every_loss_has_an_example_that_works)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    char path[PATH];
    snprintf(path, sizeof path, "/v1/losses/%s", loss->name);
    ask_json("GET", path, NULL);
    json_t *const example = json_incref(json_object_get(tree, "example"));
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        ck_assert_msg(loss->tensors[k].optional ||
                          json_object_get(example, loss->tensors[k].name) != NULL,
                      "%s without %s", path, loss->tensors[k].name);
    for (int k = 0; k < loss_param_specs(loss); k++)
        ck_assert_msg(json_object_get(example, loss->params[k].name) != NULL, "%s without %s", path,
                      loss->params[k].name);

    ask_json("POST", path, example);
    ck_assert_msg(response.status == 200, "%s: %s", path, response.body);
    ck_assert(json_is_number(json_object_get(tree, "loss")));
    ck_assert_ptr_null(json_object_get(tree, "warnings"));
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].prediction) {
            const json_t *const grad =
                json_object_get(json_object_get(tree, "grad"), loss->tensors[k].name);
            ck_assert_msg(grad && count_slopes(grad) > 0, "%s: %s", path, response.body);
        }
    json_decref(example);
}
END_TEST

/* ---- Document ---- */

static void get_document(void)
{
    ask_json("GET", "/openapi.json", NULL);
    ck_assert_int_eq(response.status, 200);
    document = json_incref(tree);
}

static const json_t *at(const json_t *object, const char *name)
{
    return json_object_get(object, name);
}

static const char *text_at(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* Calls `visit` with each operation of the document. Returns the number of operations. */
static int for_each_operation(void (*visit)(const char *path, const char *method,
                                            const json_t *operation))
{
    const char *path, *method;
    json_t *item, *operation;
    int count = 0;
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        json_object_foreach(item, method, operation)
        {
            visit(path, strcmp(method, "get") == 0 ? "GET" : "POST", operation);
            count++;
        }
    }
    return count;
}

/* Returns the operation of a method and a path. */
static const json_t *operation_of(const char *method, const char *path)
{
    const json_t *const item = at(at(document, "paths"), path);
    return at(item, strcmp(method, "GET") == 0 ? "get" : "post");
}

static json_t *ids;

static void expect_sound(const char *path, const char *method, const json_t *operation)
{
    const char *const id = text_at(operation, "operationId"), *const summary =
                                                                  text_at(operation, "summary");
    ck_assert_msg(id && *id && summary && *summary, "%s %s has no operationId or no summary",
                  method, path);
    ck_assert_msg(!at(ids, id), "two operations are called %s", id);
    json_object_set_new(ids, id, json_true());
    ck_assert_uint_eq(json_array_size(at(operation, "tags")), 1);
    ck_assert_uint_gt(json_object_size(at(operation, "responses")), 1);
    ck_assert_msg((strcmp(method, "POST") == 0) || !at(operation, "requestBody"),
                  "%s %s takes a body", method, path);
}

START_TEST(document_names_every_route_and_nothing_else)
{
    int expected = 0;
    get_document();
    ck_assert_str_eq(text_at(document, "openapi"), "3.1.0");
    ck_assert_str_eq(text_at(at(document, "info"), "version"), LOSS_VERSION);
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        const char *const place = strstr(route->path, "{loss}");
        ck_assert_msg(route->openapi != NULL, "%s %s has no OpenAPI description", route->method,
                      route->path);
        if (!route->openapi->each_loss)
            ck_assert_msg(operation_of(route->method, route->path), "%s %s is missing",
                          route->method, route->path);
        for (size_t k = 0; route->openapi->each_loss && k < loss_count(); k++) {
            char path[PATH];
            snprintf(path, sizeof path, "%.*s%s%s", (int)(place - route->path), route->path,
                     loss_at(k)->name, place + 6);
            ck_assert_msg(operation_of(route->method, path), "%s %s is missing", route->method,
                          path);
        }
        expected += route->openapi->each_loss ? (int)loss_count() : 1;
    }
    ids = json_object();
    ck_assert_int_eq(for_each_operation(expect_sound), expected);
    json_decref(ids);
}
END_TEST

/* Every "$ref" in a value must resolve. */
static void expect_resolved(const json_t *value)
{
    const char *name;
    json_t *member;
    for (size_t i = 0; i < json_array_size(value); i++)
        expect_resolved(json_array_get(value, i));
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        if (strcmp(name, "$ref") == 0)
            ck_assert_msg(schema_resolve(document, json_string_value(member)) != NULL, "%s",
                          json_string_value(member));
        expect_resolved(member);
    }
}

/* The parameters of the path and those of the operation must be the same. */
static void expect_parameters(const char *path, const char *method, const json_t *operation)
{
    char name[PATH];
    int in_path = 0, braces = 0;
    (void)method;
    for (size_t i = 0; i < json_array_size(at(operation, "parameters")); i++) {
        const json_t *const parameter =
            schema_follow(document, json_array_get(at(operation, "parameters"), i));
        if (strcmp(text_at(parameter, "in"), "path") != 0)
            continue;
        snprintf(name, sizeof name, "{%s}", text_at(parameter, "name"));
        ck_assert_msg(strstr(path, name) != NULL, "%s in %s", name, path);
        in_path++;
    }
    for (const char *brace = path; (brace = strchr(brace, '{')); brace++)
        braces++;
    ck_assert_msg(in_path == braces, "%s: the parameters differ from those in the path", path);
}

START_TEST(references_and_parameters_of_the_document_resolve)
{
    get_document();
    expect_resolved(document);
    for_each_operation(expect_parameters);
    ck_assert_uint_eq(
        json_array_size(at(schema_resolve(document, "#/components/schemas/Dtype"), "enum")),
        LOSS_DTYPE_COUNT - 1);
}
END_TEST

/* _i is the index of the loss. */
START_TEST(document_has_the_schema_of_every_loss)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    char reference[PATH];
    get_document();
    snprintf(reference, sizeof reference, "#/components/schemas/%s_request", loss->name);
    const json_t *const schema = schema_resolve(document, reference), *const properties =
                                                                          at(schema, "properties");
    ck_assert_ptr_nonnull(schema);
    ck_assert(json_is_false(at(schema, "additionalProperties")));
    size_t required = 0;
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        ck_assert_ptr_nonnull(at(properties, loss->tensors[k].name));
        required += !loss->tensors[k].optional;
    }
    ck_assert_uint_eq(json_array_size(at(schema, "required")), required);
    for (int k = 0; k < loss_param_specs(loss); k++) {
        const struct loss_param_spec *const spec = &loss->params[k];
        const json_t *const param = at(properties, spec->name);
        char why[SCHEMA_WHY];
        ck_assert_str_eq(text_at(param, "description"), spec->doc);
        ck_assert_msg(schema_takes(document, param, at(param, "default"), why), "%s: %s",
                      spec->name, why);
        ck_assert(spec->has_min == (at(param, "minimum") || at(param, "exclusiveMinimum")));
        ck_assert(spec->has_max == (at(param, "maximum") || at(param, "exclusiveMaximum")));
        ck_assert((spec->type == LOSS_CHOICE) == (at(param, "enum") != NULL));
    }
    static const char *const common[] = {"reduction",     "grad",  "grad_output",
                                         "sample_weight", "dtype", "encoding"};
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        ck_assert_ptr_nonnull(at(properties, common[i]));
    ck_assert((at(properties, "hess") != NULL) == loss->hessian);
}
END_TEST

/* ---- Calls ---- */

/* Writes a path with the examples of its parameters, with `loss` in place of {loss} if it is not
   NULL. */
static void fill_in(const char *path, const json_t *operation, const char *loss, char *text)
{
    snprintf(text, PATH, "%s", path);
    for (size_t i = 0; i < json_array_size(at(operation, "parameters")); i++) {
        const json_t *const parameter =
            schema_follow(document, json_array_get(at(operation, "parameters"), i));
        const char *const name = text_at(parameter, "name"), *value = text_at(parameter, "example");
        char filled[PATH], brace[PATH];
        snprintf(brace, sizeof brace, "{%s}", name);
        const char *const place = strstr(text, brace);
        if (!place)
            continue;
        if (loss && strcmp(name, "loss") == 0)
            value = loss;
        ck_assert_msg(value != NULL, "%s of %s has no example", name, path);
        ck_assert_int_lt(snprintf(filled, sizeof filled, "%.*s%s%s", (int)(place - text), text,
                                  value, place + strlen(brace)),
                         PATH);
        memcpy(text, filled, PATH);
    }
}

/* Returns the documented media type of the response. */
static const json_t *media_of(const json_t *operation, const char *path)
{
    char status[16], type[PATH];
    snprintf(status, sizeof status, "%d", response.status);
    const json_t *const documented = at(at(operation, "responses"), status);
    ck_assert_msg(documented != NULL, "%s: %d is not documented: %.300s", path, response.status,
                  response.body);
    const json_t *const content = at(schema_follow(document, documented), "content");
    ck_assert_ptr_nonnull(http_response_header(&response, "Content-Type", type, sizeof type));
    type[strcspn(type, ";")] = '\0';
    const json_t *const media = at(content, type) ? at(content, type) : at(content, "*/*");
    ck_assert_msg(media != NULL, "%s: %d in %s is not documented", path, response.status, type);
    return media;
}

/* The response must be as documented. */
static void expect_documented(const json_t *operation, const char *path)
{
    char why[SCHEMA_WHY], type[PATH];
    const json_t *const media = media_of(operation, path);
    http_response_header(&response, "Content-Type", type, sizeof type);
    if (!strstr(type, "json"))
        return;
    json_t *const value = json_loadb(response.body, response.body_len, 0, NULL);
    ck_assert_msg(value != NULL, "%s: %.300s", path, response.body);
    ck_assert_msg(schema_takes(document, at(media, "schema"), value, why), "%s: %s in %.300s", path,
                  why, response.body);
    json_decref(value);
}

static const char json_header[] = "Content-Type: application/json\r\n";

/* Sends an example, which must match the schema of the request. */
static void call(const char *method, const char *path, const json_t *operation, const char *loss,
                 const json_t *example)
{
    const json_t *const media = at(at(at(operation, "requestBody"), "content"), "application/json");
    char filled[PATH], why[SCHEMA_WHY];
    fill_in(path, operation, loss, filled);
    ck_assert_msg(!example || schema_takes(document, at(media, "schema"), example, why), "%s: %s",
                  filled, why);
    char *const text = example ? json_dumps(example, JSON_COMPACT) : NULL;
    ck_assert(http_client_ask(&client, method, filled, text ? json_header : NULL, text,
                              text ? strlen(text) : 0, &response));
    free(text);
    ck_assert_msg(response.status == 200 || !at(at(operation, "responses"), "200"), "%s: %s",
                  filled, response.body);
    expect_documented(operation, filled);
}

static void call_with_examples(const char *path, const char *method, const json_t *operation)
{
    const json_t *const media = at(at(at(operation, "requestBody"), "content"), "application/json");
    const char *name;
    json_t *example;
    if (!json_is_true(at(at(operation, "requestBody"), "required")))
        call(method, path, operation, NULL, NULL);
    if (!at(operation, "requestBody"))
        return;
    ck_assert_msg(at(media, "example") || at(media, "examples"), "%s %s has no example", method,
                  path);
    if (at(media, "example"))
        call(method, path, operation, NULL, at(media, "example"));
    json_object_foreach(json_object_get(media, "examples"), name, example)
    {
        const json_t *const value = at(schema_follow(document, example), "value");
        ck_assert_ptr_nonnull(value);
        call(method, path, operation, loss_find(name) ? name : NULL, value);
    }
}

START_TEST(responses_to_examples_are_as_documented)
{
    get_document();
    ck_assert_int_gt(for_each_operation(call_with_examples), 2 * (int)loss_count());
}
END_TEST

/* Numbers must be equal up to the digits that the document shows. */
static void expect_near(const json_t *shown, const json_t *given, const char *path)
{
    const char *name;
    json_t *member;
    if (json_is_number(shown)) {
        const double a = json_number_value(shown), b = json_number_value(given);
        ck_assert_msg(json_is_number(given) && fabs(a - b) <= 1e-14 * fabs(b),
                      "%s: %.17g is shown, %.17g given", path, a, b);
    } else if (json_is_object(shown)) {
        ck_assert_uint_eq(json_object_size(shown), json_object_size(given));
        json_object_foreach((json_t *)(uintptr_t)shown, name, member)
            expect_near(member, at(given, name), path);
    } else if (json_is_array(shown)) {
        ck_assert_uint_eq(json_array_size(shown), json_array_size(given));
        for (size_t i = 0; i < json_array_size(shown); i++)
            expect_near(json_array_get(shown, i), json_array_get(given, i), path);
    } else {
        ck_assert_msg(json_equal(shown, given), "%s", path);
    }
}

START_TEST(shown_responses_are_those_of_the_server)
{
    get_document();
    for (size_t i = 0; i < loss_count(); i++) {
        char path[PATH];
        snprintf(path, sizeof path, "/v1/losses/%s", loss_at(i)->name);
        const json_t *const post = operation_of("POST", path);
        ask_json("POST", path,
                 at(at(at(at(post, "requestBody"), "content"), "application/json"), "example"));
        expect_near(
            at(at(at(at(at(post, "responses"), "200"), "content"), "application/json"), "example"),
            tree, path);
    }
    const json_t *const several = operation_of("POST", "/v1/evaluate");
    ck_assert_ptr_nonnull(several);
    ask_json("POST", "/v1/evaluate",
             at(schema_resolve(document, "#/components/examples/several"), "value"));
    expect_near(at(schema_resolve(document, "#/components/examples/severalAnswer"), "value"), tree,
                "/v1/evaluate");
}
END_TEST

/* _i is the index of the loss. The server rejects what the schema rejects, as documented. */
START_TEST(responses_to_invalid_requests_are_as_documented)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    char path[PATH], why[SCHEMA_WHY];
    get_document();
    snprintf(path, sizeof path, "/v1/losses/%s", loss->name);
    const json_t *const post = operation_of("POST", path);
    const json_t *const media = at(at(at(post, "requestBody"), "content"), "application/json");
    static const struct {
        const char *field, *value; /* NULL: an empty object */
    } mistakes[] = {{"nonsense", "1"},
                    {"reduction", "\"median\""},
                    {"dtype", "\"int8\""},
                    {"grad", "\"input\""},
                    {NULL, "{}"}};
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        json_t *const body =
            mistakes[i].field ? json_deep_copy(at(media, "example")) : json_object();
        if (mistakes[i].field)
            json_object_set_new(body, mistakes[i].field,
                                json_loads(mistakes[i].value, JSON_DECODE_ANY, NULL));
        ck_assert_msg(!schema_takes(document, at(media, "schema"), body, why), "%s takes %s", path,
                      mistakes[i].field);
        ask_json("POST", path, body);
        ck_assert_msg(response.status == 400 || response.status == 422, "%d: %s", response.status,
                      response.body);
        expect_documented(post, path);
        json_decref(body);
    }
    ck_assert(
        http_client_ask(&client, "POST", path, "Content-Type: text/plain\r\n", "x", 1, &response));
    ck_assert_int_eq(response.status, 415);
    expect_documented(post, path);
    ck_assert(http_client_ask(&client, "POST", path, "Accept: image/png\r\n", "{}", 2, &response));
    ck_assert_int_eq(response.status, 406);
    expect_documented(post, path);
}
END_TEST

/* ---- Validator ---- */

START_TEST(document_passes_a_validator)
{
    char printed[4096];
    const char *const which = getenv("LOSSD_CLIENTS");
    if (!npm_packages_are_there("tests/openapi")) {
        ck_assert_msg(!which || strcmp(which, "all") != 0, "npm could not fetch the validator");
        fprintf(stderr,
                "openapi: /openapi.json is not validated: npm is not installed or cannot fetch the "
                "validator\n");
        return;
    }
    const int status =
        command_run(printed, sizeof printed,
                    "node tests/openapi/validate.mjs http://127.0.0.1:%d 2>&1", server.port);
    ck_assert_msg(status == 0, "the validator exited with %d and printed: %s", status, printed);
    ck_assert_str_eq(printed, "valid 3.1\n");
}
END_TEST

Suite *openapi_suite(void)
{
    Suite *suite = suite_create("openapi");
    TCase *const examples = suite_add_case(suite, "examples", 60, setup, teardown);
    tcase_add_loop_test(examples, every_loss_has_an_example_that_works, 0, (int)loss_count());
    TCase *const api = suite_add_case(suite, "openapi_document", 60, setup, teardown);
    CASE_ADD(api, document_names_every_route_and_nothing_else,
             references_and_parameters_of_the_document_resolve,
             responses_to_examples_are_as_documented, shown_responses_are_those_of_the_server);
    tcase_add_loop_test(api, document_has_the_schema_of_every_loss, 0, (int)loss_count());
    tcase_add_loop_test(api, responses_to_invalid_requests_are_as_documented, 0, (int)loss_count());
    TCase *const validator = suite_add_case(suite, "openapi_validator", 120, setup, teardown);
    tcase_set_tags(validator, TAG_SLOW);
    tcase_add_test(validator, document_passes_a_validator);
    return suite;
}
