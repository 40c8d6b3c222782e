/*
 * Forms: a NumPy file for each tensor, a text for each parameter. Results must have the same bits
 * as those of a safetensors file, which test_binary_bits.c compares with JSON.
 */
#include "loss.h"
#include "suites.h"
#include "support/server_fixture.h"
#include "support/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct http_response other;

static void setup(void)
{
    start_server(server_process_defaults);
}

static void teardown(void)
{
    http_response_free(&other);
    end_server();
}

/* ---- Forms ---- */

#define BOUNDARY "x7MA4YWxk"
#define FORM     "Content-Type: multipart/form-data; boundary=" BOUNDARY "\r\n"

static void add_part(struct buffer *form, const char *name, const char *file_name, const void *data,
                     size_t len)
{
    buffer_printf(form, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"%s\"", name);
    if (file_name)
        buffer_printf(form, "; filename=\"%s\"\r\nContent-Type: application/octet-stream",
                      file_name);
    buffer_text(form, "\r\n\r\n");
    buffer_append(form, data, len);
    buffer_text(form, "\r\n");
}

static void add_text(struct buffer *form, const char *name, const char *value)
{
    add_part(form, name, NULL, value, strlen(value));
}

/* Returns a .npy file with a version, a header and `len` bytes of data. */
static struct buffer npy(int version, const char *header, const void *data, size_t len)
{
    struct buffer file = {0};
    const uint32_t header_len = (uint32_t)strlen(header);
    buffer_append(&file, "\x93NUMPY", 6);
    buffer_append(&file, (const char[]){(char)version, 0}, 2);
    buffer_append(&file, &header_len, version == 1 ? 2 : 4);
    buffer_append(&file, header, header_len);
    buffer_append(&file, data, len);
    return file;
}

static void add_npy(struct buffer *form, const char *name, int version, const char *header,
                    const void *data, size_t len)
{
    struct buffer file = npy(version, header, data, len);
    add_part(form, name, "a \\\"file\\\".npy", file.data, file.len);
    buffer_free(&file);
}

/* Ends the form, sends it and frees it. */
static void ask_form(const char *path, const char *headers, struct buffer *form)
{
    buffer_text(form, "--" BOUNDARY "--\r\n");
    ck_assert(!form->failed);
    ck_assert(http_client_ask(&client, "POST", path, headers, form->data, form->len, &response));
    buffer_free(form);
}

static void expect_answer(const char *text)
{
    ck_assert_msg(response.status == 200 && strstr(response.body, text) != NULL,
                  "\"%s\" is not in %s", text, response.body);
}

static const float three[] = {0.5F, 0.25F, 2}, others[] = {1, 0.25F, -1};
static const char header_of_three[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n";

static struct buffer mse_form(void)
{
    struct buffer form = {0};
    add_npy(&form, "input", 1, header_of_three, three, sizeof three);
    add_npy(&form, "target", 1, header_of_three, others, sizeof others);
    return form;
}

/* ---- Parameters ---- */

START_TEST(forms_get_json_unless_accept_selects_another_format)
{
    struct buffer form = mse_form();
    char type[64];
    add_text(&form, "reduction", "sum");
    add_text(&form, "grad", "input,target");
    ask_form("/v1/losses/mse", FORM, &form);
    expect_answer("{\"loss\":9.25,\"reduction\":\"sum\",\"dtype\":\"float32\",\"count\":3,"
                  "\"grad\":{\"input\":[-1,0,6],\"target\":[1,-0.0,-6]}}");
    form = mse_form();
    ask_form("/v1/losses/mse?grad=true", FORM "Accept: application/vnd.safetensors\r\n", &form);
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(http_response_header(&response, "Content-Type", type, sizeof type),
                     "application/vnd.safetensors");
    struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
    size_t len;
    ck_assert_float_eq(
        ((const float *)tensor_answer_data(&answer, "grad_input", "F32", "3", &len))[2], 2);
    tensor_answer_free(&answer);
}
END_TEST

START_TEST(query_parameters_override_form_parameters)
{
    struct buffer form = mse_form();
    add_text(&form, "reduction", "sum");
    ask_form("/v1/losses/mse?reduction=none", FORM, &form);
    expect_answer("\"loss\":[0.25,0,9]");
    form = mse_form();
    add_text(&form, "grad_output", "3");
    add_text(&form, "grad", "true");
    ask_form("/v1/losses/mse", FORM, &form);
    expect_answer("\"grad\":{\"input\":[-1,0,6]}");
    form = mse_form();
    add_npy(&form, "grad_output", 1, header_of_three, others, sizeof others);
    add_text(&form, "grad", "true");
    add_text(&form, "reduction", "none");
    ask_form("/v1/losses/mse", FORM, &form);
    expect_answer("\"grad\":{\"input\":[-1,0,-6]}");
    form = mse_form();
    add_npy(&form, "grad_output", 1, header_of_three, others, sizeof others);
    ask_form("/v1/losses/mse?grad_output=3&grad=true", FORM, &form);
    expect_answer("\"grad\":{\"input\":[-1,0,6]}");
}
END_TEST

START_TEST(invalid_parts_are_rejected_by_name)
{
    static const struct {
        const char *name, *file, *value, *text;
        int status;
    } cases[] = {
        {"redution", NULL, "sum", "mse has no field 'redution'; did you mean 'reduction'?", 400},
        {"reduction", NULL, "sun", "did you mean 'sum'?", 422},
        {"reduction", "a", "sum", "reduction is not a tensor: send it as text, not as a file", 400},
        {"sample_weight", NULL, "1", "sample_weight: not a NumPy file (.npy)", 400},
        {"grad_output", NULL, "x", "grad_output is 'x'; it must be a number", 400},
        {"input", NULL, "", "duplicate part 'input'", 400},
        {"dtype", NULL, "", "dtype is ''; it must be 'float32' or 'float64'", 422},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer form = mse_form();
        add_part(&form, cases[i].name, cases[i].file, cases[i].value, strlen(cases[i].value));
        ask_form("/v1/losses/mse", FORM, &form);
        expect_problem(cases[i].status, cases[i].text);
    }
    struct buffer form = mse_form();
    add_part(&form, "reduction", NULL, "su\0m", 4);
    ask_form("/v1/losses/mse", FORM, &form);
    expect_problem(400, "reduction contains a NUL byte, or has more than 511 bytes");
    form = mse_form();
    add_text(&form, "grad", "true");
    add_text(&form, "grad", "true");
    ask_form("/v1/losses/mse", FORM, &form);
    expect_problem(400, "duplicate field 'grad'");
}
END_TEST

/* ---- NumPy files ---- */

enum { ROWS = 5, COLUMNS = 3 };

struct layout {
    enum loss_dtype dtype;
    const char *descr, *name; /* NumPy's, safetensors' */
};
static const struct layout layouts[] = {
    {LOSS_FLOAT64, "f8", "F64"}, {LOSS_FLOAT32, "f4", "F32"}, {LOSS_FLOAT16, "f2", "F16"},
    {LOSS_INT64, "i8", "I64"},   {LOSS_INT32, "i4", "I32"},   {LOSS_INT16, "i2", "I16"},
    {LOSS_INT8, "i1", "I8"},     {LOSS_UINT64, "u8", "U64"},  {LOSS_UINT32, "u4", "U32"},
    {LOSS_UINT16, "u2", "U16"},  {LOSS_UINT8, "u1", "U8"},    {LOSS_BOOL, "b1", "BOOL"}};
enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

/* Writes a matrix in a dtype, with small values that differ at every position, except in bool. */
static void fill(const struct layout *layout, char *data)
{
    const size_t size = loss_dtype_size(layout->dtype);
    for (size_t i = 0; i < ROWS * COLUMNS; i++) {
        const double real = (double)i * 0.5 - 3;
        const float single = (float)real;
        const uint16_t half = (uint16_t)(0x3c00 + i * 16); /* from 1 on */
        const int64_t integer =
            layout->dtype == LOSS_BOOL ? (int64_t)(i % 3 == 0) : (int64_t)(i * 8);
        memcpy(data + i * size,
               layout->dtype == LOSS_FLOAT64   ? (const void *)&real
               : layout->dtype == LOSS_FLOAT32 ? (const void *)&single
               : layout->dtype == LOSS_FLOAT16 ? (const void *)&half
                                               : (const void *)&integer,
               size);
    }
}

/* Returns a file of the matrix as NumPy may store it. */
static struct buffer matrix_file(const struct layout *layout, const char *data, int version,
                                 bool swapped, bool fortran)
{
    const size_t size = loss_dtype_size(layout->dtype);
    char bytes[ROWS * COLUMNS * 8], header[128];
    for (size_t i = 0; i < ROWS * COLUMNS; i++) {
        const size_t to = fortran ? i % COLUMNS * ROWS + i / COLUMNS : i;
        for (size_t k = 0; k < size; k++)
            bytes[to * size + k] = data[i * size + (swapped ? size - 1 - k : k)];
    }
    snprintf(header, sizeof header,
             "{\"shape\": (%d, %dL), 'fortran_order': %s, 'descr': '%c%s'}%*s\n", ROWS, COLUMNS,
             fortran ? "True" : "False",
             size == 1 ? '|'
             : swapped ? '>'
                       : '<',
             layout->descr, version * 3, "");
    return npy(version, header, bytes, ROWS * COLUMNS * size);
}

START_TEST(arrays_of_every_dtype_order_and_version_are_accepted)
{
    static const char path[] = "/v1/losses/bce_with_logits?encoding=base64&reduction=none";
    for (int i = 0; i < LAYOUTS * LAYOUTS * 4; i++) {
        const struct layout *const input = &layouts[i % LAYOUTS],
                                   *const target = &layouts[i / LAYOUTS % LAYOUTS];
        const bool swapped = i / LAYOUTS / LAYOUTS % 2, fortran = i / LAYOUTS / LAYOUTS / 2;
        char data[ROWS * COLUMNS * 8];
        struct tensor_file plain = {{0}, {0}};
        struct buffer form = {0};
        for (int k = 0; k < 2; k++) {
            const struct layout *const layout = k ? target : input;
            fill(layout, data);
            struct buffer file = matrix_file(layout, data, 1 + (i + k) % 3, swapped,
                                             k ? fortran : (i % 2 == 1) != fortran);
            add_part(&form, k ? "target" : "input", "x.npy", file.data, file.len);
            buffer_free(&file);
            tensor_file_add(&plain, k ? "target" : "input", layout->name, "5,3", data,
                            ROWS * COLUMNS * loss_dtype_size(layout->dtype));
        }
        struct buffer whole = tensor_file_end(&plain, 0);
        ck_assert(http_client_ask(
            &client, "POST", path,
            "Content-Type: application/vnd.safetensors\r\nAccept: application/json\r\n", whole.data,
            whole.len, &other));
        buffer_free(&whole);
        ask_form(path, FORM, &form);
        ck_assert_msg(response.status == 200 && strcmp(response.body, other.body) == 0,
                      "%s, %s: %s where a safetensors file has %s", input->descr, target->descr,
                      response.body, other.body);
    }
}
END_TEST

START_TEST(gradients_of_fortran_arrays_are_row_major)
{
    struct buffer form = {0};
    const float input[] = {1, 4, 2, 5, 3, 6};
    const int32_t target[] = {0x01000000, 0}; /* 1 and 0 with reversed bytes */
    add_npy(&form, "input", 2, "{'descr': '=f4', 'fortran_order': True, 'shape': (2, 3)}", input,
            sizeof input);
    add_npy(&form, "target", 3, "{'descr': '>i4', 'fortran_order': True, 'shape': (2, )}", target,
            sizeof target);
    add_text(&form, "grad", "true");
    add_text(&form, "reduction", "sum");
    ask_form("/v1/losses/nll", FORM, &form);
    expect_answer("{\"loss\":-6,\"reduction\":\"sum\",\"dtype\":\"float32\",\"count\":2,\"grad\":{"
                  "\"input\":[[0,-1,0],[-1,0,0]]}}");
    add_npy(&form, "input", 2, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", input, 4);
    add_npy(&form, "target", 3, "{'descr': '<f4', 'fortran_order': True, 'shape': ()}", input, 4);
    ask_form("/v1/losses/mse", FORM, &form);
    expect_answer("\"loss\":0");
}
END_TEST

#define DICT(descr, order, shape)                                                                  \
    "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape "}"

START_TEST(malformed_array_is_rejected_with_the_position)
{
    static const struct {
        const char *header;
        const char *text;
    } cases[] = {
        {"", "input: the end where '{' was expected in the header"},
        {"[]", "input: '[' where '{' was expected in the header"},
        {"{",
         "input: the end where 'descr', 'fortran_order' or 'shape' was expected in the header"},
        {"{}", "input: the header lacks the field 'descr'"},
        {"{'descr': '<f4'}", "input: the header lacks the field 'fortran_order'"},
        {"{'descr': '<f4', 'fortran_order': False}", "input: the header lacks the field 'shape'"},
        {"{'descr': '<f4', 'descr': '<f4'}", "input: the header has a duplicate field 'descr'"},
        {"{'desc': '<f4'}", "input: the header has an unknown field 'desc'; expected 'descr', "
                            "'fortran_order' and 'shape'"},
        {"{'descr' '<f4'}", "input: '\\\\'' where ':' was expected in the header"},
        {"{'descr: <f4}", "input: the end where the end of a string was expected in the header"},
        {DICT("'<u3'", "False", "(3,)"), "input: dtype '<u3' is not supported; f8, f4, f2, i8, i4, "
                                         "i2, i1, u8, u4, u2, u1 and b1 are"},
        {DICT("''", "False", "(3,)"), "input: dtype '' is not supported"},
        {DICT("'<f4<f4<f4<f4<f4<f4<f4<f4<f4'", "False", "(3,)"),
         "input: dtype '<f4<f4<f4<f4<f4<f4<f4<f' is not supported"},
        {DICT("[('a', '<f4')]", "False", "(3,)"),
         "input: '[' where one dtype in quotes was expected"},
        {DICT("'<f4'", "false", "(3,)"), "input: 'f' where True or False was expected"},
        {DICT("'<f4'", "False", "3"), "input: '3' where a tuple of dimensions was expected"},
        {DICT("'<f4'", "False", "(-3,)"), "input: '-' where a dimension was expected"},
        {DICT("'<f4'", "False", "(3"), "input: '}' where ',' or ')' was expected"},
        {DICT("'<f4'", "False", "(99999999999999999999,)"),
         "input: a dimension of the shape is too large to address"},
        {DICT("'<f4'", "False", "(4294967296, 4294967296)"),
         "input: shape (4294967296, 4294967296) has more elements than can be addressed"},
        {DICT("'<f4'", "False", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)"),
         "input: the shape has more than 16 dimensions"},
        {DICT("'<f4'", "False", "(2,)"),
         "input: 12 bytes follow the header; shape (2,) of <f4 takes 8"},
        {DICT("'<f8'", "False", "(3,)"),
         "input: 12 bytes follow the header; shape (3,) of <f8 takes 24"},
        {DICT("'<f4'", "False", "(3,)") " x",
         "input: 'x' where the end was expected in the header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer form = {0};
        add_npy(&form, "input", 1 + (int)(i % 3), cases[i].header, three, sizeof three);
        ask_form("/v1/losses/mse", FORM, &form);
        expect_problem(400, cases[i].text);
        ck_assert_ptr_nonnull(strstr(response.body, "\"pointer\":\"/input\",\"offset\":"));
    }
}
END_TEST

START_TEST(truncated_file_is_rejected)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {"", 0, "input: not a NumPy file (.npy), which begins with \\\\x93NUMPY"},
        {"\x93NUMPZ\1\0", 8, "input: not a NumPy file (.npy)"},
        {"\x93NUMPY", 6, "input: the file ends before its header"},
        {"\x93NUMPY\1\0\1", 9, "input: the file ends before its header"},
        {"\x93NUMPY\2\0\1\0\0", 11, "input: the file ends before its header"},
        {"\x93NUMPY\1\0\3\0{}", 12, "input: the header is declared to have 3 bytes, but 2 follow"},
        {"\x93NUMPY\3\0\xff\xff\xff\xff{}", 14,
         "input: the header is declared to have 4294967295 bytes, but 2 follow"},
        {"\x93NUMPY\4\0\1\0\0\0", 12,
         "input: version 4.0 of the format is not supported; 1.0, 2.0 and 3.0 are"},
        {"\x93NUMPY\1\1\1\0\0\0", 12,
         "input: version 1.1 of the format is not supported; 1.0, 2.0 and 3.0 are"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer form = {0};
        add_part(&form, "input", "x.npy", cases[i].bytes, cases[i].len);
        ask_form("/v1/losses/mse", FORM, &form);
        expect_problem(400, cases[i].text);
    }
}
END_TEST

/* ---- Multipart syntax ---- */

#define PART "--" BOUNDARY "\r\nContent-Disposition: form-data; name="

START_TEST(malformed_form_is_rejected_with_the_position)
{
    static const struct {
        const char *type, *body, *text;
    } cases[] = {
        {"multipart/form-data", "", "needs a boundary of 1 to 70 characters"},
        {"multipart/form-data; boundary=", "", "needs a boundary of 1 to 70 characters"},
        {"multipart/form-data; "
         "boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "", "needs a boundary of 1 to 70 characters"},
        {NULL, "",
         "no line of the body begins with '--' and the boundary of Content-Type (byte 0)"},
        {NULL, "--other--",
         "no line of the body begins with '--' and the boundary of Content-Type (byte 0)"},
        {NULL, "--" BOUNDARY,
         "the boundary must be followed by a line break, or by '--' after the last part (byte 11)"},
        {NULL, "--" BOUNDARY "y\r\n",
         "the boundary must be followed by a line break, or by '--' after the last part (byte 11)"},
        {NULL, "--" BOUNDARY "\r\n", "the body ends within the headers of a part (byte 13)"},
        {NULL, "--" BOUNDARY "\r\n\r\nx\r\n--" BOUNDARY "--",
         "a part has no Content-Disposition: form-data with a name"},
        {NULL, "--" BOUNDARY "\r\nContent-Disposition: form-data\r\n\r\nx\r\n--" BOUNDARY "--",
         "a part has no Content-Disposition: form-data with a name"},
        {NULL,
         "--" BOUNDARY
         "\r\nContent-Disposition: form-database; name=\"grad\"\r\n\r\nx\r\n--" BOUNDARY "--",
         "a part has no Content-Disposition: form-data with a name"},
        {NULL, PART "\"grad\"\r\n\r\ntrue",
         "the body ends within part 'grad': the last boundary is missing (byte 64)"},
        {NULL, PART "\"grad\"\r\n\r\ntrue\r\n--" BOUNDARY,
         "the boundary must be followed by a line break, or by '--' after the last part"},
        {NULL, PART "\"grad\"\r\nContent-Transfer-Encoding: base64\r\n\r\ntrue\r\n--" BOUNDARY "--",
         "a part has Content-Transfer-Encoding 'base64'; it must be 7bit, 8bit or binary"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char headers[256];
        snprintf(headers, sizeof headers, "Content-Type: %s\r\n",
                 cases[i].type ? cases[i].type : "multipart/form-data; boundary=" BOUNDARY);
        ck_assert(http_client_ask(&client, "POST", "/v1/losses/mse", headers, cases[i].body,
                                  strlen(cases[i].body), &response));
        expect_problem(400, cases[i].text);
    }
}
END_TEST

/* RFC 2046 allows these. */
START_TEST(preamble_epilogue_and_other_headers_are_ignored)
{
    struct buffer form = {0};
    buffer_text(&form, "a preamble\r\n--" BOUNDARY
                       " \t\r\ncontent-disposition:form-data; NAME=reduction\r\n"
                       "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nsum\r\n"
                       "--" BOUNDARY
                       "\r\nContent-Disposition: form-data; name=\"gr\\ad\"\r\n\r\ntrue\r\n");
    struct buffer rest = mse_form();
    buffer_append(&form, rest.data, rest.len);
    buffer_free(&rest);
    buffer_text(&form, "--" BOUNDARY "--\r\nan epilogue");
    ck_assert(http_client_ask(
        &client, "POST", "/v1/losses/mse",
        "Content-Type: Multipart/Form-Data; charset=utf-8; Boundary=\"" BOUNDARY "\"\r\n",
        form.data, form.len, &response));
    buffer_free(&form);
    expect_answer("\"grad\":{\"input\":[-1,0,6]}");
}
END_TEST

static TCase *server_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    suite_add_tcase(suite, tcase);
    return tcase;
}

Suite *multipart_suite(void)
{
    Suite *suite = suite_create("multipart");
    CASE_ADD(server_case(suite, "form_fields"), forms_get_json_unless_accept_selects_another_format,
             query_parameters_override_form_parameters, invalid_parts_are_rejected_by_name);
    CASE_ADD(server_case(suite, "form_npy"), arrays_of_every_dtype_order_and_version_are_accepted,
             gradients_of_fortran_arrays_are_row_major,
             malformed_array_is_rejected_with_the_position, truncated_file_is_rejected);
    CASE_ADD(server_case(suite, "form_multipart"), malformed_form_is_rejected_with_the_position,
             preamble_epilogue_and_other_headers_are_ignored);
    return suite;
}
