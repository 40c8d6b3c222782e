/* A server, and requests of the Open Inference Protocol v2. */
#ifndef TESTS_OIP_FIXTURE_H
#define TESTS_OIP_FIXTURE_H

#include "support/server_fixture.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { OIP_NAME = 64 }; /* the size of paths and names */

/* The JSON of the last response. */
extern json_t *oip_tree;

/* The checked fixture of a test case. The server has --max-body=1M. */
void oip_setup(void);
void oip_teardown(void);

/* Reads the JSON of the response. Returns its length; binary data may follow it. */
size_t oip_read_tree(void);
/* Sends a request without Content-Type, as tritonclient does. Returns the length of the JSON in the
 * response. */
size_t oip_ask(const char *method, const char *path, const char *headers, const char *body,
               size_t len);
void oip_get(const char *path);
/* Sends a request to infer. */
void oip_infer_json(const char *model, const char *json);
/* Sends a request to infer whose JSON is followed by bytes. Returns the length of the JSON in the
 * response. */
size_t oip_infer_bytes(const char *model, const char *json, const void *bytes, size_t len);

/* Checks that the response is an error that contains `text`. */
void oip_expect_error(int status, const char *text);

/* Returns an output of the response, which must have this name and datatype. */
json_t *oip_output_at(size_t index, const char *name, const char *datatype);
/* Returns an element of the data of an output. */
double oip_data_at(const json_t *output, size_t index);
/* Returns the value of an integer member of an object. */
int64_t oip_integer_at(const json_t *object, const char *name);

/* An input as JSON. `rest` is its "data" member, or BYTES(count) if its data follows the JSON. */
#define INPUT(name, shape, datatype, rest)                                                         \
    "{\"name\":\"" name "\",\"shape\":" shape ",\"datatype\":\"" datatype "\"," rest "}"
#define BYTES(count) "\"parameters\":{\"binary_data_size\":" count "}"
/* The inputs of a request. */
#define INPUTS(first, second) "\"inputs\":[" first "," second "]"

/* The inputs of mse, in JSON and as bytes. */
#define THREE                                                                                      \
    INPUTS(INPUT("input", "[3]", "FP32", "\"data\":[0.5,0.25,2]"),                                 \
           INPUT("target", "[3]", "FP32", "\"data\":[1,0.25,-1]"))
#define THREE_BYTES                                                                                \
    INPUTS(INPUT("input", "[3]", "FP32", BYTES("12")), INPUT("target", "[3]", "FP32", BYTES("12")))

extern const float oip_three[6];

#endif
