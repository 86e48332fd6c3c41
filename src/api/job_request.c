/* job_request.c - from the body of a request to what a job is to do.
 *
 *     webhookId eventIds errorClass    of dead letters only
 *     type since until rate            of all
 *     what                             of one webhook's: "dead_letters" or "events"
 *     all                              in place of a selection
 */
#include "api/job_request.h"

#include <stdio.h>

#include <jansson.h>

#include "base/json_scan.h"
#include "base/timefmt.h"
#include "core/endpoint_config.h"
#include "core/json_field.h"

enum { EVENT_IDS_MOST = 1000, RATE_MOST = 1000000 };

static enum status take_webhook(json_t *body, struct job_spec *spec, struct field_error *error)
{
    json_t *value = json_object_get(body, "webhookId");
    struct id id;
    if (!value)
        return ST_OK;
    if (!json_is_string(value) || id_parse(json_field_text(value), "ep_", &id) != ST_OK)
        return field_refuse(error, "invalid_webhook_id", "webhookId",
                            "webhookId must be a webhook's id.");
    id_format(spec->endpoint, "ep_", &id);
    return ST_OK;
}

static enum status take_events(json_t *body, struct job_spec *spec, struct field_error *error)
{
    json_t *list = json_object_get(body, "eventIds");
    size_t count = json_array_size(list);
    if (!list)
        return ST_OK;
    if (!json_is_array(list) || count == 0 || count > EVENT_IDS_MOST)
        return field_refuse(error, "invalid_event_ids", "eventIds",
                            "eventIds must be a list of 1 to %d events' ids or uids.",
                            EVENT_IDS_MOST);
    enum status status = job_spec_events(spec, count);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        struct slice text = json_field_text(json_array_get(list, i)); /* empty: not a string */
        if (text.len == 0 || text.len > LIMIT_UID_BYTES)
            return field_refuse(error, "invalid_event_ids", "eventIds",
                                "eventIds[%zu] must be an event's id, or your uid for it.", i);
        status = job_spec_event(spec, i, text);
    }
    return status;
}

static enum status take_type(json_t *body, struct job_spec *spec, struct field_error *error)
{
    json_t *value = json_object_get(body, "type");
    if (!value)
        return ST_OK;
    if (!json_is_string(value) || !event_type_valid(json_field_text(value)))
        return field_refuse(error, "invalid_type", "type", "type must be an event type.");
    snprintf(spec->type, sizeof(spec->type), "%s", json_string_value(value));
    return ST_OK;
}

static enum status take_error(json_t *body, struct job_spec *spec, struct field_error *error)
{
    json_t *value = json_object_get(body, "errorClass");
    if (!value)
        return ST_OK;
    if (!json_is_string(value) || !job_error_valid(json_field_text(value)))
        return field_refuse(error, "invalid_error_class", "errorClass",
                            "errorClass must be http_status, endpoint_disabled, or an error that "
                            "retryOn can name, such as timeout.");
    snprintf(spec->error, sizeof(spec->error), "%s", json_string_value(value));
    return ST_OK;
}

static enum status take_time(json_t *body, const char *name, uint64_t *ms,
                             struct field_error *error)
{
    json_t *value = json_object_get(body, name);
    if (value &&
        (!json_is_string(value) || time_parse_rfc3339(json_field_text(value), ms) != ST_OK))
        return field_refuse(error, "invalid_time", name, "%s must be a time as in RFC 3339.", name);
    return ST_OK;
}

static enum status take_times(json_t *body, struct job_spec *spec, struct field_error *error)
{
    enum status status = take_time(body, "since", &spec->since_ms, error);
    if (status == ST_OK)
        status = take_time(body, "until", &spec->until_ms, error);
    if (status == ST_OK && spec->since_ms > spec->until_ms)
        return field_refuse(error, "invalid_time", "until", "until must not be before since.");
    return status;
}

static enum status take_rate(json_t *body, struct job_spec *spec, struct field_error *error)
{
    json_t *value = json_object_get(body, "rate");
    if (!value)
        return ST_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > RATE_MOST)
        return field_refuse(error, "invalid_rate", "rate",
                            "rate must be a whole number of deliveries a second, 1 to %d.",
                            RATE_MOST);
    spec->rate = (uint64_t)json_integer_value(value);
    return ST_OK;
}

static enum status take_what(json_t *body, struct job_spec *spec, struct field_error *error)
{
    json_t *value = json_object_get(body, "what");
    struct slice name = json_field_text(value);
    if (!value || slice_eq(name, slice_str(job_what_name(JOB_DEAD_LETTERS))))
        return ST_OK;
    if (!slice_eq(name, slice_str(job_what_name(JOB_EVENTS))))
        return field_refuse(error, "invalid_what", "what", "what must be dead_letters or events.");
    spec->what = JOB_EVENTS;
    if (!json_object_get(body, "since"))
        return field_refuse(error, "missing_field", "since",
                            "Events are replayed from a time on: give since.");
    if (spec->event_count > 0 || spec->error[0])
        return field_refuse(error, "invalid_what", spec->error[0] ? "errorClass" : "eventIds",
                            "Events are selected by type and time; this is for dead letters.");
    return ST_OK;
}

static bool narrows(const struct job_spec *spec)
{
    return spec->endpoint[0] || spec->event_count > 0 || spec->type[0] || spec->error[0] ||
           spec->since_ms > 0 || spec->until_ms != JOB_NO_END;
}

static enum status take_all(json_t *body, bool needed, const struct job_spec *spec,
                            struct field_error *error)
{
    json_t *value = json_object_get(body, "all");
    if (value && (!json_is_true(value) || narrows(spec)))
        return field_refuse(error, "invalid_all", "all",
                            "all is true and stands alone, in place of a selection.");
    if (!value && needed && !narrows(spec))
        return field_refuse(error, "missing_field", "all",
                            "Say which dead letters to discard, or {\"all\":true}.");
    return ST_OK;
}

static enum status take_members(json_t *body, enum job_request_form form, struct job_spec *spec,
                                struct field_error *error)
{
    static const char *const names[] = {"webhookId", "all",   "eventIds", "errorClass", "type",
                                        "since",     "until", "rate",     "what"};
    bool webhook = form == JOB_REQUEST_WEBHOOK;
    enum status status = webhook ? json_field_known(body, "", names + 2, 7, error)
                                 : json_field_known(body, "", names, 8, error);
    if (status == ST_OK)
        status = take_webhook(body, spec, error);
    if (status == ST_OK)
        status = take_events(body, spec, error);
    if (status == ST_OK)
        status = take_type(body, spec, error);
    if (status == ST_OK)
        status = take_error(body, spec, error);
    if (status == ST_OK)
        status = take_times(body, spec, error);
    if (status == ST_OK)
        status = take_rate(body, spec, error);
    if (status == ST_OK)
        status = webhook ? take_what(body, spec, error)
                         : take_all(body, form == JOB_REQUEST_DISCARD, spec, error);
    return status;
}

static enum status parse(struct slice text, json_t **body, struct field_error *error)
{
    struct json_error problem;
    json_error_t json;
    *body = NULL;
    if (json_check(text, &problem))
        return field_refuse(error, json_field_fault(text), "",
                            "The body must be a JSON object: %s at byte %zu.", problem.reason,
                            problem.offset);
    *body = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &json);
    if (!*body)
        return field_refuse(error, "invalid_json", "", "This JSON cannot be read: %s (line %d).",
                            json.text, json.line);
    return json_is_object(*body)
               ? ST_OK
               : field_refuse(error, "invalid_json", "", "The body must be a JSON object.");
}

enum status job_request_read(struct slice text, enum job_request_form form, uint64_t default_rate,
                             struct job_spec *spec, struct field_error *error)
{
    json_t *body;
    job_spec_init(spec, form == JOB_REQUEST_DISCARD ? JOB_DISCARD : JOB_REPLAY);
    spec->rate = spec->kind == JOB_REPLAY ? default_rate : 0;
    enum status status = parse(text.len > 0 ? text : SLICE("{}"), &body, error);
    if (status == ST_OK)
        status = take_members(body, form, spec, error);
    json_decref(body);
    if (status != ST_OK)
        job_spec_free(spec);
    return status;
}
