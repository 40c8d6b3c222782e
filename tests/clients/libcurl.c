/*
 * Loss and gradient with C and libcurl: as JSON, as binary tensors, and what a mistake looks like.
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

struct answer {
    char *bytes; /* owned */
    size_t len;
    long status;
};

static void give_up(const char *what)
{
    fprintf(stderr, "client: %s\n", what);
    exit(EXIT_FAILURE);
}

static size_t take(char *bytes, size_t one, size_t len, void *context)
{
    struct answer *answer = context;
    char *more = realloc(answer->bytes, answer->len + len);
    if (!more)
        return 0; /* which ends the transfer */
    memcpy(more + answer->len, bytes, len);
    answer->bytes = more;
    answer->len += len;
    return one * len;
}

static struct answer post(CURL *curl, const char *server, const char *path, const char *type,
                          const void *body, size_t len)
{
    struct answer answer = {.bytes = NULL};
    char url[512], header[128];
    snprintf(url, sizeof url, "%s%s", server, path);
    snprintf(header, sizeof header, "Content-Type: %s", type);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    const CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        give_up(curl_easy_strerror(code));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_slist_free_all(headers);
    return answer;
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
    struct answer answer = post(curl, server, path, "application/json", fields, strlen(fields));
    json_t *tree = json_loadb(answer.bytes, answer.len, 0, NULL);
    free(answer.bytes);
    if (!tree)
        give_up("the answer is not JSON");
    if (answer.status != 200)
        printf("mistake: %s\n", json_string_value(json_object_get(tree, "detail")));
    return tree;
}

/* A safetensors file each way: no number becomes text. */
static void evaluate_arrays(CURL *curl, const char *server, const float input[3],
                            const float target[3])
{
    static const char header[] =
        "{\"input\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
        "\"target\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]}} ";
    _Static_assert((sizeof header - 1) % 8 == 0, "spaces at its end leave the numbers aligned");
    char body[8 + sizeof header - 1 + 24];
    uint64_t len = sizeof header - 1; /* little-endian, as most machines are */
    memcpy(body, &len, 8);
    memcpy(body + 8, header, len);
    memcpy(body + 8 + len, input, 12);
    memcpy(body + 20 + len, target, 12);
    struct answer answer = post(curl, server, "/v1/losses/mse?grad=true",
                                "application/vnd.safetensors", body, sizeof body);
    if (answer.status != 200 || answer.len < 8)
        give_up("the answer is no safetensors file");
    memcpy(&len, answer.bytes, 8);
    json_t *tensors = json_loadb(answer.bytes + 8, len, 0, NULL);
    json_int_t at[2];
    double loss;
    float gradient[3];
    if (!tensors || json_unpack(tensors, "{s:{s:[I,*]},s:{s:[I,*]}}", "loss", "data_offsets",
                                &at[0], "grad_input", "data_offsets", &at[1]) != 0)
        give_up("a tensor is missing in the answer");
    memcpy(&loss, answer.bytes + 8 + len + at[0], sizeof loss);
    memcpy(gradient, answer.bytes + 8 + len + at[1], sizeof gradient);
    printf("binary loss %.6f\nbinary gradient %.6f %.6f %.6f\n", loss, (double)gradient[0],
           (double)gradient[1], (double)gradient[2]);
    json_decref(tensors);
    free(answer.bytes);
}

int main(int argc, char *argv[])
{
    if (argc != 2)
        give_up("usage: client URL");
    CURL *curl = curl_easy_init(); /* one for all: it keeps the connection */
    if (!curl)
        give_up("no memory");
    json_t *answer = evaluate(curl, argv[1], "/v1/losses/mse",
                              "{\"input\": [2.5, 0, 2], \"target\": [3, -0.5, 2], \"grad\": true}");
    show("loss", json_object_get(answer, "loss"));
    show("gradient", json_object_get(json_object_get(answer, "grad"), "input"));
    json_decref(answer);

    evaluate_arrays(curl, argv[1], (const float[]){2.5F, 0, 2}, (const float[]){3, -0.5F, 2});

    json_decref(evaluate(curl, argv[1], "/v1/losses/cross_entropy",
                         "{\"input\": [[0.2, 0.8]], \"target\": [2]}"));
    curl_easy_cleanup(curl);
    return EXIT_SUCCESS;
}
