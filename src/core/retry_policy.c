/* retry_policy.c - retry policies between JSON and steps.
 *
 * The exponential form is unrolled into steps when it is read: the data path then knows one form,
 * and whoever reads an endpoint sees when it will be tried again instead of a formula.
 *
 * `retryOn` refuses what could never act: a 2xx is a success, and 410 always means gone.
 */
#include "core/retry_policy.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json_out.h"
#include "base/parse.h"
#include "core/json_field.h"

#define CODE "invalid_retry_policy"

static const char *const schedule_form[] = {"schedule"};
static const char *const exponential_form[] = {"maxAttempts", "initialInterval", "multiplier",
                                               "maxInterval"};
static const char *const all_names[] = {
    "schedule", "maxAttempts", "initialInterval", "multiplier", "maxInterval", "jitter", "retryOn"};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { INITIAL_MS = 5000, MAX_INTERVAL_MS = 36000000, MULTIPLIER_MAX = 100 };

static bool has_any(json_t *object, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_object_get(object, names[i]))
            return true;
    return false;
}

/* ---- The schedule --------------------------------------------------------------------------- */

static enum status parse_schedule(json_t *value, struct retry_policy *policy,
                                  struct field_error *error)
{
    if (!json_is_array(value) || json_array_size(value) > LIMIT_RETRY_STEPS)
        return field_refuse(error, CODE, "retryPolicy.schedule",
                            "Give a list of at most %d delays such as \"30s\".", LIMIT_RETRY_STEPS);
    policy->step_count = (uint32_t)json_array_size(value);
    for (uint32_t i = 0; i < policy->step_count; i++) {
        if (json_field_duration(json_array_get(value, i), 0, LIMIT_RETRY_STEP_MS,
                                &policy->steps_ms[i])) {
            char field[48];
            snprintf(field, sizeof(field), "retryPolicy.schedule[%u]", i);
            return field_refuse(error, CODE, field,
                                "Give a delay of at most 30 days, such as \"30s\", \"5m\", \"2h\" "
                                "or whole milliseconds.");
        }
    }
    return ST_OK;
}

static enum status parse_interval(json_t *policy, const char *name, uint64_t min_ms, uint64_t *ms,
                                  struct field_error *error)
{
    json_t *value = json_object_get(policy, name);
    if (!value || json_field_duration(value, min_ms, LIMIT_RETRY_STEP_MS, ms) == ST_OK)
        return ST_OK;
    char field[48];
    snprintf(field, sizeof(field), "retryPolicy.%s", name);
    return field_refuse(error, CODE, field,
                        "Give a delay such as \"30s\" or whole milliseconds, of at most 30 days%s.",
                        min_ms ? " and not below initialInterval" : "");
}

static enum status parse_exponential(json_t *value, struct retry_policy *policy,
                                     struct field_error *error)
{
    uint64_t initial_ms = INITIAL_MS;
    enum status status = parse_interval(value, "initialInterval", 0, &initial_ms, error);
    if (status)
        return status;
    uint64_t max_ms = initial_ms > MAX_INTERVAL_MS ? initial_ms : MAX_INTERVAL_MS;
    status = parse_interval(value, "maxInterval", initial_ms, &max_ms, error);
    if (status)
        return status;

    uint32_t retries = policy->step_count; /* the default's */
    json_t *attempts = json_object_get(value, "maxAttempts");
    if (attempts) {
        json_int_t number = json_is_integer(attempts) ? json_integer_value(attempts) : 0;
        if (number < 1 || number > LIMIT_RETRY_STEPS + 1)
            return field_refuse(
                error, CODE, "retryPolicy.maxAttempts",
                "Give a whole number from 1 to %d; it counts the first attempt too.",
                LIMIT_RETRY_STEPS + 1);
        retries = (uint32_t)number - 1;
    }

    double factor = 2;
    json_t *multiplier = json_object_get(value, "multiplier");
    if (multiplier) {
        factor = json_number_value(multiplier);
        if (!json_is_number(multiplier) || !(factor >= 1 && factor <= MULTIPLIER_MAX))
            return field_refuse(error, CODE, "retryPolicy.multiplier",
                                "Give a number from 1 to %d.", MULTIPLIER_MAX);
    }
    retry_policy_exponential(policy, retries, initial_ms, factor, max_ms);
    return ST_OK;
}

/* ---- retryOn -------------------------------------------------------------------------------- */

/* A whole number, or a string of three digits; 0: neither. */
static int status_of(json_t *value)
{
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        return number >= 100 && number <= 599 ? (int)number : 0;
    }
    uint64_t number;
    if (!json_is_string(value) || json_string_length(value) != 3 ||
        parse_u64(json_field_text(value), &number))
        return 0;
    return number >= 100 && number <= 599 ? (int)number : 0;
}

/* The n of "nxx"; 0: it is none. */
static int class_of(const char *text)
{
    return text[0] >= '1' && text[0] <= '5' && strcmp(text + 1, "xx") == 0 ? text[0] - '0' : 0;
}

static enum outbound_error error_of(const char *text)
{
    for (enum outbound_error error = OUTBOUND_DNS; error < OUTBOUND_INTERNAL; error++)
        if (strcmp(text, outbound_error_name(error)) == 0)
            return error;
    return OUTBOUND_OK;
}

static enum status take_status(struct retry_on *on, int status_code, const char *field,
                               struct field_error *error)
{
    if (status_code / 100 == 2 || status_code == 410)
        return field_refuse(error, CODE, field,
                            "Leave it out: a 2xx is a success, and 410 disables the endpoint.");
    for (size_t i = 0; i < on->status_count; i++)
        if (on->statuses[i] == status_code)
            return ST_OK;
    if (on->status_count == LIMIT_RETRY_STATUSES)
        return field_refuse(error, CODE, "retryPolicy.retryOn",
                            "Give at most %d single statuses; \"5xx\" names a whole class.",
                            LIMIT_RETRY_STATUSES);
    on->statuses[on->status_count++] = (uint16_t)status_code;
    return ST_OK;
}

static enum status take_retry_on(struct retry_on *on, json_t *value, const char *field,
                                 struct field_error *error)
{
    int status_code = status_of(value);
    if (status_code)
        return take_status(on, status_code, field, error);

    const char *text = json_is_string(value) ? json_string_value(value) : "";
    int class = class_of(text);
    if (class == 2)
        return field_refuse(error, CODE, field, "Leave it out: a 2xx is a success.");
    if (class) {
        on->status_classes |= (uint8_t)(1 << class);
        return ST_OK;
    }
    enum outbound_error named = error_of(text);
    if (named == OUTBOUND_OK)
        return field_refuse(error, CODE, field,
                            "Give a status (429), a class of statuses (\"5xx\"), or one of dns, "
                            "connection_refused, connection_reset, unreachable, timeout, tls, "
                            "protocol, response_too_large, address_denied.");
    on->errors |= (uint16_t)(1 << named);
    return ST_OK;
}

static enum status parse_retry_on(json_t *value, struct retry_on *on, struct field_error *error)
{
    enum { ITEMS_MAX = LIMIT_RETRY_STATUSES * 2 };
    if (!json_is_array(value) || json_array_size(value) > ITEMS_MAX)
        return field_refuse(error, CODE, "retryPolicy.retryOn",
                            "Give a list such as [\"5xx\", 429, \"timeout\"] of at most %d items.",
                            ITEMS_MAX);
    *on = (struct retry_on){.given = true};
    for (size_t i = 0; i < json_array_size(value); i++) {
        char field[48];
        snprintf(field, sizeof(field), "retryPolicy.retryOn[%zu]", i);
        enum status status = take_retry_on(on, json_array_get(value, i), field, error);
        if (status)
            return status;
    }
    return ST_OK;
}

/* ---- The whole ------------------------------------------------------------------------------ */

static enum status parse_steps(json_t *value, struct retry_policy *policy,
                               struct field_error *error)
{
    json_t *schedule = json_object_get(value, "schedule");
    bool exponential = has_any(value, exponential_form, COUNT(exponential_form));
    if (schedule && exponential)
        return field_refuse(error, CODE, "retryPolicy",
                            "Give either schedule or maxAttempts, initialInterval, multiplier and "
                            "maxInterval, not both.");
    if (schedule)
        return parse_schedule(schedule, policy, error);
    return exponential ? parse_exponential(value, policy, error) : ST_OK;
}

enum status retry_policy_parse(json_t *value, const struct retry_policy *defaults,
                               struct retry_policy *policy, struct field_error *error)
{
    if (!json_is_object(value))
        return field_refuse(error, CODE, "retryPolicy",
                            "Give an object such as {\"schedule\": [\"30s\", \"5m\"]}.");
    enum status status =
        json_field_known(value, "retryPolicy.", all_names, COUNT(all_names), error);
    if (status)
        return status;

    *policy = *defaults;
    status = parse_steps(value, policy, error);
    if (status)
        return status;

    json_t *jitter = json_object_get(value, "jitter");
    if (jitter) {
        policy->jitter = json_number_value(jitter);
        if (!json_is_number(jitter) || !(policy->jitter >= 0 && policy->jitter <= 1))
            return field_refuse(error, CODE, "retryPolicy.jitter",
                                "Give a fraction from 0 to 1, such as 0.2.");
    }
    json_t *retry_on = json_object_get(value, "retryOn");
    return retry_on ? parse_retry_on(retry_on, &policy->on, error) : ST_OK;
}

void retry_policy_switch_form(json_t *old, json_t *patch)
{
    bool schedule = has_any(patch, schedule_form, COUNT(schedule_form));
    bool exponential = has_any(patch, exponential_form, COUNT(exponential_form));
    if (schedule == exponential)
        return;
    const char *const *other = schedule ? exponential_form : schedule_form;
    size_t count = schedule ? COUNT(exponential_form) : COUNT(schedule_form);
    for (size_t i = 0; i < count; i++)
        json_object_del(old, other[i]);
}

/* ---- Out again ------------------------------------------------------------------------------ */

static void render_retry_on(const struct retry_on *on, struct json_out *out)
{
    json_key(out, "retryOn");
    json_array_open(out);
    for (int class = 1; class <= 5; class ++) {
        if (on->status_classes >> class & 1) {
            char text[] = {(char)('0' + class), 'x', 'x', '\0'};
            json_value_str(out, text);
        }
    }
    for (size_t i = 0; i < on->status_count; i++)
        json_value_u64(out, on->statuses[i]);
    for (enum outbound_error error = OUTBOUND_DNS; error < OUTBOUND_INTERNAL; error++)
        if (on->errors >> error & 1)
            json_value_str(out, outbound_error_name(error));
    json_array_close(out);
}

void retry_policy_render(const struct retry_policy *policy, struct json_out *out)
{
    json_object_open(out);
    json_key(out, "schedule");
    json_array_open(out);
    for (uint32_t i = 0; i < policy->step_count; i++)
        json_value_duration_ms(out, policy->steps_ms[i]);
    json_array_close(out);
    char jitter[32];
    snprintf(jitter, sizeof(jitter), "%.15g", policy->jitter);
    json_member_raw(out, "jitter", slice_str(jitter));
    if (policy->on.given)
        render_retry_on(&policy->on, out);
    json_object_close(out);
}
