/* lib_event_write.c - an event as JSON and as msgpack.
 *
 * What cannot be written at all is found before (texts that are not UTF-8, times without a form,
 * data that is not JSON and so could end the object it is put into); everything else is found by
 * reading what was written, as the server will.
 */
#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/timefmt.h"
#include "base/utf8.h"
#include "lib/c_locale.h"
#include "lib/event_private.h"
#include "wire/codec.h"
#include "wire/json_msgpack.h"

/* 9999-12-31T23:59:59.999Z, behind which RFC 3339 has no form (section 5.6: four digits). */
#define TIME_LAST_MS UINT64_C(253402300799999)

static const char *const names[EVENT_TEXTS] = {
    [EVENT_TYPE] = "type",
    [EVENT_VERSION] = "version",
    [EVENT_SOURCE] = "source",
    [EVENT_UID] = "uid",
    [EVENT_IDEMPOTENCY_KEY] = "idempotencyKey",
    [EVENT_ORDERING_KEY] = "orderingKey",
    [EVENT_DATA] = "data",
};

/* ---- Before ---------------------------------------------------------------------------------- */

static enum trotline_status check_texts(const struct trotline_event *event,
                                        struct trotline_error *error)
{
    for (size_t i = 0; i < EVENT_TEXTS; i++) {
        struct slice text = event_text(event, (enum event_text)i);
        if (buf_status(&event->texts[i]) != ST_OK)
            return TROTLINE_NO_MEMORY;
        if (!utf8_valid(text))
            return lib_fail(error, TROTLINE_INVALID_EVENT, "invalid_text", names[i],
                            "It is not UTF-8.");
    }
    return TROTLINE_OK;
}

static enum trotline_status check_data(struct slice data, struct trotline_error *error)
{
    struct json_error json;
    if (!data.ptr)
        return TROTLINE_OK; /* the reader says that it is required */
    enum status status = json_check(data, &json);
    if (status == ST_OK)
        return TROTLINE_OK;
    return lib_fail(error, TROTLINE_INVALID_EVENT,
                    status == ST_LIMIT ? "json_too_deep" : "invalid_json", "data", json.reason);
}

static enum trotline_status check(const struct trotline_event *event, struct trotline_error *error)
{
    enum trotline_status status = check_texts(event, error);
    if (status == TROTLINE_OK)
        status = check_data(event_text(event, EVENT_DATA), error);
    if (status == TROTLINE_OK && event->timestamp_ms > TIME_LAST_MS)
        return lib_fail(error, TROTLINE_INVALID_EVENT, "invalid_timestamp", "timestamp",
                        "It is behind the year 9999.");
    if (status == TROTLINE_OK && event->deliver_at_ms > TIME_LAST_MS)
        return lib_fail(error, TROTLINE_INVALID_EVENT, "invalid_deliver_at", "deliverAt",
                        "It is behind the year 9999.");
    return status;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void write_json(const struct trotline_event *event, struct buf *out)
{
    struct json_out json;
    json_out_begin(&json, out);
    json_object_open(&json);
    for (size_t i = 0; i < EVENT_DATA; i++)
        if (event->has[i])
            json_member_str(&json, names[i], event_text(event, (enum event_text)i));
    if (event->timestamp_ms > 0)
        json_member_time_ms(&json, "timestamp", event->timestamp_ms);
    if (event->deliver_at_ms > 0)
        json_member_time_ms(&json, "deliverAt", event->deliver_at_ms);
    if (event->delay_ms > 0)
        json_member_u64(&json, "delay", event->delay_ms);
    if (event->has[EVENT_DATA])
        json_member_raw(&json, names[EVENT_DATA], event_text(event, EVENT_DATA));
    json_object_close(&json);
}

/* ---- msgpack --------------------------------------------------------------------------------- */

static void put_time(struct buf *out, struct slice name, uint64_t at_ms)
{
    struct buf text;
    if (at_ms == 0)
        return;
    buf_init(&text, 32);
    time_format_rfc3339(&text, at_ms);
    mp_write_str(out, name);
    mp_write_str(out, buf_slice(&text));
    if (buf_status(&text) != ST_OK)
        out->error = ST_NOMEM;
    buf_free(&text);
}

/* The server takes at most 256 bytes of these; longer ones than msgpack has are not even written.
 */
static bool texts_fit(const struct trotline_event *event)
{
    for (size_t i = 0; i < EVENT_DATA; i++)
        if (event_text(event, (enum event_text)i).len > UINT32_MAX)
            return false;
    return true;
}

static enum trotline_status write_msgpack(const struct trotline_event *event, struct buf *out,
                                          struct trotline_error *error)
{
    uint32_t count = (event->timestamp_ms > 0) + (event->deliver_at_ms > 0) + (event->delay_ms > 0);
    for (size_t i = 0; i < EVENT_TEXTS; i++)
        count += event->has[i];
    if (!texts_fit(event))
        return lib_fail(error, TROTLINE_INVALID_EVENT, "invalid_text", "",
                        "A text has more than 4 GiB.");
    mp_write_map(out, count);
    for (size_t i = 0; i < EVENT_DATA; i++) {
        if (!event->has[i])
            continue;
        mp_write_str(out, slice_str(names[i]));
        mp_write_str(out, event_text(event, (enum event_text)i));
    }
    put_time(out, SLICE("timestamp"), event->timestamp_ms);
    put_time(out, SLICE("deliverAt"), event->deliver_at_ms);
    if (event->delay_ms > 0) {
        mp_write_str(out, SLICE("delay"));
        mp_write_u64(out, event->delay_ms);
    }
    if (!event->has[EVENT_DATA])
        return TROTLINE_OK;
    struct field_error wrong = {.code = ""};
    struct c_locale locale;
    if (!c_locale_enter(&locale))
        return TROTLINE_NO_MEMORY;
    mp_write_str(out, slice_str(names[EVENT_DATA]));
    enum status status =
        json_msgpack(event_text(event, EVENT_DATA), names[EVENT_DATA], out, &wrong);
    c_locale_leave(&locale);
    if (status == ST_RANGE)
        return lib_fail(error, TROTLINE_INVALID_EVENT, wrong.code, wrong.field, wrong.message);
    return status == ST_OK ? TROTLINE_OK : TROTLINE_NO_MEMORY;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static enum trotline_status judge(struct slice bytes, enum trotline_format format, uint64_t now_ms,
                                  struct trotline_error *error)
{
    struct event_document document;
    enum event_format read =
        format == TROTLINE_FORMAT_JSON ? EVENT_FORMAT_JSON : EVENT_FORMAT_MSGPACK;
    enum trotline_status status = event_judge(&document, read, bytes, now_ms, error);
    event_document_free(&document);
    return status;
}

enum trotline_status trotline_event_write(struct trotline_event *event, enum trotline_format format,
                                          uint64_t now_ms, struct trotline_slice *bytes,
                                          struct trotline_error *error)
{
    if (bytes)
        *bytes = trotline_slice_of(NULL, 0);
    if (!event || !bytes || (format != TROTLINE_FORMAT_JSON && format != TROTLINE_FORMAT_MSGPACK))
        return TROTLINE_INVALID_ARGUMENT;
    buf_clear(&event->written);
    enum trotline_status status = check(event, error);
    if (status == TROTLINE_OK && format == TROTLINE_FORMAT_JSON)
        write_json(event, &event->written);
    else if (status == TROTLINE_OK)
        status = write_msgpack(event, &event->written, error);
    if (status == TROTLINE_OK && buf_status(&event->written) != ST_OK)
        status = TROTLINE_NO_MEMORY;
    if (status == TROTLINE_OK)
        status = judge(buf_slice(&event->written), format, lib_now_ms(now_ms), error);
    if (status == TROTLINE_OK)
        *bytes = slice_out(buf_slice(&event->written));
    return status;
}
