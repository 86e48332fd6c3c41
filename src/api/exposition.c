/* exposition.c - writes Prometheus's text format.
 *
 * Names are ours and are written as they are. Help and label values are escaped as the format asks:
 * backslash and newline in both, the double quote in label values too.
 */
#include "api/exposition.h"

#include <stdbool.h>

static const char *type_name(enum exposition_type type)
{
    static const char *const names[] = {"counter", "gauge", "histogram"};
    return names[type];
}

/* ---- Text ----------------------------------------------------------------------------------- */

static void add_escaped(struct buf *out, const char *text, bool quoted)
{
    for (; *text; text++) {
        if (*text == '\n') {
            buf_add_slice(out, SLICE("\\n"));
            continue;
        }
        if (*text == '\\' || (quoted && *text == '"'))
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
}

static void add_label(struct buf *out, const char *name, const char *value)
{
    buf_add_str(out, name);
    buf_add_slice(out, SLICE("=\""));
    add_escaped(out, value, true);
    buf_add_char(out, '"');
}

/* The number in base units: all its digits, and no zeros at the end of the fraction. */
static void add_number(struct buf *out, uint64_t value, enum exposition_unit unit)
{
    static const struct {
        uint64_t parts; /* of ours in a base unit */
        int digits;
    } units[] = {{1, 0}, {1000, 3}, {1000000, 6}};
    uint64_t fraction = value % units[unit].parts;
    int digits = units[unit].digits;
    buf_add_u64(out, value / units[unit].parts);
    if (fraction == 0)
        return;
    for (; fraction % 10 == 0; fraction /= 10)
        digits--;
    buf_addf(out, ".%0*llu", digits, (unsigned long long)fraction);
}

/* ---- Families ------------------------------------------------------------------------------- */

void exposition_family(struct buf *out, const char *name, enum exposition_type type,
                       const char *help)
{
    buf_add_slice(out, SLICE("# HELP "));
    buf_add_str(out, name);
    buf_add_char(out, ' ');
    add_escaped(out, help, false);
    buf_add_slice(out, SLICE("\n# TYPE "));
    buf_add_str(out, name);
    buf_add_char(out, ' ');
    buf_add_str(out, type_name(type));
    buf_add_char(out, '\n');
}

static void add_sample(struct buf *out, const char *name, const char *suffix,
                       struct exposition_label label, uint64_t value, enum exposition_unit unit)
{
    buf_add_str(out, name);
    buf_add_str(out, suffix);
    if (label.name) {
        buf_add_char(out, '{');
        add_label(out, label.name, label.value);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ' ');
    add_number(out, value, unit);
    buf_add_char(out, '\n');
}

void exposition_sample(struct buf *out, const char *name, struct exposition_label label,
                       uint64_t value, enum exposition_unit unit)
{
    add_sample(out, name, "", label, value, unit);
}

void exposition_sample_pair(struct buf *out, const char *name, struct exposition_label first,
                            struct exposition_label second, uint64_t value)
{
    buf_add_str(out, name);
    buf_add_char(out, '{');
    add_label(out, first.name, first.value);
    buf_add_char(out, ',');
    add_label(out, second.name, second.value);
    buf_add_slice(out, SLICE("} "));
    add_number(out, value, EXPOSITION_PLAIN);
    buf_add_char(out, '\n');
}

/* `bound` NULL: +Inf. */
static void add_bucket(struct buf *out, const char *name, struct exposition_label label,
                       const uint64_t *bound, enum exposition_unit unit, uint64_t count)
{
    buf_add_str(out, name);
    buf_add_slice(out, SLICE("_bucket{"));
    if (label.name) {
        add_label(out, label.name, label.value);
        buf_add_char(out, ',');
    }
    buf_add_slice(out, SLICE("le=\""));
    if (bound)
        add_number(out, *bound, unit);
    else
        buf_add_slice(out, SLICE("+Inf"));
    buf_add_slice(out, SLICE("\"} "));
    buf_add_u64(out, count);
    buf_add_char(out, '\n');
}

void exposition_histogram(struct buf *out, const char *name, struct exposition_label label,
                          const struct hist *hist, const struct exposition_buckets *buckets)
{
    for (size_t i = 0; i < buckets->count; i++) {
        const uint64_t *bound = &buckets->bounds[i];
        add_bucket(out, name, label, bound, buckets->unit, hist_count_below(hist, *bound + 1));
    }
    add_bucket(out, name, label, NULL, buckets->unit, hist_count(hist));
    add_sample(out, name, "_sum", label, hist_sum(hist), buckets->unit);
    add_sample(out, name, "_count", label, hist_count(hist), EXPOSITION_PLAIN);
}
