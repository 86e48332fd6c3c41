/* verify_webhook.c - is a webhook that came in genuine? Takes the request as a receiver has it: the
 * body's bytes as they came, and the headers.
 *
 *     cc verify_webhook.c $(pkg-config --cflags --libs trotline) -o verify_webhook
 *     ./verify_webhook standard "$SECRET" 'webhook-id: msg_1' 'webhook-timestamp: …' … < body
 *
 * Prints the event's id and type and exits 0, or says why not and exits 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trotline/trotline.h>

enum { BODY_BYTES_MAX = 1024 * 1024, HEADERS_MAX = 100 };

static char body[BODY_BYTES_MAX];

/* "Name: value"; blanks around the value do not matter. */
static struct trotline_header header_of(const char *line)
{
    const char *colon = strchr(line, ':');
    struct trotline_header header;
    header.name = trotline_slice_of(line, colon ? (size_t)(colon - line) : strlen(line));
    header.value = trotline_slice_str(colon ? colon + 1 : "");
    return header;
}

/* The work of a receiver; scheme and verifier would be made once, at its start. */
static int judge(struct trotline_verifier *verifier, const struct trotline_request *request)
{
    struct trotline_finding finding;
    enum trotline_verdict verdict = trotline_verify(verifier, request, 0, &finding);
    if (verdict != TROTLINE_VERIFIED) {
        printf("%s: %s (%s)\n", trotline_verdict_name(verdict), trotline_verdict_text(verdict),
               finding.about);
        return 1;
    }
    struct trotline_slice id = trotline_verifier_event_id(verifier, request);
    printf("verified: id %.*s\n", (int)id.bytes, id.at ? id.at : "");
    struct trotline_slice type = trotline_verifier_event_type(verifier, request);
    printf("type: %.*s\n", (int)type.bytes, type.at ? type.at : "");
    return 0;
}

int main(int argc, char **argv)
{
    struct trotline_scheme *scheme;
    struct trotline_verifier *verifier = NULL;
    struct trotline_header headers[HEADERS_MAX];
    struct trotline_request request;
    struct trotline_error error = {"", "", ""};
    int code = 2;
    if (argc < 3 || argc - 3 > HEADERS_MAX) {
        fprintf(stderr, "usage: verify_webhook SCHEME SECRET ['NAME: VALUE']... < BODY\n");
        return code;
    }
    memset(&request, 0, sizeof(request));
    for (int i = 3; i < argc; i++)
        headers[request.header_count++] = header_of(argv[i]);
    request.headers = headers;
    request.body = trotline_slice_of(body, fread(body, 1, sizeof(body), stdin));

    const char *secret = argv[2];
    enum trotline_status status = trotline_scheme_open(argv[1], &scheme);
    if (status == TROTLINE_OK)
        status = trotline_verifier_new(scheme, &secret, 1, &verifier, &error);
    if (status == TROTLINE_OK)
        code = judge(verifier, &request);
    else
        fprintf(stderr, "verify_webhook: %s. %s\n", trotline_status_text(status), error.message);
    trotline_verifier_free(verifier);
    trotline_scheme_free(scheme);
    return code;
}
