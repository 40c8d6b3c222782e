/*
 * What the service says of itself, through the socket: the example of every loss.
 */
#include "http/http_client.h"
#include "http/server_process.h"
#include "loss.h"
#include "suites.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 128 };

static struct server_process server;
static struct http_client client;
static struct http_response response;
static json_t *tree; /* the JSON of the response */

static void setup(void)
{
    server_process_start(&server, (const char *const[]){"--log-level", "warning", "--threads", "1", NULL});
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}

static void teardown(void)
{
    json_decref(tree);
    tree = NULL;
    http_client_close(&client);
    http_response_free(&response);
    ck_assert_int_eq(server_process_stop(&server), 0);
    server_process_free(&server);
}

/* Asks with a JSON body, or none, and reads the answer, which must be JSON. */
static void ask(const char *method, const char *path, const json_t *body)
{
    json_error_t error;
    char *const text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    ck_assert(http_client_ask(&client, method, path, text ? "Content-Type: application/json\r\n" : NULL, text,
                              text ? strlen(text) : 0, &response));
    free(text);
    json_decref(tree);
    tree = json_loadb(response.body, response.body_len, 0, &error);
    ck_assert_msg(tree != NULL, "%s %s: %d, %s in %.400s", method, path, response.status, error.text, response.body);
}

/* ---- examples ------------------------------------------------------------------------------------------------------- */

/* How many numbers other than 0 a nested array has, all of which must be finite (the others are strings in JSON). */
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

/* _i is the loss's place in the table. */
START_TEST(every_loss_has_an_example_that_works)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    char path[PATH];
    snprintf(path, sizeof path, "/v1/losses/%s", loss->name);
    ask("GET", path, NULL);
    json_t *const example = json_incref(json_object_get(tree, "example"));
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        ck_assert_msg(json_object_get(example, loss->tensors[k].name) != NULL, "%s without %s", path, loss->tensors[k].name);
    for (int k = 0; k < loss_param_specs(loss); k++)
        ck_assert_msg(json_object_get(example, loss->params[k].name) != NULL, "%s without %s", path, loss->params[k].name);

    ask("POST", path, example);
    ck_assert_msg(response.status == 200, "%s: %s", path, response.body);
    ck_assert(json_is_number(json_object_get(tree, "loss")));
    ck_assert_ptr_null(json_object_get(tree, "warnings"));
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].prediction) {
            const json_t *const grad = json_object_get(json_object_get(tree, "grad"), loss->tensors[k].name);
            ck_assert_msg(grad && count_slopes(grad) > 0, "%s: %s", path, response.body);
        }
    json_decref(example);
}
END_TEST

Suite *openapi_suite(void)
{
    Suite *suite = suite_create("openapi");
    TCase *tcase = tcase_create("examples");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, every_loss_has_an_example_that_works, 0, (int)loss_count());
    suite_add_tcase(suite, tcase);
    return suite;
}
