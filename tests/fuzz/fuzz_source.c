/* fuzz_source - sources: documents, files, and X-Forwarded-For, on arbitrary bytes.
 *
 * A document that is taken can be loaded again and is then the same; what is shown of it can be
 * sent back without changing anything. A YAML file is refused or becomes JSON that passes our own
 * check. Whoever is found behind a proxy is somebody in the list, or the proxy.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "core/source_document.h"
#include "net/forwarded.h"
#include "wire/yaml_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_MS UINT64_C(1790000000000)

static void check(bool truth)
{
    if (!truth)
        abort();
}

static struct source_rules rules = {.body_bytes_max = 1024 * 1024};

/* What is shown can be sent back and changes nothing, if no two secrets have the same mask. */
static void check_sent_back(const struct source *source)
{
    struct source *again;
    struct field_error error;
    enum status status = source_document_make(&rules, source, slice_str(source->name),
                                              slice_str(source->shown), NOW_MS, &again, &error);
    if (status != ST_OK)
        return;
    check(strcmp(again->shown, source->shown) == 0);
    check(again->secret_count == source->secret_count);
    for (size_t i = 0; i < source->secret_count; i++)
        check(strcmp(again->secrets[i].text, source->secrets[i].text) == 0);
    source_put(again);
}

static void check_document(struct slice body)
{
    struct source *source, *again;
    struct field_error error = {.code = NULL};
    enum status status =
        source_document_make(&rules, NULL, SLICE_NULL, body, NOW_MS, &source, &error);
    if (status != ST_OK) {
        check(!source && (status == ST_NOMEM || (error.code && error.message[0])));
        return;
    }
    check_sent_back(source);
    struct json_error problem;
    check(json_check(slice_str(source->shown), &problem) == ST_OK);
    check(source_document_load(&rules, slice_str(source->document), &again, &error) == ST_OK);
    check(strcmp(again->document, source->document) == 0);
    check(strcmp(again->shown, source->shown) == 0);
    source_put(again);
    source_put(source);
}

static void check_yaml(struct slice text)
{
    char reason[128];
    struct buf json;
    struct json_error problem;
    buf_init(&json, 64 * 1024);
    if (yaml_json(text, "f", NULL, &json, reason, sizeof(reason)) == ST_OK) {
        enum status status = json_check(buf_slice(&json), &problem);
        check(status == ST_OK);
        check_document(buf_slice(&json));
    }
    buf_free(&json);
}

static void check_forwarded(struct slice value)
{
    struct network trusted, peer, client;
    check(network_parse(SLICE("10.0.0.0/8"), &trusted) == ST_OK);
    check(network_parse(SLICE("10.0.0.1"), &peer) == ST_OK);
    bool found = forwarded_client(&peer, &value, 1, &trusted, 1, &client);
    check(found == (client.prefix_bits == 32 || client.prefix_bits == 128));
    check(found || client.prefix_bits == 0);
    if (value.len == 0)
        check(memcmp(&client, &peer, sizeof(peer)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rules.schemes && !(rules.schemes = scheme_set_new()))
        abort();
    struct slice text = slice_of(data, size);
    if (size > 0 && data[0] == '{')
        check_document(text);
    else if (size > 0 && data[0] == '>')
        check_forwarded(slice_from(text, 1));
    else
        check_yaml(text);
    return 0;
}
