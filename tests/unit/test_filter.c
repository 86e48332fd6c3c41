/* test_filter.c - what filters say of payloads, and how bad ones are refused.
 *
 * In the tables ' stands for ", so that JSON can be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/limits.h"
#include "core/filter.h"
#include "json_respell.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { TEXT_MAX = 1 << 20 };

/* A copy of exactly its size, so that a sanitizer sees a read behind its end. */
static struct slice quoted(const char *text)
{
    size_t len = strlen(text);
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    for (size_t i = 0; i < len; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    return slice_of(copy, len);
}

static void quoted_free(struct slice text)
{
    free((char *)(uintptr_t)text.ptr);
}

static struct filter *must_compile(struct slice json)
{
    struct filter *filter;
    struct field_error error;
    if (filter_compile(json, &filter, &error))
        fail_msg("%.*s: %s: %s", SLICE_ARGS(json), error.field, error.message);
    return filter;
}

/* The filter, its opposite, and both on the payload in other words. */
static void check(const char *filter_text, const char *data_text, bool expected)
{
    struct slice json = quoted(filter_text), data = quoted(data_text);
    assert_int_equal(json_check(data, NULL), ST_OK);
    struct buf opposite, respelled, filter_respelled;
    buf_init(&opposite, TEXT_MAX);
    buf_init(&respelled, TEXT_MAX);
    buf_init(&filter_respelled, TEXT_MAX);
    buf_addf(&opposite, "{\"$not\":%.*s}", SLICE_ARGS(json));
    json_respell(data, &respelled);
    json_respell(json, &filter_respelled);
    assert_int_equal(json_check(buf_slice(&respelled), NULL), ST_OK);

    const struct slice filters[] = {json, buf_slice(&opposite), buf_slice(&filter_respelled)};
    for (size_t i = 0; i < COUNT(filters); i++) {
        struct filter *filter = must_compile(filters[i]);
        if (filter_matches(filter, data) != (expected != (i == 1)))
            fail_msg("%.*s on %s", SLICE_ARGS(filters[i]), data_text);
        if (filter_matches(filter, buf_slice(&respelled)) != (expected != (i == 1)))
            fail_msg("%.*s on %.*s", SLICE_ARGS(filters[i]), (int)respelled.len, respelled.ptr);
        filter_free(filter);
    }
    buf_free(&opposite);
    buf_free(&respelled);
    buf_free(&filter_respelled);
    quoted_free(json);
    quoted_free(data);
}

struct row {
    const char *filter, *data;
    bool matches;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(rows[i].filter, rows[i].data, rows[i].matches);
}

/* Equality, of each kind of value with each. */
static void test_equal(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a':1}", "{'a':1}", true},
        {"{'a':1}", "{'a':2}", false},
        {"{'a':1}", "{'a':'1'}", false},
        {"{'a':1}", "{'a':true}", false},
        {"{'a':1}", "{'a':null}", false},
        {"{'a':1}", "{'a':{}}", false},
        {"{'a':1}", "{'a':{'a':1}}", false},
        {"{'a':1}", "{'a':[]}", false},
        {"{'a':1}", "{}", false},
        {"{'a':1}", "[]", false},
        {"{'a':1}", "1", false},
        {"{'a':1}", "'a'", false},
        {"{'a':1}", "null", false},
        {"{'a':1}", "{'A':1}", false},
        {"{'a':1}", "{'aa':1,'':1}", false},
        {"{'a':1}", " { 'b' : [ ] , 'a' : 1 } ", true},
        {"{'a':{'$eq':1}}", "{'a':1}", true},
        {"{'a':{'$eq':1}}", "{'a':2}", false},
        {"{'a':'x'}", "{'a':'x'}", true},
        {"{'a':'x'}", "{'a':'X'}", false},
        {"{'a':'x'}", "{'a':'x '}", false},
        {"{'a':'x'}", "{'a':''}", false},
        {"{'a':''}", "{'a':''}", true},
        {"{'a':''}", "{'a':null}", false},
        {"{'a':true}", "{'a':true}", true},
        {"{'a':true}", "{'a':false}", false},
        {"{'a':true}", "{'a':'true'}", false},
        {"{'a':true}", "{'a':1}", false},
        {"{'a':false}", "{'a':false}", true},
        {"{'a':false}", "{'a':0}", false},
        {"{'a':false}", "{'a':null}", false},
        {"{'a':null}", "{'a':null}", true},
        {"{'a':null}", "{}", false},
        {"{'a':null}", "{'a':0}", false},
        {"{'a':null}", "{'a':'null'}", false},
        {"{'a':1,'b':2}", "{'b':2,'a':1}", true},
        {"{'a':1,'b':2}", "{'a':1}", false},
        {"{'a':1,'b':2}", "{'a':1,'b':3}", false},
        {"{'$eq':'x'}", "'x'", true},
        {"{'$eq':'x'}", "'y'", false},
        {"{'$eq':7}", "{'a':7}", false},
        {"{'$eq':7}", "[1,7]", true},
    };
    check_rows(rows, COUNT(rows));
}

/* The negative operators hold of whatever the positive ones do not hold of. */
static void test_unequal(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a':{'$neq':1}}", "{'a':1}", false},
        {"{'a':{'$neq':1}}", "{'a':1.0}", false},
        {"{'a':{'$neq':1}}", "{'a':2}", true},
        {"{'a':{'$neq':1}}", "{'a':'1'}", true},
        {"{'a':{'$neq':1}}", "{'a':null}", true},
        {"{'a':{'$neq':1}}", "{'a':{}}", true},
        {"{'a':{'$neq':1}}", "{}", true},
        {"{'a':{'$neq':1}}", "17", true},
        {"{'a':{'$neq':1}}", "{'a':[2,3]}", true},
        {"{'a':{'$neq':1}}", "{'a':[2,1]}", false},
        {"{'a':{'$neq':null}}", "{'a':null}", false},
        {"{'a':{'$neq':null}}", "{}", true},
        {"{'a':{'$neq':null,'$exists':true}}", "{}", false},
        {"{'a':{'$neq':null,'$exists':true}}", "{'a':0}", true},
        {"{'a':{'$nin':[1,'x']}}", "{'a':1}", false},
        {"{'a':{'$nin':[1,'x']}}", "{'a':'x'}", false},
        {"{'a':{'$nin':[1,'x']}}", "{'a':'1'}", true},
        {"{'a':{'$nin':[1,'x']}}", "{}", true},
        {"{'a':{'$nin':[1,'x']}}", "{'a':[3,'x']}", false},
        {"{'a':{'$nin':[1,'x']}}", "{'a':[3,'y']}", true},
    };
    check_rows(rows, COUNT(rows));
}

static void test_order(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a':{'$gt':5}}", "{'a':6}", true},
        {"{'a':{'$gt':5}}", "{'a':5.000001}", true},
        {"{'a':{'$gt':5}}", "{'a':5}", false},
        {"{'a':{'$gt':5}}", "{'a':4}", false},
        {"{'a':{'$gt':5}}", "{'a':'6'}", false},
        {"{'a':{'$gt':5}}", "{'a':true}", false},
        {"{'a':{'$gt':5}}", "{'a':null}", false},
        {"{'a':{'$gt':5}}", "{'a':{}}", false},
        {"{'a':{'$gt':5}}", "{}", false},
        {"{'a':{'$gte':5}}", "{'a':5}", true},
        {"{'a':{'$gte':5}}", "{'a':5.0e0}", true},
        {"{'a':{'$gte':5}}", "{'a':4.9999999999999999999999}", false},
        {"{'a':{'$lt':5}}", "{'a':4}", true},
        {"{'a':{'$lt':5}}", "{'a':-1e9}", true},
        {"{'a':{'$lt':5}}", "{'a':5}", false},
        {"{'a':{'$lt':5}}", "{'a':'4'}", false},
        {"{'a':{'$lt':5}}", "{'a':null}", false},
        {"{'a':{'$lt':5}}", "{}", false},
        {"{'a':{'$lte':5}}", "{'a':5}", true},
        {"{'a':{'$lte':5}}", "{'a':6}", false},
        {"{'a':{'$gte':1,'$lt':10}}", "{'a':1}", true},
        {"{'a':{'$gte':1,'$lt':10}}", "{'a':10}", false},
        {"{'a':{'$gte':1,'$lt':10}}", "{'a':0}", false},
        {"{'a':{'$gt':'b'}}", "{'a':'c'}", true},
        {"{'a':{'$gt':'b'}}", "{'a':'ba'}", true},
        {"{'a':{'$gt':'b'}}", "{'a':'b'}", false},
        {"{'a':{'$gt':'b'}}", "{'a':'B'}", false},
        {"{'a':{'$gt':'b'}}", "{'a':7}", false},
        {"{'a':{'$lt':'2026-02-01'}}", "{'a':'2026-01-31T23:59:59Z'}", true},
        {"{'a':{'$lte':'\\u00e9'}}", "{'a':'z'}", true},
        {"{'a':{'$gt':'\\uffff'}}", "{'a':'\\ud83d\\ude00'}", true},
        {"{'a':{'$gte':''}}", "{'a':''}", true},
    };
    check_rows(rows, COUNT(rows));
}

/* Numbers by their value, whatever their length; doubles would take some of these for each other.
 */
static void test_numbers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a':1}", "{'a':1.0}", true},
        {"{'a':1}", "{'a':1e0}", true},
        {"{'a':1}", "{'a':10e-1}", true},
        {"{'a':1.50}", "{'a':15E-1}", true},
        {"{'a':0}", "{'a':-0.0}", true},
        {"{'a':0}", "{'a':1e-500}", false},
        {"{'a':-1}", "{'a':1}", false},
        {"{'a':0.1}", "{'a':0.1}", true},
        {"{'a':0.1}", "{'a':0.10000000000000001}", false},
        {"{'a':9007199254740993}", "{'a':9007199254740993}", true},
        {"{'a':9007199254740993}", "{'a':9007199254740992}", false},
        {"{'a':{'$gt':9007199254740992}}", "{'a':9007199254740993}", true},
        {"{'a':{'$lt':9007199254740993}}", "{'a':9007199254740992}", true},
        {"{'a':18446744073709551617}", "{'a':18446744073709551617.0}", true},
        {"{'a':18446744073709551617}", "{'a':18446744073709551616}", false},
        {"{'a':{'$in':[9007199254740991,9007199254740993]}}", "{'a':9007199254740992}", false},
        {"{'a':1e400}", "{'a':1e401}", false},
        {"{'a':1e400}", "{'a':10e399}", true},
        {"{'a':{'$gt':1e400}}", "{'a':1e99999999999999999999}", true},
        {"{'a':{'$lt':1e-400}}", "{'a':1e-99999999999999999999}", true},
        {"{'a':{'$lt':1e-400}}", "{'a':-1e99999999999999999999}", true},
    };
    check_rows(rows, COUNT(rows));
}

/* Strings and names are compared as what they mean, not as they are written. */
static void test_strings(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a':'A'}", "{'a':'\\u0041'}", true},
        {"{'a':'\\u0041'}", "{'a':'A'}", true},
        {"{'a':'\xf0\x9f\x98\x80'}", "{'a':'\\ud83d\\ude00'}", true},
        {"{'a':'\xf0\x9f\x98\x80'}", "{'a':'\\ud83d\\ude01'}", false},
        {"{'a':'\\n'}", "{'a':'\\u000a'}", true},
        {"{'a':'\\/'}", "{'a':'/'}", true},
        {"{'a':'\\u0000'}", "{'a':'\\u0000'}", true},
        {"{'a':'\\u0000'}", "{'a':''}", false},
        {"{'a':'x\\u0000y'}", "{'a':'x'}", false},
        {"{'\\u0061':1}", "{'a':1}", true},
        {"{'a':1}", "{'\\u0061':1}", true},
        {"{'a':'e\\u0301'}", "{'a':'\\u00e9'}", false},
        {"{'a':{'$startsWith':'B-'}}", "{'a':'B-17'}", true},
        {"{'a':{'$startsWith':'B-'}}", "{'a':'B'}", false},
        {"{'a':{'$startsWith':'B-'}}", "{'a':'AB-'}", false},
        {"{'a':{'$startsWith':'B-'}}", "{'a':'\\u0042\\u002d1'}", true},
        {"{'a':{'$startsWith':''}}", "{'a':''}", true},
        {"{'a':{'$startsWith':''}}", "{'a':1}", false},
        {"{'a':{'$startsWith':'1'}}", "{'a':1}", false},
        {"{'a':{'$startsWith':'x'}}", "{}", false},
        {"{'a':{'$endsWith':'.de'}}", "{'a':'x.de'}", true},
        {"{'a':{'$endsWith':'.de'}}", "{'a':'.de'}", true},
        {"{'a':{'$endsWith':'.de'}}", "{'a':'de'}", false},
        {"{'a':{'$endsWith':'.de'}}", "{'a':'x.de '}", false},
        {"{'a':{'$endsWith':'\\''}}", "{'a':'x\\''}", true},
        {"{'a':{'$endsWith':'\\''}}", "{'a':'x\\\\'}", false},
        {"{'a':{'$startsWith':'a','$endsWith':'z'}}", "{'a':'a-z'}", true},
        {"{'a':{'$startsWith':'a','$endsWith':'z'}}", "{'a':'a-y'}", false},
    };
    check_rows(rows, COUNT(rows));
}

static void test_lists(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a':{'$in':[1]}}", "{'a':1}", true},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':3.0}", true},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':-25e-1}", true},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':'a'}", true},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':'m'}", true},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':'z'}", true},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':null}", true},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':true}", true},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':false}", false},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':2}", false},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':'b'}", false},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':'3'}", false},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{'a':{}}", false},
        {"{'a':{'$in':['z',3,null,'m',1,true,'a',-2.5]}}", "{}", false},
        {"{'a':{'$in':[1,1,1]}}", "{'a':1}", true},
        {"{'a':{'$in':['\\u0041']}}", "{'a':'A'}", true},
        {"{'a':{'$in':['x','y']}}", "{'a':['q','y']}", true},
        {"{'a':{'$in':['x','y']}}", "{'a':['q','r']}", false},
    };
    check_rows(rows, COUNT(rows));
}

static void test_exists(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a':{'$exists':true}}", "{'a':1}", true},
        {"{'a':{'$exists':true}}", "{'a':null}", true},
        {"{'a':{'$exists':true}}", "{'a':{}}", true},
        {"{'a':{'$exists':true}}", "{'a':[]}", true},
        {"{'a':{'$exists':true}}", "{'b':1}", false},
        {"{'a':{'$exists':true}}", "[]", false},
        {"{'a':{'$exists':false}}", "{'a':null}", false},
        {"{'a':{'$exists':false}}", "{'b':1}", true},
        {"{'a':{'$exists':false}}", "null", true},
        {"{'a.b':{'$exists':true}}", "{'a':{'b':0}}", true},
        {"{'a.b':{'$exists':true}}", "{'a':{}}", false},
        {"{'a.b':{'$exists':true}}", "{'a':0}", false},
        {"{'a.b':{'$exists':true}}", "{'a':[0,{'b':0}]}", true},
        {"{'a.b':{'$exists':false}}", "{'a':[0,{'c':0}]}", true},
        {"{'a.1':{'$exists':true}}", "{'a':[0,1]}", true},
        {"{'a.2':{'$exists':true}}", "{'a':[0,1]}", false},
        {"{'a.0':{'$exists':true}}", "{'a':[]}", false},
        {"{'$exists':true}", "null", true},
        {"{'$exists':false}", "null", false},
    };
    check_rows(rows, COUNT(rows));
}

static void test_paths(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a.b':1}", "{'a':{'b':1}}", true},
        {"{'a.b':1}", "{'a.b':1}", false},
        {"{'a.b':1}", "{'a':{'b':{'b':1}}}", false},
        {"{'a.b':1}", "{'b':1,'a':{'c':{'b':1}}}", false},
        {"{'a\\\\.b':1}", "{'a.b':1}", true},
        {"{'a\\\\.b':1}", "{'a':{'b':1}}", false},
        {"{'a\\\\.b.c':1}", "{'a.b':{'c':1}}", true},
        {"{'\\\\$ref':1}", "{'$ref':1}", true},
        {"{'a.\\\\$ref':1}", "{'a':{'$ref':1}}", true},
        {"{'a$':1}", "{'a$':1}", true},
        {"{'a\\\\\\\\b':1}", "{'a\\\\b':1}", true},
        {"{'a':{'b':1}}", "{'a':{'b':1}}", true},
        {"{'a':{'b':{'$gt':0},'c':2}}", "{'a':{'b':1,'c':2}}", true},
        {"{'a':{'b':{'$gt':0},'c':2}}", "{'a':{'b':1,'c':3}}", false},
        {"{'a':{'b.c':1,'b':{'d':2}},'a.b.e':3}", "{'a':{'b':{'e':3,'d':2,'c':1}}}", true},
        {"{'a':{'b.c':1,'b':{'d':2}},'a.b.e':3}", "{'a':{'b':{'e':4,'d':2,'c':1}}}", false},
        {"{'a.b':1,'a':{'$exists':true}}", "{'a':{'b':1}}", true},
        {"{'a b':1,'\\u00e9':2}", "{'a b':1,'\xc3\xa9':2}", true},
        {"{'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p':1}",
         "{'a':{'b':{'c':{'d':{'e':{'f':{'g':{'h':{'i':{'j':{'k':{'l':{'m':{'n':{'o':{'p':1}}}}}}}"
         "}}}}}}}}}",
         true},
        /* of equal names the first counts */
        {"{'a':1}", "{'a':1,'a':2}", true},
        {"{'a':2}", "{'a':1,'a':2}", false},
        {"{'a.b':1}", "{'a':{},'a':{'b':1}}", false},
        {"{'a.b':1}", "{'a':{'b':1,'b':2},'a':3}", true},
        /* what is passed over may hold anything */
        {"{'z':1}", "{'a':{'z':2,'b':['}',{'c':'\\''}]},'b':'z','c':[[[]]],'z':1}", true},
        {"{'a.x':1,'b':2}", "{'a':{'x':1,'y':[{'b':3},'}'],'z':{}},'b':2}", true},
        {"{'a.x':1,'b':2}", "{'a':{'x':1,'y':[{'b':2},'}'],'z':{}},'b':3}", false},
    };
    check_rows(rows, COUNT(rows));
}

/* One of the elements, or one by its number. */
static void test_arrays(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a':1}", "{'a':[1]}", true},
        {"{'a':1}", "{'a':[0,1]}", true},
        {"{'a':1}", "{'a':[]}", false},
        {"{'a':1}", "{'a':[[1]]}", false},
        {"{'a':1}", "{'a':[{'a':1}]}", false},
        {"{'a':{'$gt':5}}", "{'a':[1,9]}", true},
        {"{'a':{'$gt':5}}", "{'a':[1,'9']}", false},
        {"{'a':{'$gt':5,'$lt':2}}", "{'a':[1,9]}", true},
        {"{'a':{'$startsWith':'x'}}", "{'a':['y','xy']}", true},
        {"{'a':null}", "{'a':[null]}", true},
        {"{'a.0':1}", "{'a':[1,2]}", true},
        {"{'a.1':1}", "{'a':[1,2]}", false},
        {"{'a.0':1}", "{'a':[[1]]}", true},
        {"{'a.0.0':1}", "{'a':[[1]]}", true},
        {"{'a.0.1':1}", "{'a':[[1]]}", false},
        {"{'a.0':1}", "{'a':{'0':1}}", true},
        {"{'a.00':1}", "{'a':[1]}", false},
        {"{'a.00':1}", "{'a':{'00':1}}", true},
        {"{'a.-1':1}", "{'a':[1]}", false},
        {"{'a.1000000000000':1}", "{'a':[1]}", false},
        {"{'a.1000000000000':1}", "{'a':{'1000000000000':1}}", true},
        {"{'0':1}", "[1,2]", true},
        {"{'0.a':1}", "[{'a':1}]", true},
        {"{'items.sku':'B'}", "{'items':[{'sku':'A'},{'sku':'B'}]}", true},
        {"{'items.sku':'C'}", "{'items':[{'sku':'A'},{'sku':'B'}]}", false},
        {"{'items.1.sku':'B'}", "{'items':[{'sku':'A'},{'sku':'B'}]}", true},
        {"{'items.0.sku':'B'}", "{'items':[{'sku':'A'},{'sku':'B'}]}", false},
        {"{'items.sku':{'$neq':'B'}}", "{'items':[{'sku':'A'},{'sku':'B'}]}", false},
        {"{'items.sku':{'$neq':'C'}}", "{'items':[{'sku':'A'},{'sku':'B'}]}", true},
        {"{'items.sku':'A','items.1.sku':'B'}", "{'items':[{'sku':'A'},{'sku':'B'}]}", true},
        {"{'items.sku':'A','items.0.sku':'B'}", "{'items':[{'sku':'A'},{'sku':'B'}]}", false},
        {"{'items.sku':'B','items.0.sku':'A'}", "{'items':[{'sku':'A'},{'sku':'B'}]}", true},
        {"{'items':{'sku':'A','n':2}}", "{'items':[{'sku':'A','n':1},{'sku':'B','n':2}]}", true},
        {"{'items.tags':'x'}", "{'items':[{'tags':['y']},{'tags':['z','x']}]}", true},
        {"{'items.tags.0':'x'}", "{'items':[{'tags':['y']},{'tags':['z','x']}]}", false},
        {"{'items.tags.1':'x'}", "{'items':[{'tags':['y']},{'tags':['z','x']}]}", true},
        {"{'items.sku':'A'}", "{'items':[[{'sku':'A'}]]}", false},
        {"{'items.0.sku':'A'}", "{'items':[[{'sku':'A'}]]}", true},
        {"{'items.0':'x'}", "{'items':[{'0':'x'}]}", false},
        {"{'items.0.0':'x'}", "{'items':[{'0':'x'}]}", true},
        {"{'a.1':1,'b':2}", "{'a':[0,1,{'b':3},']'],'b':2}", true},
        {"{'a':9,'a.1':1,'a.b':5}", "{'a':[0,1,{'b':5},9]}", true},
        {"{'sku':'A'}", "[{'sku':'A'}]", true},
    };
    check_rows(rows, COUNT(rows));
}

static void test_groups(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'$and':[{'a':1},{'b':2}]}", "{'a':1,'b':2}", true},
        {"{'$and':[{'a':1},{'b':2}]}", "{'a':1,'b':3}", false},
        {"{'$or':[{'a':1},{'b':2}]}", "{'a':0,'b':2}", true},
        {"{'$or':[{'a':1},{'b':2}]}", "{'a':1}", true},
        {"{'$or':[{'a':1},{'b':2}]}", "{'a':2,'b':1}", false},
        {"{'$or':[{'a':1,'b':2},{'a':2}]}", "{'a':1,'b':1}", false},
        {"{'$or':[{'a':1,'b':2},{'a':2}]}", "{'a':2}", true},
        {"{'c':3,'$or':[{'a':1},{'b':2}]}", "{'c':3,'b':2}", true},
        {"{'c':3,'$or':[{'a':1},{'b':2}]}", "{'c':4,'b':2}", false},
        {"{'$not':{'a':1}}", "{'a':2}", true},
        {"{'$not':{'a':1}}", "{}", true},
        {"{'$not':{'a':1}}", "{'a':1}", false},
        {"{'$not':{'a':1,'b':2}}", "{'a':1,'b':3}", true},
        {"{'$not':{'$not':{'a':1}}}", "{'a':1}", true},
        {"{'a':{'$not':{'$gt':5}}}", "{'a':5}", true},
        {"{'a':{'$not':{'$gt':5}}}", "{'a':6}", false},
        {"{'a':{'$not':{'$gt':5}}}", "{}", true},
        {"{'a':{'$not':5}}", "{'a':5}", false},
        {"{'a':{'$or':[{'$lt':2},{'$gt':8}]}}", "{'a':9}", true},
        {"{'a':{'$or':[{'$lt':2},{'$gt':8}]}}", "{'a':5}", false},
        {"{'a':{'$or':['x','y']}}", "{'a':'y'}", true},
        {"{'a':{'$or':['x','y']}}", "{'a':'z'}", false},
        {"{'a':{'b':1,'$or':[{'c':2},{'d':3}]}}", "{'a':{'b':1,'d':3}}", true},
        {"{'a':{'b':1,'$or':[{'c':2},{'d':3}]}}", "{'a':{'b':1},'d':3}", false},
        {"{'a':{'$gt':0,'b':1}}", "{'a':[1,{'b':1}]}", true},
        {"{'$or':[{'$and':[{'a':1},{'$not':{'b':1}}]},{'$or':[{'c':1},{'d':{'$nin':[1]}}]}]}",
         "{'a':1,'b':1,'c':0,'d':1}", false},
        {"{'$or':[{'$and':[{'a':1},{'$not':{'b':1}}]},{'$or':[{'c':1},{'d':{'$nin':[1]}}]}]}",
         "{'a':1,'b':2,'c':0,'d':1}", true},
        {"{'$or':[{'$and':[{'a':1},{'$not':{'b':1}}]},{'$or':[{'c':1},{'d':{'$nin':[1]}}]}]}",
         "{'a':0,'b':2,'c':0,'d':2}", true},
    };
    check_rows(rows, COUNT(rows));
}

/* ---- Refused -------------------------------------------------------------------------------- */

static void check_refused(struct slice json, const char *field)
{
    struct filter *filter;
    struct field_error error = {.code = NULL};
    if (filter_compile(json, &filter, &error) != ST_RANGE)
        fail_msg("%.*s: accepted", SLICE_ARGS(json));
    assert_null(filter);
    assert_string_equal(error.code, "invalid_filter");
    assert_true(error.message[0] != '\0');
    if (strcmp(error.field, field) != 0)
        fail_msg("%.*s: at %s: %s", SLICE_ARGS(json), error.field, error.message);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *filter, *field;
    } rows[] = {
        {"", "filter"},
        {"{", "filter"},
        {"{'a':1}}", "filter"},
        {"{'a':01}", "filter"},
        {"{'a':'\\ud800'}", "filter"},
        {"1", "filter"},
        {"'a'", "filter"},
        {"null", "filter"},
        {"true", "filter"},
        {"[]", "filter"},
        {"[{'a':1}]", "filter"},
        {"{}", "filter"},
        {" { } ", "filter"},
        {"{'a':{}}", "filter.a"},
        {"{'a':[]}", "filter.a"},
        {"{'a':['x','y']}", "filter.a"},
        {"{'a':{'b':{'c':[1]}}}", "filter.a.b.c"},
        {"{'a':1,'a':2}", "filter"},
        {"{'a':1,'\\u0061':2}", "filter"},
        {"{'a':{'b':1,'b':2}}", "filter.a"},
        {"{'a':{'$gt':1,'$gt':2}}", "filter.a"},
        {"{'$foo':1}", "filter.$foo"},
        {"{'$':1}", "filter.$"},
        {"{'a':{'$ne':1}}", "filter.a.$ne"},
        {"{'a':{'$GT':1}}", "filter.a.$GT"},
        {"{'a':{'$regex':'x'}}", "filter.a.$regex"},
        {"{'order.total':{'$gt':true}}", "filter.order.total.$gt"},
        {"{'order':{'total':{'$gt':null}}}", "filter.order.total.$gt"},
        {"{'a':{'$gte':[1]}}", "filter.a.$gte"},
        {"{'a':{'$lt':{}}}", "filter.a.$lt"},
        {"{'a':{'$lte':false}}", "filter.a.$lte"},
        {"{'a':{'$eq':{'b':1}}}", "filter.a.$eq"},
        {"{'a':{'$eq':[1]}}", "filter.a.$eq"},
        {"{'a':{'$neq':{}}}", "filter.a.$neq"},
        {"{'a':{'$in':1}}", "filter.a.$in"},
        {"{'a':{'$in':{}}}", "filter.a.$in"},
        {"{'a':{'$in':[]}}", "filter.a.$in"},
        {"{'a':{'$in':[1,[2]]}}", "filter.a.$in[1]"},
        {"{'a':{'$nin':['x',{},1]}}", "filter.a.$nin[1]"},
        {"{'a':{'$exists':1}}", "filter.a.$exists"},
        {"{'a':{'$exists':'true'}}", "filter.a.$exists"},
        {"{'a':{'$exists':null}}", "filter.a.$exists"},
        {"{'a':{'$startsWith':1}}", "filter.a.$startsWith"},
        {"{'a':{'$startsWith':['x']}}", "filter.a.$startsWith"},
        {"{'a':{'$endsWith':null}}", "filter.a.$endsWith"},
        {"{'$and':{}}", "filter.$and"},
        {"{'$and':[]}", "filter.$and"},
        {"{'$or':[]}", "filter.$or"},
        {"{'$or':{'a':1}}", "filter.$or"},
        {"{'$or':[{'a':1},{}]}", "filter.$or[1]"},
        {"{'$or':[{'a':1},[1]]}", "filter.$or[1]"},
        {"{'$or':[{'a':1},{'b':{'$gt':{}}}]}", "filter.$or[1].b.$gt"},
        {"{'$and':[{'$or':[{'x':1},{'y':{'$in':[{}]}}]}]}", "filter.$and[0].$or[1].y.$in[0]"},
        {"{'$not':[]}", "filter.$not"},
        {"{'$not':{}}", "filter.$not"},
        {"{'a':{'$not':{'$bad':1}}}", "filter.a.$not.$bad"},
        {"{'':1}", "filter."},
        {"{'a.':1}", "filter.a."},
        {"{'.a':1}", "filter..a"},
        {"{'a..b':1}", "filter.a..b"},
        {"{'a\\\\':1}", "filter.a\\"},
        {"{'a\\\\b':1}", "filter.a\\b"},
        {"{'a.$gt':1}", "filter.a.$gt"},
        {"{'a':{'b.$x':1}}", "filter.a.b.$x"},
        {"{'a':1e1000000000000000}", "filter.a"},
        {"{'a':{'$gt':-1e-99999999999999999999}}", "filter.a.$gt"},
        {"{'a':{'$in':[1,1e99999999999999999]}}", "filter.a.$in[1]"},
        {"{'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q':1}", "filter.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"},
        {"{'a.b.c.d.e.f.g.h':{'i.j.k.l.m.n.o.p':{'q':1}}}",
         "filter.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice json = quoted(rows[i].filter);
        check_refused(json, rows[i].field);
        quoted_free(json);
    }
}

/* The nearest operator is proposed. */
static void test_suggests(void **state)
{
    (void)state;
    struct filter *filter;
    struct field_error error;
    assert_int_equal(filter_compile(SLICE("{\"a\":{\"$ne\":1}}"), &filter, &error), ST_RANGE);
    assert_non_null(strstr(error.message, "did you mean \"$neq\"?"));
    assert_int_equal(filter_compile(SLICE("{\"a\":{\"$startswith\":\"\"}}"), &filter, &error),
                     ST_RANGE);
    assert_non_null(strstr(error.message, "did you mean \"$startsWith\"?"));
}

/* ---- Limits --------------------------------------------------------------------------------- */

static struct buf made; /* the filter of a test of limits */

static void begin(const char *text)
{
    buf_clear(&made);
    buf_add_str(&made, text);
}

/* Takes the filter that was made, and says what it says of `data`. */
static void check_made(const char *end, const char *data, bool expected)
{
    buf_add_str(&made, end);
    struct filter *filter = must_compile(buf_slice(&made));
    assert_int_equal(filter_matches(filter, slice_str(data)), expected);
    filter_free(filter);
}

static void check_made_refused(const char *end, const char *field)
{
    buf_add_str(&made, end);
    check_refused(buf_slice(&made), field);
}

static void add_members(int count, const char *value)
{
    for (int i = 0; i < count; i++)
        buf_addf(&made, "%s\"m%d\":%s", i ? "," : "", i, value);
}

static void add_values(int count)
{
    for (int i = 0; i < count; i++)
        buf_addf(&made, "%s%d", i ? "," : "", i);
}

static void add_text(const char *text, int count)
{
    for (int i = 0; i < count; i++)
        buf_add_str(&made, text);
}

/* Operators, bare values and groups count. */
static void test_conditions_max(void **state)
{
    (void)state;
    begin("{");
    add_members(LIMIT_FILTER_CONDITIONS, "1");
    check_made("}", "{}", false);
    begin("{");
    add_members(LIMIT_FILTER_CONDITIONS + 1, "1");
    check_made_refused("}", "filter");

    begin("{\"$or\":[1");
    add_text(",1", LIMIT_FILTER_CONDITIONS - 2);
    check_made("]}", "1", true);
    begin("{\"$or\":[1");
    add_text(",1", LIMIT_FILTER_CONDITIONS - 1);
    check_made_refused("]}", "filter.$or[63]");
    begin("{\"$or\":[1");
    add_text(",1", LIMIT_FILTER_CONDITIONS);
    check_made_refused("]}", "filter.$or");
}

/* A binary tree of objects with a condition at each leaf. */
static void add_tree(int height)
{
    buf_add_str(&made, height ? "{\"l\":" : "{\"$neq\":1");
    if (height) {
        add_tree(height - 1);
        buf_add_str(&made, ",\"r\":");
        add_tree(height - 1);
    }
    buf_add_str(&made, "}");
}

/* The most tests, negations and groups that the limits let together: all that is taken, and, before
 * one too many is seen, inside of objects that are not complete. */
static void test_steps_max(void **state)
{
    (void)state;
    enum { HEIGHT = 6, AROUND = LIMIT_FILTER_DEPTH - HEIGHT - 1 };
    assert_int_equal(1 << HEIGHT, LIMIT_FILTER_CONDITIONS);
    begin("");
    add_tree(HEIGHT);
    check_made("", "{}", true);

    begin("");
    add_text("{\"p\":", AROUND);
    add_tree(HEIGHT);
    add_text(",\"q\":1}", AROUND);
    check_made_refused("", "filter.p.p.p.p.p.p.p.p.q");
}

/* The place of a fault is cut where it does not fit. */
static void test_long_place(void **state)
{
    (void)state;
    begin("{\"a\":{\"");
    add_text("n", 200);
    buf_add_str(&made, "\":{\"b\":[]}}}");
    struct filter *filter;
    struct field_error error;
    assert_int_equal(filter_compile(buf_slice(&made), &filter, &error), ST_RANGE);
    assert_int_equal(strlen(error.field), sizeof(error.field) - 1);
    assert_memory_equal(error.field, "filter.a.nnn", 12);
}

static void test_values_max(void **state)
{
    (void)state;
    begin("{\"a\":{\"$in\":[");
    add_values(LIMIT_FILTER_VALUES);
    check_made("]}}", "{\"a\":511}", true);
    begin("{\"a\":{\"$in\":[");
    add_values(LIMIT_FILTER_VALUES + 1);
    check_made_refused("]}}", "filter.a.$in");
    begin("{\"a\":{\"$nin\":[");
    add_values(LIMIT_FILTER_VALUES - 10);
    buf_add_str(&made, "]},\"b\":{\"$nin\":[");
    add_values(11);
    check_made_refused("]}}", "filter.b.$nin[10]");
}

static void test_depth_max(void **state)
{
    (void)state;
    begin("");
    add_text("{\"$not\":", LIMIT_FILTER_DEPTH - 1);
    buf_add_str(&made, "{\"a\":1}");
    add_text("}", LIMIT_FILTER_DEPTH - 1);
    check_made("", "{\"a\":1}", false);

    begin("");
    add_text("{\"$not\":", LIMIT_FILTER_DEPTH);
    buf_add_str(&made, "{\"a\":1}");
    add_text("}", LIMIT_FILTER_DEPTH);
    check_made_refused("", "filter.$not.$not.$not.$not.$not.$not.$not.$not.$not.$not.$not.$not.$not"
                           ".$not.$not.$not");

    begin("");
    add_text("{\"$or\":[", LIMIT_FILTER_DEPTH / 2);
    buf_add_str(&made, "1");
    add_text("]}", LIMIT_FILTER_DEPTH / 2);
    check_made("", "1", true);
    begin("{\"a\":");
    add_text("{\"$or\":[", LIMIT_FILTER_DEPTH / 2);
    buf_add_str(&made, "1");
    add_text("]}", LIMIT_FILTER_DEPTH / 2);
    check_made_refused("}", "filter.a.$or[0].$or[0].$or[0].$or[0].$or[0].$or[0].$or[0].$or");
}

static void test_bytes_max(void **state)
{
    (void)state;
    begin("{\"a\":1");
    add_text(" ", LIMIT_FILTER_BYTES - 7);
    check_made("}", "{\"a\":1}", true);
    begin("{\"a\":1");
    add_text(" ", LIMIT_FILTER_BYTES - 6);
    check_made_refused("}", "filter");
}

/* A payload as deep as payloads may be, and names at all levels of it. */
static void test_deep_payload(void **state)
{
    (void)state;
    struct buf data;
    buf_init(&data, TEXT_MAX);
    for (int i = 0; i < LIMIT_JSON_DEPTH / 2; i++)
        buf_add_str(&data, "[{\"a\":");
    buf_add_str(&data, "1");
    for (int i = 0; i < LIMIT_JSON_DEPTH / 2; i++)
        buf_add_str(&data, "}]");
    assert_int_equal(json_check(buf_slice(&data), NULL), ST_OK);
    begin("{\"a");
    for (int names = 1; names < LIMIT_FILTER_PATH; names++)
        buf_add_str(&made, ".a");
    buf_add_str(&made, "\":{\"$exists\":true},\"0");
    for (int names = 2; names < LIMIT_FILTER_PATH; names += 2)
        buf_add_str(&made, ".a.0");
    buf_add_str(&made, ".a\":{\"$exists\":true},\"a.a.0.a.0.a.a\":{\"$exists\":true},"
                       "\"a.a.a.0.a.a.1.b\":{\"$exists\":false}}");
    struct filter *filter = must_compile(buf_slice(&made));
    assert_true(filter_matches(filter, buf_slice(&data)));
    filter_free(filter);
    buf_free(&data);
}

static int made_init(void **state)
{
    (void)state;
    buf_init(&made, TEXT_MAX);
    return 0;
}

static int made_free(void **state)
{
    (void)state;
    buf_free(&made);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),          cmocka_unit_test(test_unequal),
        cmocka_unit_test(test_order),          cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_strings),        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_exists),         cmocka_unit_test(test_paths),
        cmocka_unit_test(test_arrays),         cmocka_unit_test(test_groups),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_suggests),
        cmocka_unit_test(test_conditions_max), cmocka_unit_test(test_steps_max),
        cmocka_unit_test(test_long_place),     cmocka_unit_test(test_values_max),
        cmocka_unit_test(test_depth_max),      cmocka_unit_test(test_bytes_max),
        cmocka_unit_test(test_deep_payload),
    };
    return cmocka_run_group_tests(tests, made_init, made_free);
}
