/* timefmt.c - times as text: RFC 3339 for JSON, HTTP-date for headers.
 *
 * Days are counted in a calendar whose year begins on 1 March, so that a leap day is the last of
 * its year and the months before any day have (153 * month + 2) / 5 days, whatever the year. 400
 * years have 146,097 days. timegm() and strptime() were not used: the first takes glibc's time zone
 * lock and reads TZ, the second reads the locale.
 *
 * A parser is a cursor that goes sour: each step that does not match sets `bad` and the steps
 * behind it do nothing, so that a format reads as one line of steps.
 */
#include "base/timefmt.h"

#define DAY_MS       UINT64_C(86400000)
#define DAYS_TO_1970 719468                    /* from 0000-03-01 */
#define DAYS_PER_ERA 146097                    /* 400 years */
#define LAST_MS      UINT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

struct civil {
    uint32_t year, month, day; /* month and day from 1 */
    uint32_t hour, minute, second, ms;
    int32_t offset_minutes; /* east of UTC */
};

struct cursor {
    struct slice rest;
    bool bad;
};

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char *const day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};

/* ---- The calendar ---------------------------------------------------------------------------- */

static int64_t days_since_1970(uint32_t year, uint32_t month, uint32_t day)
{
    uint32_t march_month = (month + 9) % 12; /* March is 0 */
    if (month < 3)
        year--;
    return (int64_t)(365 * year + year / 4 - year / 100 + year / 400 + (153 * march_month + 2) / 5 +
                     day - 1) -
           DAYS_TO_1970;
}

static struct civil civil_of(uint64_t unix_ms)
{
    if (unix_ms > LAST_MS)
        unix_ms = LAST_MS;
    uint32_t days = (uint32_t)(unix_ms / DAY_MS) + DAYS_TO_1970;
    uint32_t era = days / DAYS_PER_ERA;
    uint32_t era_day = days % DAYS_PER_ERA;
    /* Without its leap days the era would have 400 times 365. The subtracted terms are the leap
     * days of every 4 years, those left out of every 100, and the one at the era's very end. */
    uint32_t era_year =
        (era_day - era_day / 1460 + era_day / 36524 - era_day / (DAYS_PER_ERA - 1)) / 365;
    uint32_t year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    uint32_t march_month = (5 * year_day + 2) / 153;
    uint32_t ms = (uint32_t)(unix_ms % DAY_MS);
    return (struct civil){
        .year = era * 400 + era_year + (march_month >= 10),
        .month = march_month < 10 ? march_month + 3 : march_month - 9,
        .day = year_day - (153 * march_month + 2) / 5 + 1,
        .hour = ms / 3600000,
        .minute = ms / 60000 % 60,
        .second = ms / 1000 % 60,
        .ms = ms % 1000,
    };
}

static bool leap_year(uint32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint32_t days_in_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && leap_year(year) ? 29 : days[month - 1];
}

static enum status unix_ms_of(struct civil c, uint64_t *unix_ms)
{
    if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > days_in_month(c.year, c.month) ||
        c.hour > 23 || c.minute > 59 || c.second > 60)
        return ST_RANGE;
    int64_t minutes =
        (days_since_1970(c.year, c.month, c.day) * 24 + c.hour) * 60 + c.minute - c.offset_minutes;
    if (minutes < 0)
        return ST_RANGE;
    if (c.second == 60) {
        if (minutes % (24 * 60) != 24 * 60 - 1)
            return ST_RANGE;
        c.second = 59;
        c.ms = 999;
    }
    uint64_t result = ((uint64_t)minutes * 60 + c.second) * 1000 + c.ms;
    if (result > LAST_MS)
        return ST_RANGE;
    *unix_ms = result;
    return ST_OK;
}

/* ---- Steps of parsing ------------------------------------------------------------------------ */

/* True when the next byte is one of `set`, which is then passed. */
static bool take_if(struct cursor *c, const char *set)
{
    if (c->bad || c->rest.len == 0 || c->rest.ptr[0] == '\0' || !strchr(set, c->rest.ptr[0]))
        return false;
    c->rest = slice_from(c->rest, 1);
    return true;
}

static void take(struct cursor *c, const char *literal)
{
    struct slice expected = slice_str(literal);
    if (!slice_starts(c->rest, expected))
        c->bad = true;
    else
        c->rest = slice_from(c->rest, expected.len);
}

/* Exactly `count` digits. */
static uint32_t take_number(struct cursor *c, size_t count)
{
    uint32_t value = 0;
    if (c->rest.len < count)
        c->bad = true;
    for (size_t i = 0; i < count && !c->bad; i++) {
        uint32_t digit = (uint32_t)(unsigned char)c->rest.ptr[i] - '0';
        c->bad = digit > 9;
        value = value * 10 + digit;
    }
    if (!c->bad)
        c->rest = slice_from(c->rest, count);
    return value;
}

static void take_time(struct cursor *c, struct civil *civil)
{
    civil->hour = take_number(c, 2);
    take(c, ":");
    civil->minute = take_number(c, 2);
    take(c, ":");
    civil->second = take_number(c, 2);
}

/* One or more digits; the first three are milliseconds. */
static uint32_t take_fraction_ms(struct cursor *c)
{
    uint32_t ms = take_number(c, 1) * 100;
    for (uint32_t weight = 10; !c->bad && c->rest.len > 0; weight /= 10) {
        uint32_t digit = (uint32_t)(unsigned char)c->rest.ptr[0] - '0';
        if (digit > 9)
            break;
        ms += digit * weight;
        c->rest = slice_from(c->rest, 1);
    }
    return ms;
}

static int32_t take_offset(struct cursor *c)
{
    if (take_if(c, "Zz"))
        return 0;
    bool east = take_if(c, "+");
    if (!east)
        take(c, "-");
    uint32_t hours = take_number(c, 2);
    take(c, ":");
    uint32_t minutes = take_number(c, 2);
    c->bad |= hours > 23 || minutes > 59;
    int32_t offset = (int32_t)(hours * 60 + minutes);
    return east ? offset : -offset;
}

static uint32_t take_month_name(struct cursor *c)
{
    for (uint32_t month = 0; c->rest.len >= 3 && month < 12; month++) {
        if (memcmp(c->rest.ptr, month_names + 3 * (size_t)month, 3) == 0) {
            c->rest = slice_from(c->rest, 3);
            return month + 1;
        }
    }
    c->bad = true;
    return 1;
}

/* A day's name, whole or its first three letters. */
static void take_day_name(struct cursor *c, bool whole)
{
    for (size_t day = 0; day < 7; day++) {
        struct slice name = slice_str(day_names[day]);
        if (!whole)
            name.len = 3;
        if (slice_starts(c->rest, name)) {
            c->rest = slice_from(c->rest, name.len);
            return;
        }
    }
    c->bad = true;
}

static enum status finish(const struct cursor *c, const struct civil *civil, uint64_t *unix_ms)
{
    if (c->bad || c->rest.len > 0)
        return ST_SYNTAX;
    return unix_ms_of(*civil, unix_ms);
}

/* ---- RFC 3339 -------------------------------------------------------------------------------- */

enum status time_parse_rfc3339(struct slice text, uint64_t *unix_ms)
{
    struct cursor c = {.rest = text};
    struct civil civil = {0};
    civil.year = take_number(&c, 4);
    take(&c, "-");
    civil.month = take_number(&c, 2);
    take(&c, "-");
    civil.day = take_number(&c, 2);
    if (!take_if(&c, "Tt"))
        return ST_SYNTAX;
    take_time(&c, &civil);
    if (take_if(&c, "."))
        civil.ms = take_fraction_ms(&c);
    civil.offset_minutes = take_offset(&c);
    return finish(&c, &civil, unix_ms);
}

static char *put_digits(char *out, uint32_t value, int count)
{
    for (int i = count; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + count;
}

static char *put_time(char *out, const struct civil *civil)
{
    out = put_digits(out, civil->hour, 2);
    *out++ = ':';
    out = put_digits(out, civil->minute, 2);
    *out++ = ':';
    return put_digits(out, civil->second, 2);
}

void time_format_rfc3339(struct buf *buf, uint64_t unix_ms)
{
    struct civil civil = civil_of(unix_ms);
    char text[24], *out = text;
    out = put_digits(out, civil.year, 4);
    *out++ = '-';
    out = put_digits(out, civil.month, 2);
    *out++ = '-';
    out = put_digits(out, civil.day, 2);
    *out++ = 'T';
    out = put_time(out, &civil);
    *out++ = '.';
    out = put_digits(out, civil.ms, 3);
    *out = 'Z';
    buf_add(buf, text, sizeof(text));
}

/* ---- HTTP-date ------------------------------------------------------------------------------- */

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static enum status parse_imf_fixdate(struct cursor c, uint64_t *unix_ms)
{
    struct civil civil = {0};
    take_day_name(&c, false);
    take(&c, ", ");
    civil.day = take_number(&c, 2);
    take(&c, " ");
    civil.month = take_month_name(&c);
    take(&c, " ");
    civil.year = take_number(&c, 4);
    take(&c, " ");
    take_time(&c, &civil);
    take(&c, " GMT");
    return finish(&c, &civil, unix_ms);
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static enum status parse_rfc850_date(struct cursor c, uint64_t *unix_ms)
{
    struct civil civil = {0};
    take_day_name(&c, true);
    take(&c, ", ");
    civil.day = take_number(&c, 2);
    take(&c, "-");
    civil.month = take_month_name(&c);
    take(&c, "-");
    civil.year = take_number(&c, 2);
    civil.year += civil.year < 70 ? 2000 : 1900;
    take(&c, " ");
    take_time(&c, &civil);
    take(&c, " GMT");
    return finish(&c, &civil, unix_ms);
}

/* "Sun Nov  6 08:49:37 1994" */
static enum status parse_asctime_date(struct cursor c, uint64_t *unix_ms)
{
    struct civil civil = {0};
    take_day_name(&c, false);
    take(&c, " ");
    civil.month = take_month_name(&c);
    take(&c, " ");
    civil.day = take_if(&c, " ") ? take_number(&c, 1) : take_number(&c, 2);
    take(&c, " ");
    take_time(&c, &civil);
    take(&c, " ");
    civil.year = take_number(&c, 4);
    return finish(&c, &civil, unix_ms);
}

enum status time_parse_http_date(struct slice text, uint64_t *unix_ms)
{
    struct cursor c = {.rest = text};
    if (text.len > 3 && text.ptr[3] == ',')
        return parse_imf_fixdate(c, unix_ms);
    if (text.len > 3 && text.ptr[3] == ' ')
        return parse_asctime_date(c, unix_ms);
    return parse_rfc850_date(c, unix_ms);
}

void time_format_http_date(struct buf *buf, uint64_t unix_ms)
{
    struct civil civil = civil_of(unix_ms);
    size_t weekday = (size_t)(days_since_1970(civil.year, civil.month, civil.day) + 4) % 7;
    char text[29], *out = text; /* 1970-01-01 was a Thursday */
    out = mempcpy(out, day_names[weekday], 3);
    out = mempcpy(out, ", ", 2);
    out = put_digits(out, civil.day, 2);
    *out++ = ' ';
    out = mempcpy(out, month_names + 3 * (size_t)(civil.month - 1), 3);
    *out++ = ' ';
    out = put_digits(out, civil.year, 4);
    *out++ = ' ';
    out = put_time(out, &civil);
    memcpy(out, " GMT", 4);
    buf_add(buf, text, sizeof(text));
}
