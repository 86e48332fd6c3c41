/* fuzz_job.c - any bytes as a job's stored spec, as its cursor, and as the three requests that make
 * one: what was taken can be written, read again and shown. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/job_request.h"
#include "core/job_spec.h"

static void check(bool truth)
{
    if (!truth)
        abort();
}

/* Written, read and written again it is the same. */
static void check_spec(const struct job_spec *spec)
{
    struct buf first, second;
    struct job_spec again;
    struct json_out out;
    buf_init(&first, 4 * 1024 * 1024);
    buf_init(&second, 4 * 1024 * 1024);
    job_spec_write(&first, spec);
    check(job_spec_read(buf_slice(&first), &again) == ST_OK);
    job_spec_write(&second, &again);
    check(slice_eq(buf_slice(&first), buf_slice(&second)));
    buf_clear(&first);
    json_out_begin(&out, &first);
    job_spec_render(&again, &out);
    check(buf_status(&first) == ST_OK);
    job_spec_free(&again);
    buf_free(&first);
    buf_free(&second);
}

static void check_cursor(struct slice text)
{
    struct job_cursor a, b;
    char out[JOB_CURSOR_TEXT];
    if (job_cursor_read(text, &a) != ST_OK)
        return;
    check(job_cursor_read(job_cursor_write(&a, out), &b) == ST_OK);
    check(strcmp(a.endpoint, b.endpoint) == 0 && strcmp(a.score, b.score) == 0);
    check(strcmp(a.member, b.member) == 0 && a.index == b.index);
}

static void check_request(struct slice body, enum job_request_form form)
{
    struct job_spec spec;
    struct field_error error;
    enum status status = job_request_read(body, form, 1000, &spec, &error);
    check(status == ST_OK || status == ST_RANGE);
    if (status == ST_RANGE) {
        check(error.code[0] && error.message[0]);
        return;
    }
    check_spec(&spec);
    job_spec_free(&spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct job_spec spec;
    if (size == 0)
        return 0;
    struct slice rest = slice_of(data + 1, size - 1);
    if (data[0] == 's' && job_spec_read(rest, &spec) == ST_OK) {
        check_spec(&spec);
        job_spec_free(&spec);
    } else if (data[0] == 'c') {
        check_cursor(rest);
    } else if (data[0] >= '0' && data[0] <= '2') {
        check_request(rest, (enum job_request_form)(data[0] - '0'));
    }
    return 0;
}
