/* log_json.c - see log_json.h.
 *
 * Lines are written as logfmt in the source, where they can be read and searched, and turned into
 * JSON only when that was asked for. Fields given one by one with their types would be no safer,
 * and longer at each of the places that log.
 */
#include "base/log_json.h"

#include <stdbool.h>

#include "base/ascii.h"
#include "base/json_out.h"

enum { DIGITS_MAX = 15 /* exact in a double */, TEXT_BYTES = 4096 };

/* What is left to read. */
struct reader {
    const char *at, *end;
};

/* One byte of a text in quotes, without its escape. */
static char read_char(struct reader *reader)
{
    size_t left = (size_t)(reader->end - reader->at);
    char c = *reader->at++;
    if (c != '\\' || left < 2)
        return c;
    if (left >= 4 && reader->at[0] == 'x') {
        int high = ascii_hex_value(reader->at[1]), low = ascii_hex_value(reader->at[2]);
        if (high >= 0 && low >= 0) {
            reader->at += 3;
            return (char)(high << 4 | low);
        }
    }
    return *reader->at++;
}

/* Behind the opening quote; up to the closing one, or to the end of a line that was cut. */
static void add_quoted(struct buf *out, struct reader *reader)
{
    char text[TEXT_BYTES];
    size_t len = 0;
    while (reader->at < reader->end && *reader->at != '"' && len < sizeof(text))
        text[len++] = read_char(reader);
    if (reader->at < reader->end)
        reader->at++;
    json_out_string(out, slice_of(text, len));
}

/* RFC 8259 section 6: no leading zeros. */
static bool is_number(struct slice word)
{
    if (word.len > 0 && word.ptr[0] == '-')
        word = slice_from(word, 1);
    if (word.len == 0 || word.len > DIGITS_MAX || (word.ptr[0] == '0' && word.len > 1))
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (!ascii_is_digit(word.ptr[i]))
            return false;
    return true;
}

static struct slice read_until(struct reader *reader, char stop)
{
    const char *start = reader->at;
    while (reader->at < reader->end && *reader->at != stop && *reader->at != ' ')
        reader->at++;
    return slice_of(start, (size_t)(reader->at - start));
}

void log_json_fields(struct buf *out, struct slice fields)
{
    struct reader reader = {fields.ptr, fields.ptr + fields.len};
    while (reader.at < reader.end) {
        if (*reader.at == ' ') {
            reader.at++;
            continue;
        }
        const char *start = reader.at;
        struct slice key = read_until(&reader, '=');
        if (reader.at == reader.end || *reader.at != '=' || key.len == 0) {
            buf_add_str(out, ",\"text\":");
            json_out_string(out, slice_of(start, (size_t)(reader.end - start)));
            return;
        }
        buf_add_char(out, ',');
        json_out_string(out, slice_eq(key, SLICE("event")) ? SLICE("event_id") : key);
        buf_add_char(out, ':');
        reader.at++;
        if (reader.at < reader.end && *reader.at == '"') {
            reader.at++;
            add_quoted(out, &reader);
            continue;
        }
        struct slice word = read_until(&reader, ' ');
        if (is_number(word))
            buf_add_slice(out, word);
        else
            json_out_string(out, word);
    }
}
