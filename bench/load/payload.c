/* payload.c - orders that were never placed.
 *
 *     "order":"ord_5c1e…","customer":{"id":…,"name":"Zoë \"Zo\"
 * Ødegård","email":…},"currency":"EUR", "paid":true,"items":[{"sku":"KQ-20417","title":"Steel
 * lamp","quantity":3,"price":"19.90"},…], "note":"leave it with the neighbour if nobody …"
 *
 * A kilobyte of one letter would flatter whoever scans, copies, compresses or signs it, and a
 * server that parses JSON would find nothing to parse. So there are strings, numbers, nesting,
 * escapes and characters beyond ASCII, in the mix of an ordinary webhook. */
#include "payload.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    ITEM_BYTES = 256,     /* of one line of the order at most */
    NOTE_BYTES_USUAL = 40 /* lines are added while so much is left for the note */
};

struct writer {
    char *at;
    size_t left;
    uint64_t random;
};

static const char *const names[] = {"Zo\xc3\xab \\\"Zo\\\" \xc3\x98yen",
                                    "Maria da Concei\xc3\xa7\xc3\xa3o",
                                    "J\xc3\xbcrgen Wei\xc3\x9f",
                                    "Ana Petrovi\xc4\x87",
                                    "Sam O'Neill",
                                    "\xe6\x9d\x8e\xe5\xa8\x9c",
                                    "Ibrahim Haddad",
                                    "Kate Smith-Jones"};
static const char *const materials[] = {"Steel", "Oak",    "Linen", "Copper",
                                        "Glass", "Walnut", "Wool",  "Enamel"};
static const char *const things[] = {"lamp",   "chair 2\\/4", "table", "curtain",
                                     "kettle", "shelf",       "rug",   "mug \\u00bd l"};
static const char *const currencies[] = {"EUR", "USD", "GBP", "JPY"};
static const char *const words[] = {"leave",  "it",      "with",   "the",  "neighbour", "if",
                                    "nobody", "opens",   "please", "ring", "twice",     "after",
                                    "six",    "green",   "door",   "by",   "stairs",    "gift",
                                    "no",     "invoice", "thank",  "you",  "deliver",   "on",
                                    "Friday", "not",     "before", "noon", "second",    "floor"};

#define PICK(writer, table) (table)[next(writer) % (sizeof(table) / sizeof(table)[0])]

/* splitmix64 */
static uint64_t next(struct writer *writer)
{
    uint64_t z = writer->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Writes it if `keep` bytes are left behind it then. */
static bool put(struct writer *writer, size_t keep, const char *text, size_t len)
{
    if (len + keep > writer->left)
        return false;
    memcpy(writer->at, text, len);
    writer->at += len;
    writer->left -= len;
    return true;
}

__attribute__((format(printf, 3, 4))) static bool put_format(struct writer *writer, size_t keep,
                                                             const char *format, ...)
{
    char text[2 * ITEM_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return len >= 0 && (size_t)len < sizeof text && put(writer, keep, text, (size_t)len);
}

static bool put_order(struct writer *writer, size_t keep)
{
    uint64_t order = next(writer), customer = next(writer) % 1000000;
    const char *name = PICK(writer, names), *currency = PICK(writer, currencies);
    return put_format(writer, keep,
                      "\"order\":\"ord_%016llx\",\"customer\":{\"id\":%llu,\"name\":\"%s\","
                      "\"email\":\"c%llu@shop.example\"},\"currency\":\"%s\",\"paid\":%s,",
                      (unsigned long long)order, (unsigned long long)customer, name,
                      (unsigned long long)customer, currency, order % 3 ? "true" : "false");
}

static bool put_item(struct writer *writer, size_t keep, bool first)
{
    uint64_t random = next(writer);
    const char *material = PICK(writer, materials), *thing = PICK(writer, things);
    return put_format(writer, keep,
                      "%s{\"sku\":\"%c%c-%05u\",\"title\":\"%s %s\",\"quantity\":%u,\"price\":"
                      "\"%u.%02u\"}",
                      first ? "" : ",", (char)('A' + random % 26), (char)('A' + random / 26 % 26),
                      (unsigned)(random >> 16) % 100000, material, thing,
                      1 + (unsigned)(random >> 40) % 9, (unsigned)(random >> 44) % 400,
                      (unsigned)(random >> 54) % 100);
}

static void put_items(struct writer *writer, size_t keep)
{
    static const char begin[] = "\"items\":[", end[] = "],";
    keep += sizeof end - 1;
    if (!put(writer, keep, begin, sizeof begin - 1))
        return;
    for (bool first = true; put_item(writer, keep, first); first = false)
        continue;
    put(writer, 0, end, sizeof end - 1);
}

/* Fills all that is left. */
static void put_note(struct writer *writer)
{
    static const char begin[] = "\"note\":\"";
    put(writer, 0, begin, sizeof begin - 1);
    size_t inside = writer->left - 1;
    while (inside > 0) {
        const char *word = PICK(writer, words);
        size_t len = strlen(word) < inside ? strlen(word) : inside;
        put(writer, 1, word, len);
        if ((inside -= len) > 0) {
            put(writer, 1, " ", 1);
            inside--;
        }
    }
    put(writer, 0, "\"", 1);
}

void payload_write(char *at, size_t len, unsigned variant)
{
    struct writer writer = {.at = at, .left = len, .random = variant};
    size_t keep = PAYLOAD_BYTES_MIN + NOTE_BYTES_USUAL;
    if (put_order(&writer, keep))
        put_items(&writer, keep);
    put_note(&writer);
}
