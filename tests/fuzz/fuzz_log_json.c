/* fuzz_log_json.c - any line of the log becomes valid JSON, and a quoted value is read back whole.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/log.h"
#include "base/log_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct buf object, quoted, expected;
    buf_init(&object, 16 * 1024 * 1024);
    buf_add_str(&object, "{\"first\":0");
    log_json_fields(&object, text);
    buf_add_char(&object, '}');
    assert(buf_status(&object) == ST_OK && json_check(buf_slice(&object), NULL) == ST_OK);
    buf_free(&object);

    if (size > 100) /* longer ones are cut by log_quote() */
        return 0;
    buf_init(&object, 4096);
    buf_init(&quoted, 4096);
    buf_init(&expected, 4096);
    buf_addf(&quoted, "key=%s last=1", log_quote(text));
    log_json_fields(&object, buf_slice(&quoted));
    buf_add_str(&expected, ",\"key\":");
    json_out_string(&expected, text);
    buf_add_str(&expected, ",\"last\":1");
    assert(slice_eq(buf_slice(&object), buf_slice(&expected)));
    buf_free(&object);
    buf_free(&quoted);
    buf_free(&expected);
    return 0;
}
