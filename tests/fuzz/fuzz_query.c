/* fuzz_query.c - queries and media types: values stay within their buffers and are texts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/media_type.h"
#include "api/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct query_param params[] = {{.name = "limit"}, {.name = "cursor"}, {.name = "a"}};
    struct field_error error;
    struct slice text = slice_of(data, size);
    if (query_read(text, params, 3, &error) == ST_OK)
        for (size_t i = 0; i < 3; i++)
            if (params[i].given && strlen(params[i].value) != params[i].len)
                abort();
    struct slice essence = media_type_essence(text);
    if (media_type_is_json(text) && essence.len < strlen("application/json"))
        abort();
    return 0;
}
