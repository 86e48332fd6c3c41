/* log_levels.c - see log_levels.h.
 *
 * The macros of log.h put a pointer to each place that logs into the section "log_sites"; the
 * linker names its beginning and its end.
 */
#include "base/log_levels.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

static struct log_levels now = {.level = LOG_INFO};

extern struct log_site *const __start_log_sites[] __attribute__((weak));
extern struct log_site *const __stop_log_sites[] __attribute__((weak));

/* As numbers, because C knows two arrays here. */
static size_t site_count(void)
{
    return ((uintptr_t)__stop_log_sites - (uintptr_t)__start_log_sites) / sizeof(struct log_site *);
}

static struct slice component_of(const struct log_site *site)
{
    return slice_of(site->event, strcspn(site->event, "."));
}

enum status log_level_parse(struct slice text, enum log_level *level)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        if (slice_eq(text, slice_str(log_level_name((enum log_level)i)))) {
            *level = (enum log_level)i;
            return ST_OK;
        }
    }
    return ST_RANGE;
}

/* ---- Components ------------------------------------------------------------------------------ */

static bool before(struct slice a, struct slice b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order < 0 || (order == 0 && a.len < b.len);
}

size_t log_components(struct slice components[LOG_COMPONENTS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < site_count(); i++) {
        struct slice component = component_of(__start_log_sites[i]);
        size_t at = 0;
        while (at < count && before(components[at], component))
            at++;
        if (at < count && slice_eq(components[at], component))
            continue;
        assert(count < LOG_COMPONENTS_MAX);
        memmove(components + at + 1, components + at, (count - at) * sizeof(*components));
        components[at] = component;
        count++;
    }
    return count;
}

void log_components_add(struct buf *out)
{
    struct slice components[LOG_COMPONENTS_MAX];
    size_t count = log_components(components);
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%s%.*s", i > 0 ? ", " : "", SLICE_ARGS(components[i]));
}

/* ---- Levels ---------------------------------------------------------------------------------- */

static const struct log_component_level *find(const struct log_levels *levels,
                                              struct slice component)
{
    for (size_t i = 0; i < levels->count; i++)
        if (slice_eq(levels->components[i].component, component))
            return &levels->components[i];
    return NULL;
}

enum status log_levels_set(struct log_levels *levels, struct slice component, enum log_level level)
{
    const struct log_component_level *known = find(levels, component);
    if (known) {
        levels->components[known - levels->components].level = level;
        return ST_OK;
    }
    struct slice components[LOG_COMPONENTS_MAX];
    size_t count = log_components(components);
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(components[i], component)) {
            levels->components[levels->count++] =
                (struct log_component_level){components[i], level};
            return ST_OK;
        }
    }
    return ST_NOTFOUND;
}

enum status log_levels_add(struct log_levels *levels, struct slice text)
{
    enum log_level level;
    const char *equals = text.len > 0 ? memchr(text.ptr, '=', text.len) : NULL;
    if (!equals || equals == text.ptr)
        return ST_SYNTAX;
    size_t len = (size_t)(equals - text.ptr);
    enum status status = log_level_parse(slice_from(text, len + 1), &level);
    return status == ST_OK ? log_levels_set(levels, slice_of(text.ptr, len), level) : status;
}

void log_levels_apply(const struct log_levels *levels)
{
    if (levels != &now)
        now = *levels;
    for (size_t i = 0; i < site_count(); i++) {
        struct log_site *site = __start_log_sites[i];
        const struct log_component_level *own = find(levels, component_of(site));
        site->threshold = own ? own->level : levels->level;
    }
}

const struct log_levels *log_levels_now(void)
{
    return &now;
}
