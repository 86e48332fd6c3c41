/* fuzz_scheme_file.c - descriptions of schemes.
 *
 * A wrong one has an error that names the file; a good one that sends makes secrets that fit it.
 */
#include <stdint.h>
#include <stdlib.h>

#include "wire/scheme.h"
#include "wire/scheme_file.h"
#include "wire/scheme_private.h"

static void expect(bool good)
{
    if (!good)
        abort();
}

static void try_scheme(const struct scheme *scheme)
{
    struct buf text;
    struct signer_key *key;
    const char *reason;
    buf_init(&text, SIZE_MAX);
    expect(scheme_secret_generate(scheme, &text) == ST_OK);
    expect(scheme_secret_key(scheme, buf_slice(&text), &key, &reason) == ST_OK);
    signer_key_free(key);
    expect(strlen(scheme_name(scheme)) > 0);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[256] = "";
    struct scheme *scheme;
    enum status status =
        scheme_file_parse(slice_of(data, size), "file", &scheme, error, sizeof(error));
    if (status == ST_OK && scheme_sends(scheme))
        try_scheme(scheme);
    if (status == ST_OK)
        expect(scheme_receives(scheme));
    else
        expect(!scheme && strncmp(error, "file:", 5) == 0);
    scheme_free(scheme);
    return 0;
}
