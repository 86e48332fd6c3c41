/* webhook_health.c - the member `health` of a webhook.
 *
 * It stands wherever one webhook is the answer, and not in lists, whose pages are bounded.
 */
#include "api/webhook_health.h"

#include "base/json_out.h"

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
    json_object_close(&out);
}
