/* github.h - what makes a request one of GitHub's: id, type and an HMAC-SHA256 of the body, in
 * headers.
 *
 * [https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries]
 */
#ifndef TROTLINE_BENCH_LOAD_GITHUB_H
#define TROTLINE_BENCH_LOAD_GITHUB_H

#include <stddef.h>

enum { GITHUB_SIGNATURE_BYTES = 64 };

/* Before the others; `secret` is the key as it is. What cannot be done ends the program. */
void github_open(const char *secret);

/* Writes the hexadecimal digits of the body's signature, without a NUL. */
void github_sign(char out[GITHUB_SIGNATURE_BYTES], const char *body, size_t len);

#endif
