/* fuzz_url - url_check() and netguard_add_cidr() on arbitrary bytes.
 *
 * Input: a network (up to the first NUL byte) and a URL behind it; without a NUL all is the URL.
 *
 * What must hold for a URL that was accepted:
 *   - libcurl's parser accepts it too and reads the same scheme, host and port;
 *   - when the resolver takes its host for an address, the guard allows that address.
 * What must hold for a network that was accepted: its own first address is allowed.
 */
#include <assert.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The host as our checker must have read it: between "://" and the port, path or query. */
static struct slice plain_host(struct slice url)
{
    const char *start = (const char *)memmem(url.ptr, url.len, "://", 3) + 3;
    size_t len = 0, max = url.len - (size_t)(start - url.ptr);
    int in_brackets = *start == '[';
    while (len < max && start[len] != '/' && start[len] != '?' &&
           (in_brackets || start[len] != ':')) {
        if (start[len] == ']')
            in_brackets = 0;
        len++;
    }
    return slice_of(start, len);
}

/* As a number for IPv4 hosts, which libcurl writes anew; else as text without its case. */
static void assert_same_host(const char *curl_host, const char *host)
{
    struct in_addr ours, theirs;
    struct in6_addr ours6, theirs6;
    char text[64] = "";
    if (inet_aton(host, &ours)) {
        assert(inet_aton(curl_host, &theirs) && ours.s_addr == theirs.s_addr);
    } else if (host[0] == '[') {
        assert(curl_host[0] == '[' && strlen(host) < sizeof(text) && strlen(curl_host) < 60);
        memcpy(text, host + 1, strlen(host) - 2);
        assert(inet_pton(AF_INET6, text, &ours6) == 1);
        memset(text, 0, sizeof(text));
        memcpy(text, curl_host + 1, strlen(curl_host) - 2);
        assert(inet_pton(AF_INET6, text, &theirs6) == 1);
        assert(memcmp(&ours6, &theirs6, sizeof(ours6)) == 0);
    } else {
        assert(strcasecmp(curl_host, host) == 0);
    }
}

static void assert_curl_agrees(const char *url, const char *host)
{
    CURLU *handle = curl_url();
    const char *behind_host = strstr(url, "://") + 3 + strlen(host);
    char *curl_host = NULL, *port = NULL, *user = NULL, *fragment = NULL;
    assert(handle);
    assert(curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK);
    assert(curl_url_get(handle, CURLUPART_HOST, &curl_host, 0) == CURLUE_OK);
    assert(curl_url_get(handle, CURLUPART_USER, &user, 0) == CURLUE_NO_USER);
    assert(curl_url_get(handle, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_NO_FRAGMENT);
    assert_same_host(curl_host, host);
    if (*behind_host == ':') {
        assert(curl_url_get(handle, CURLUPART_PORT, &port, 0) == CURLUE_OK);
        assert(atoi(port) == atoi(behind_host + 1));
    } else {
        assert(curl_url_get(handle, CURLUPART_PORT, &port, 0) == CURLUE_NO_PORT);
    }
    curl_free(port);
    curl_free(curl_host);
    curl_url_cleanup(handle);
}

static void assert_guard_agrees(const struct netguard *guard, const char *host)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *found;
    char text[256];
    size_t len = strlen(host);
    if (host[0] == '[')
        snprintf(text, sizeof(text), "%.*s", (int)len - 2, host + 1);
    else
        snprintf(text, sizeof(text), "%s", host);
    if (getaddrinfo(text, NULL, &hints, &found) != 0)
        return;
    for (const struct addrinfo *i = found; i; i = i->ai_next)
        assert(netguard_allows(guard, i->ai_addr, NULL));
    freeaddrinfo(found);
}

static void check_network(struct netguard *guard, struct slice cidr)
{
    char text[INET6_ADDRSTRLEN];
    if (netguard_add_cidr(guard, cidr) != ST_OK)
        return;
    const struct network *net = &guard->allow[0];
    assert(guard->allow_count == 1 && net->prefix_bits <= (net->v6 ? 128 : 32));
    assert(inet_ntop(net->v6 ? AF_INET6 : AF_INET, net->bytes, text, sizeof(text)));
    /* An IPv6 network of addresses that carry IPv4 ones opens nothing: those are judged inside. */
    if (!net->v6)
        assert(netguard_allows_text(guard, text, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct netguard guard = {.allow_private = size % 2};
    struct slice url = slice_of(data, size);
    const char *nul = size ? memchr(data, '\0', size) : NULL;
    const char *reason = NULL;
    if (nul) {
        check_network(&guard, slice_of(data, (size_t)(nul - url.ptr)));
        url = slice_from(url, (size_t)(nul - url.ptr) + 1);
    }
    if (url_check(url, true, &guard, &reason) != ST_OK) {
        assert(reason && reason[0]);
        return 0;
    }
    struct slice host = plain_host(url);
    char *url_text = strndup(url.ptr, url.len), *host_text = strndup(host.ptr, host.len);
    assert(url_text && host_text && strlen(url_text) == url.len);
    assert_curl_agrees(url_text, host_text);
    assert_guard_agrees(&guard, host_text);
    free(url_text);
    free(host_text);
    return 0;
}
