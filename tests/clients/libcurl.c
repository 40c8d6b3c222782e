/*
 * Loss and gradient with C and libcurl: as JSON, as binary tensors, and an error.
 *
 *     cc -o client tests/clients/libcurl.c $(pkg-config --cflags --libs libcurl jansson)
 *     ./client http://127.0.0.1:8080
 */
#include <curl/curl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct response {
    char *bytes; /* owned */
    size_t len;
    long status;
};

static void fail(const char *what)
{
    fprintf(stderr, "client: %s\n", what);
    exit(EXIT_FAILURE);
}

static size_t take(char *bytes, size_t one, size_t len, void *context)
{
    struct response *response = context;
    char *more = realloc(response->bytes, response->len + len);
    if (!more)
        return 0; /* aborts the transfer */
    memcpy(more + response->len, bytes, len);
    response->bytes = more;
    response->len += len;
    return one * len;
}

static struct response post(CURL *curl, const char *server, const char *path, const char *type,
                            const void *body, size_t len)
{
    struct response response = {.bytes = NULL};
    char url[512], header[128];
    snprintf(url, sizeof url, "%s%s", server, path);
    snprintf(header, sizeof header, "Content-Type: %s", type);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response);
    const CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        fail(curl_easy_strerror(code));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
    curl_slist_free_all(headers);
    return response;
}

/* A number, or an array of them. */
static void show(const char *name, const json_t *values)
{
    printf("%s", name);
    for (size_t i = 0; i < json_array_size(values); i++)
        printf(" %.6f", json_number_value(json_array_get(values, i)));
    if (json_is_number(values))
        printf(" %.6f", json_number_value(values));
    printf("\n");
}

static json_t *evaluate(CURL *curl, const char *server, const char *path, const char *fields)
{
    struct response response = post(curl, server, path, "application/json", fields, strlen(fields));
    json_t *tree = json_loadb(response.bytes, response.len, 0, NULL);
    free(response.bytes);
    if (!tree)
        fail("the response is not JSON");
    if (response.status != 200)
        printf("error: %s\n", json_string_value(json_object_get(tree, "detail")));
    return tree;
}

/* Sends and receives safetensors files: numbers are never converted to text. */
static void evaluate_arrays(CURL *curl, const char *server, const float input[3],
                            const float target[3])
{
    static const char header[] =
        "{\"input\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
        "\"target\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]}} ";
    _Static_assert((sizeof header - 1) % 8 == 0, "spaces at the end align the data");
    char body[8 + sizeof header - 1 + 24];
    uint64_t len = sizeof header - 1; /* little-endian, like most machines */
    memcpy(body, &len, 8);
    memcpy(body + 8, header, len);
    memcpy(body + 8 + len, input, 12);
    memcpy(body + 20 + len, target, 12);
    struct response response = post(curl, server, "/v1/losses/mse?grad=true",
                                    "application/vnd.safetensors", body, sizeof body);
    if (response.status != 200 || response.len < 8)
        fail("the response is not a safetensors file");
    memcpy(&len, response.bytes, 8);
    json_t *tensors = json_loadb(response.bytes + 8, len, 0, NULL);
    json_int_t at[2];
    double loss;
    float gradient[3];
    if (!tensors || json_unpack(tensors, "{s:{s:[I,*]},s:{s:[I,*]}}", "loss", "data_offsets",
                                &at[0], "grad_input", "data_offsets", &at[1]) != 0)
        fail("the response lacks a tensor");
    memcpy(&loss, response.bytes + 8 + len + at[0], sizeof loss);
    memcpy(gradient, response.bytes + 8 + len + at[1], sizeof gradient);
    printf("binary loss %.6f\nbinary gradient %.6f %.6f %.6f\n", loss, (double)gradient[0],
           (double)gradient[1], (double)gradient[2]);
    json_decref(tensors);
    free(response.bytes);
}

int main(int argc, char *argv[])
{
    if (argc != 2)
        fail("usage: client URL");
    CURL *curl = curl_easy_init(); /* one handle for all requests keeps the connection */
    if (!curl)
        fail("no memory");
    json_t *response =
        evaluate(curl, argv[1], "/v1/losses/mse",
                 "{\"input\": [2.5, 0, 2], \"target\": [3, -0.5, 2], \"grad\": true}");
    show("loss", json_object_get(response, "loss"));
    show("gradient", json_object_get(json_object_get(response, "grad"), "input"));
    json_decref(response);

    evaluate_arrays(curl, argv[1], (const float[]){2.5F, 0, 2}, (const float[]){3, -0.5F, 2});

    json_decref(evaluate(curl, argv[1], "/v1/losses/cross_entropy",
                         "{\"input\": [[0.2, 0.8]], \"target\": [2]}"));
    curl_easy_cleanup(curl);
    return EXIT_SUCCESS;
}
