/* webhook_health.c - the member `health` of a webhook.
 *
 * It stands wherever one webhook is the answer, and not in lists, whose pages are bounded.
 */
#include "api/webhook_health.h"

#include "base/json_out.h"

static void write_breaker(struct json_out *out, const char *state, const struct health_record *kept)
{
    json_key(out, "breaker");
    json_object_open(out);
    json_member_cstr(out, "state", state);
    if (strcmp(state, breaker_state_name(BREAKER_CLOSED)) != 0) {
        json_member_cstr(out, "reason", kept->reason);
        json_member_u64(out, "timesOpened", kept->opened);
        json_member_time_ms(out, "openedAt", kept->opened_at_ms);
        json_member_time_ms(out, "nextProbeAt", kept->probe_at_ms);
    }
    json_object_close(out);
}

static void write_failing_since(struct json_out *out, const struct health_record *kept)
{
    if (kept->failing_since_ms)
        json_member_time_ms(out, "failingSince", kept->failing_since_ms);
    else
        json_member_null(out, "failingSince");
}

static void write_disabled_reason(struct json_out *out, const struct endpoint_config *config)
{
    json_member_str_or_null(out, "disabledReason",
                            config->active ? SLICE_NULL : slice_str(config->disabled_reason));
}

/* The breaker's times are those that outlive the process; half-open is known of this moment only.
 */
void webhook_health_write(const struct endpoint *endpoint, struct buf *buf)
{
    const struct endpoint_health *health = &endpoint->health;
    struct json_out out;
    json_out_begin(&out, buf);
    json_object_open(&out);
    write_failing_since(&out, &health->kept);
    json_member_u64(&out, "consecutiveFailures", health->consecutive_failures);
    write_disabled_reason(&out, endpoint->config);
    write_breaker(&out, breaker_state_name(endpoint->gate.breaker.state), &health->kept);
    json_member_u64(&out, "inFlight", endpoint->in_flight);
    json_member_u64(&out, "inFlightAllowed", gate_most(endpoint));
    json_object_close(&out);
}

void webhook_health_write_kept(const struct endpoint_config *config,
                               const struct health_record *kept, struct buf *buf)
{
    struct json_out out;
    json_out_begin(&out, buf);
    if (!kept) {
        json_value_raw(&out, SLICE("null"));
        return;
    }
    json_object_open(&out);
    write_failing_since(&out, kept);
    json_member_null(&out, "consecutiveFailures");
    write_disabled_reason(&out, config);
    write_breaker(&out, kept->breaker[0] ? kept->breaker : breaker_state_name(BREAKER_CLOSED),
                  kept);
    json_member_null(&out, "inFlight");
    json_member_null(&out, "inFlightAllowed");
    json_object_close(&out);
}
