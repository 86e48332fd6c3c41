/* webhook_health.c - the member `health` of a webhook.
 *
 * It stands wherever one webhook is the answer, and not in lists, whose pages are bounded.
 */
#include "api/webhook_health.h"

#include "base/json_out.h"

/* States and times are those that outlive the process; half-open is known of this moment only. */
static void write_breaker(const struct endpoint *endpoint, struct json_out *out)
{
    const struct health_record *kept = &endpoint->health.kept;
    const struct breaker *breaker = &endpoint->gate.breaker;
    json_key(out, "breaker");
    json_object_open(out);
    json_member_cstr(out, "state", breaker_state_name(breaker->state));
    if (breaker->state != BREAKER_CLOSED) {
        json_member_cstr(out, "reason", kept->reason);
        json_member_u64(out, "timesOpened", kept->opened);
        json_member_time_ms(out, "openedAt", kept->opened_at_ms);
        json_member_time_ms(out, "nextProbeAt", kept->probe_at_ms);
    }
    json_object_close(out);
}

void webhook_health_write(const struct endpoint *endpoint, struct buf *buf)
{
    const struct endpoint_health *health = &endpoint->health;
    const struct endpoint_config *config = endpoint->config;
    struct json_out out;
    json_out_begin(&out, buf);
    json_object_open(&out);
    if (health->kept.failing_since_ms)
        json_member_time_ms(&out, "failingSince", health->kept.failing_since_ms);
    else
        json_member_null(&out, "failingSince");
    json_member_u64(&out, "consecutiveFailures", health->consecutive_failures);
    json_member_str_or_null(&out, "disabledReason",
                            config->active ? SLICE_NULL : slice_str(config->disabled_reason));
    write_breaker(endpoint, &out);
    uint32_t most = gate_most(endpoint);
    json_member_u64(&out, "inFlight", endpoint->in_flight);
    json_member_u64(&out, "inFlightAllowed", most);
    json_object_close(&out);
}
