/* feed_request.c - which rejected entries a request is about: {"ids":[…]} or {"all":true}. */
#include "api/feed_request.h"

#include <jansson.h>

#include "base/json_scan.h"
#include "core/json_field.h"

static enum status read_ids(json_t *list, struct stream_id *ids, struct field_error *error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *id = json_array_get(list, i);
        if (!json_is_string(id) || stream_id_parse(json_field_text(id), &ids[i]) != ST_OK)
            return field_refuse(error, "invalid_ids", "ids",
                                "ids[%zu] must be an id of a rejected entry.", i);
    }
    return ST_OK;
}

enum status feed_request_read(struct slice text, struct stream_id ids[FEED_REQUEST_IDS_MOST],
                              size_t *count, struct field_error *error)
{
    static const char *const names[] = {"ids", "all"};
    struct json_error problem;
    json_error_t json;
    if (json_check(text, &problem) != ST_OK)
        return field_refuse(error, json_field_fault(text), "",
                            "The body must be a JSON object: %s at byte %zu.", problem.reason,
                            problem.offset);
    json_t *body = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &json);
    json_t *list = json_object_get(body, "ids"), *all = json_object_get(body, "all");
    enum status status = ST_OK;
    *count = json_array_size(list);
    if (!json_is_object(body))
        status = field_refuse(error, "invalid_json", "", "The body must be a JSON object.");
    else
        status = json_field_known(body, "", names, 2, error);
    if (status == ST_OK && !list == !all)
        status = field_refuse(error, "missing_field", "ids",
                              "Say which rejected entries: {\"ids\":[…]} or {\"all\":true}.");
    else if (status == ST_OK && all && !json_is_true(all))
        status = field_refuse(error, "invalid_all", "all", "all is true, in place of ids.");
    else if (status == ST_OK && list && (*count == 0 || *count > FEED_REQUEST_IDS_MOST))
        status = field_refuse(error, "invalid_ids", "ids", "ids must be a list of 1 to %d ids.",
                              FEED_REQUEST_IDS_MOST);
    else if (status == ST_OK)
        status = read_ids(list, ids, error);
    json_decref(body);
    return status;
}
