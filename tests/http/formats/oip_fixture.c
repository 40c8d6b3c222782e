#include "http/formats/oip_fixture.h"

#include "memory/buffer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *oip_tree;

void oip_setup(void)
{
    start_server(ARGUMENTS("--log-level=warning", "--threads=2", "--max-body=1M"));
    oip_tree = NULL;
}

void oip_teardown(void)
{
    json_decref(oip_tree);
    end_server();
}

const float oip_three[6] = {0.5F, 0.25F, 2, 1, 0.25F, -1};

/* If binary data follows the JSON, a header gives the length of the JSON. */
size_t oip_read_tree(void)
{
    char value[OIP_NAME], type[OIP_NAME];
    json_error_t error;
    const bool binary =
        http_response_header(&response, "Inference-Header-Content-Length", value, sizeof value);
    const size_t len = binary ? strtoul(value, NULL, 10) : response.body_len;
    ck_assert_uint_le(len, response.body_len);
    ck_assert_ptr_nonnull(http_response_header(&response, "Content-Type", type, sizeof type));
    ck_assert_str_eq(type, binary ? "application/octet-stream" : "application/json");
    json_decref(oip_tree);
    oip_tree = json_loadb(response.body, len, 0, &error);
    ck_assert_msg(oip_tree != NULL, "%s in %.*s", error.text, (int)len, response.body);
    return len;
}

size_t oip_ask(const char *method, const char *path, const char *headers, const char *body,
               size_t len)
{
    ck_assert(http_client_ask(&client, method, path, headers, body, len, &response));
    return oip_read_tree();
}

void oip_get(const char *path)
{
    oip_ask("GET", path, NULL, NULL, 0);
}

void oip_infer_json(const char *model, const char *json)
{
    char path[OIP_NAME];
    snprintf(path, sizeof path, "/v2/models/%s/infer", model);
    oip_ask("POST", path, NULL, json, strlen(json));
}

size_t oip_infer_bytes(const char *model, const char *json, const void *bytes, size_t len)
{
    char path[OIP_NAME], header[OIP_NAME];
    struct buffer body = {0};
    snprintf(path, sizeof path, "/v2/models/%s/infer", model);
    snprintf(header, sizeof header, "inference-header-content-length: %zu\r\n", strlen(json));
    buffer_text(&body, json);
    buffer_append(&body, bytes, len);
    const size_t json_len = oip_ask("POST", path, header, body.data, body.len);
    buffer_free(&body);
    return json_len;
}

void oip_expect_error(int status, const char *text)
{
    const char *error = json_string_value(json_object_get(oip_tree, "error"));
    ck_assert_msg(response.status == status, "expected status %d with '%s', got %d: %s", status,
                  text, response.status, response.body);
    ck_assert_ptr_nonnull(error);
    ck_assert_uint_eq(json_object_size(oip_tree), 1);
    ck_assert_msg(strstr(error, text) != NULL, "'%s' is not in '%s'", text, error);
}

json_t *oip_output_at(size_t index, const char *name, const char *datatype)
{
    json_t *output = json_array_get(json_object_get(oip_tree, "outputs"), index);
    ck_assert_msg(response.status == 200 && output, "%s", response.body);
    ck_assert_str_eq(json_string_value(json_object_get(output, "name")), name);
    ck_assert_str_eq(json_string_value(json_object_get(output, "datatype")), datatype);
    return output;
}

double oip_data_at(const json_t *output, size_t index)
{
    return json_number_value(json_array_get(json_object_get(output, "data"), index));
}

int64_t oip_integer_at(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}
