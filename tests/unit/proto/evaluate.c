#include "unit/proto/evaluate.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct response evaluate_response;

const char *evaluate_bytes(const char *loss, const char *body, size_t len)
{
    /* A separate allocation, so that the address sanitizer detects reads after the NUL. */
    char *copy = malloc(len + 1);
    memcpy(copy, body, len);
    copy[len] = '\0';
    response_free(&evaluate_response);
    evaluate_response = (struct response){0};
    handler_serve(&v1_evaluate, &(struct request_view){.loss = loss, .body = copy, .len = len}, 1,
                  &evaluate_response);
    buffer_append(&evaluate_response.body, "", 1);
    free(copy);
    return evaluate_response.body.data;
}

const char *evaluate_text(const char *loss, const char *body)
{
    return evaluate_bytes(loss, body, strlen(body));
}

void evaluate_expect(const char *loss, const char *body, const char *expected)
{
    ck_assert_str_eq(evaluate_text(loss, body), expected);
    ck_assert_int_eq(evaluate_response.status, 200);
    ck_assert_str_eq(evaluate_response.content_type, "application/json");
}

void evaluate_expect_problem(const char *loss, const char *body, int status, const char *expected)
{
    const char *text = evaluate_text(loss, body);
    ck_assert_msg(evaluate_response.status == status, "%.400s: %.400s", body, text);
    ck_assert_str_eq(evaluate_response.content_type, "application/problem+json");
    json_t *problem = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(problem);
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "status")), status);
    json_decref(problem);
    const char *detail = strstr(text, "\"detail\":");
    ck_assert_ptr_nonnull(detail);
    ck_assert_msg(strncmp(detail + strlen("\"detail\":"), expected, strlen(expected)) == 0,
                  "%s\n  for %s\nnot %s", detail, body, expected);
}
