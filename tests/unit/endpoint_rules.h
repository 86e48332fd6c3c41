/* endpoint_rules.h - rules for tests that make endpoints: strict about addresses and http. */
#ifndef TROTLINE_TESTS_ENDPOINT_RULES_H
#define TROTLINE_TESTS_ENDPOINT_RULES_H

#include "core/endpoint_config.h"

static const struct netguard test_guard;

/* The caller frees rules.schemes. */
static struct endpoint_rules test_rules_new(void)
{
    struct endpoint_rules rules = {.schemes = scheme_set_new(),
                                   .guard = &test_guard,
                                   .key_prefix = "tl",
                                   .default_timeout_ms = 15000,
                                   .timeout_max_ms = 60000,
                                   .default_max_in_flight = 8,
                                   .max_in_flight_max = 64};
    assert_non_null(rules.schemes);
    retry_policy_default(&rules.default_retry);
    return rules;
}

static void test_rules_free(struct endpoint_rules *rules)
{
    scheme_set_free((struct scheme_set *)(uintptr_t)rules->schemes);
}

#endif
