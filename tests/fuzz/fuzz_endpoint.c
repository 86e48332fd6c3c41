/* fuzz_endpoint.c - bodies of POST /api/webhooks: whatever is accepted is shown as JSON, loads
 * again from what is stored, and can be patched with itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "core/endpoint_config.h"

static struct endpoint_rules rules;

static void check(bool truth)
{
    if (!truth)
        abort();
}

static void check_rendered(const struct endpoint_config *a, const struct endpoint_config *b)
{
    struct buf left, right;
    buf_init(&left, 16 * 1024 * 1024);
    buf_init(&right, 16 * 1024 * 1024);
    endpoint_config_render(a, "ep_x", true, &left);
    endpoint_config_render(b, "ep_x", true, &right);
    check(json_check(buf_slice(&left), NULL) == ST_OK);
    check(slice_eq(buf_slice(&left), buf_slice(&right)));
    buf_free(&left);
    buf_free(&right);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    static const struct netguard guard;
    rules = (struct endpoint_rules){.schemes = scheme_set_new(),
                                    .guard = &guard,
                                    .key_prefix = "tl",
                                    .default_timeout_ms = 15000,
                                    .timeout_max_ms = 60000,
                                    .default_max_in_flight = 8,
                                    .max_in_flight_max = 64};
    check(rules.schemes != NULL);
    retry_policy_default(&rules.default_retry);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of(data, size);
    struct endpoint_config *config, *loaded, *patched;
    struct field_error error = {.code = NULL};

    if (endpoint_config_create(&rules, body, 1000, &config, &error)) {
        check(error.code && error.message[0] != '\0');
        check(memchr(error.field, '\0', sizeof(error.field)) != NULL);
        return 0;
    }
    check(endpoint_config_load(&rules, slice_str(config->document), &loaded, &error) == ST_OK);
    check_rendered(config, loaded);
    check(strcmp(config->document, loaded->document) == 0);
    check(endpoint_config_change(&rules, loaded, ENDPOINT_PATCH, body, 2000, &patched, &error) ==
          ST_OK);
    endpoint_config_put(patched);
    endpoint_config_put(loaded);
    endpoint_config_put(config);
    return 0;
}
