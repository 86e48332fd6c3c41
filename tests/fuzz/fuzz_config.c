/* Any bytes as a configuration file: loaded or refused with a reason, never half. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "app/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct config config;
    struct buf errors;
    buf_init(&errors, 1 << 20);
    enum status status = config_load_text(&config, "f", slice_of(bytes, len), &errors);
    assert((status == ST_OK) == (errors.len == 0));
    assert((status == ST_OK) == (config.given != NULL));
    assert(status != ST_OK || (config.redis && config.data && config.http.max_connections > 0 &&
                               config.retry.jitter >= 0 && config.retry.jitter <= 1 &&
                               config.retry.schedule.count <= LIMIT_RETRY_STEPS));
    config_free(&config);
    buf_free(&errors);
    return 0;
}
