/* Health, metadata and statistics of the Open Inference Protocol v2. */
#include "http/formats/oip_fixture.h"
#include "loss.h"
#include "suites.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

START_TEST(health_is_reported_by_status_and_body)
{
    oip_get("/v2/health/live");
    ck_assert_int_eq(response.status, 200);
    ck_assert(json_is_true(json_object_get(oip_tree, "live")));
    oip_get("/v2/health/ready");
    ck_assert_int_eq(response.status, 200);
    ck_assert(json_is_true(json_object_get(oip_tree, "ready")));
    oip_get("/v2/models/MSELoss/ready");
    ck_assert_int_eq(response.status, 200);
    ck_assert(json_is_true(json_object_get(oip_tree, "ready")));
    oip_get("/v2/models/mse/versions/1/ready");
    ck_assert_int_eq(response.status, 200);
    oip_get("/v2/models/other/ready");
    ck_assert_int_eq(response.status, 404);
}
END_TEST

START_TEST(server_metadata_lists_the_extensions)
{
    for (int i = 0; i < 2; i++) {
        oip_get(i == 0 ? "/v2" : "/v2/");
        ck_assert_str_eq(json_string_value(json_object_get(oip_tree, "name")), "lossd");
        ck_assert_str_eq(json_string_value(json_object_get(oip_tree, "version")), LOSS_VERSION);
        ck_assert_str_eq(
            json_string_value(json_array_get(json_object_get(oip_tree, "extensions"), 0)),
            "binary_tensor_data");
    }
}
END_TEST

static bool has_named(const json_t *list, const char *name)
{
    size_t i;
    json_t *each;
    json_array_foreach(list, i, each) if (strcmp(json_string_value(json_object_get(each, "name")),
                                                 name) == 0) return true;
    return false;
}

START_TEST(every_loss_is_a_model_with_its_tensors)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    char path[OIP_NAME], name[OIP_NAME];
    for (int config = 0; config < 2; config++) {
        snprintf(path, sizeof path, "/v2/models/%s%s", loss->name, config ? "/config" : "");
        oip_get(path);
        ck_assert_str_eq(json_string_value(json_object_get(oip_tree, "name")), loss->name);
        ck_assert_str_eq(json_string_value(json_object_get(oip_tree, "platform")), "lossd_loss");
        const json_t *inputs = json_object_get(oip_tree, config ? "input" : "inputs");
        const json_t *outputs = json_object_get(oip_tree, config ? "output" : "outputs");
        ck_assert_uint_eq(json_array_size(inputs), (size_t)loss_tensor_specs(loss));
        ck_assert(has_named(outputs, "loss"));
        for (int k = 0; k < loss_tensor_specs(loss); k++) {
            snprintf(name, sizeof name, "grad_%s", loss->tensors[k].name);
            ck_assert(has_named(inputs, loss->tensors[k].name));
            ck_assert(has_named(outputs, name) == loss->tensors[k].differentiable);
        }
    }
    oip_ask("POST", "/v2/repository/index", NULL, "", 0);
    ck_assert(has_named(oip_tree, loss->name));
    ck_assert_uint_eq(json_array_size(oip_tree), loss_count());
    oip_ask("POST", "/v2/repository/index", NULL, "{\"ready\":true}", 14);
    ck_assert_uint_eq(json_array_size(oip_tree), loss_count());
}
END_TEST

static json_t *stats_of(const char *path)
{
    oip_get(path);
    return json_array_get(json_object_get(oip_tree, "model_stats"), 0);
}

static int64_t times(const json_t *stats, const char *what)
{
    return oip_integer_at(json_object_get(json_object_get(stats, "inference_stats"), what),
                          "count");
}

START_TEST(statistics_count_requests_of_all_protocols)
{
    ck_assert_int_eq(oip_integer_at(stats_of("/v2/models/mse/stats"), "last_inference"), 0);
    oip_infer_json("mse", "{" THREE "}");
    ck_assert(http_client_ask(&client, "POST", "/v1/losses/MSELoss",
                              "Content-Type: application/json\r\n",
                              "{\"input\":[1],\"target\":[2]}", 26, &response));
    oip_infer_json("mse", "{}");
    json_t *stats = stats_of("/v2/models/mse/versions/1/stats");
    ck_assert_str_eq(json_string_value(json_object_get(stats, "version")), "1");
    ck_assert_int_eq(oip_integer_at(stats, "inference_count"), 2);
    ck_assert_int_gt(oip_integer_at(stats, "last_inference"), 1600000000000);
    ck_assert_int_eq(times(stats, "success"), 2);
    ck_assert_int_eq(times(stats, "compute_infer"), 2);
    ck_assert_int_eq(times(stats, "fail"), 1);
    ck_assert_int_eq(times(stats, "queue"), 3);
    ck_assert_int_gt(
        oip_integer_at(json_object_get(json_object_get(stats, "inference_stats"), "success"), "ns"),
        oip_integer_at(json_object_get(json_object_get(stats, "inference_stats"), "compute_infer"),
                       "ns"));
    oip_get("/v2/models/stats");
    ck_assert_uint_eq(json_array_size(json_object_get(oip_tree, "model_stats")), loss_count());
}
END_TEST

Suite *oip_metadata_suite(void)
{
    Suite *suite = suite_create("oip_metadata");
    TCase *tcase =
        SUITE_ADD(suite, "oip_metadata", health_is_reported_by_status_and_body,
                  server_metadata_lists_the_extensions, statistics_count_requests_of_all_protocols);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, oip_setup, oip_teardown);
    tcase_add_loop_test(tcase, every_loss_is_a_model_with_its_tensors, 0, (int)loss_count());
    return suite;
}
