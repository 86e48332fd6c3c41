/* http_fault.c - the table of what a client is told when the server refuses its request.
 *
 * One row a fault, so that the person at the other end learns which byte to change and not just
 * "bad request". Messages hold neither quotes nor backslashes: they go into JSON as they are. Which
 * status belongs to which fault follows RFC 9110 section 15 and, for framing, RFC 9112 section 6.
 */
#include "net/http_fault.h"

#include <assert.h>
#include <stddef.h>

#define BAD(text)                                                                                  \
    {                                                                                              \
        400, "bad_request", text                                                                   \
    }

static const struct http_fault_info table[HTTP_FAULTS] = {
    [HTTP_FAULT_BEGIN] = BAD("The request does not begin with a method; is this plain HTTP/1.1?"),
    [HTTP_FAULT_BARE_LF] = BAD("A line of the request ends in LF without CR."),
    [HTTP_FAULT_REQUEST_LINE] =
        BAD("The request line is not method, target and version with single spaces between."),
    [HTTP_FAULT_METHOD] = BAD("The method contains a character that no method may have."),
    [HTTP_FAULT_CONNECT] = BAD("CONNECT is a request to a proxy, which this is not."),
    [HTTP_FAULT_TARGET_BYTE] =
        BAD("The request target contains a byte that must be percent-encoded."),
    [HTTP_FAULT_TARGET_FRAGMENT] = BAD("The request target contains a fragment (#)."),
    [HTTP_FAULT_TARGET_FORM] =
        BAD("The request target is neither a path nor an http or https URI."),
    [HTTP_FAULT_TARGET_AUTHORITY] = BAD("The host in the request target is not valid."),
    [HTTP_FAULT_TARGET_ASTERISK] = BAD("The request target * goes with OPTIONS only."),
    [HTTP_FAULT_TARGET_LONG] = {414, "uri_too_long", "The request target is too long."},
    [HTTP_FAULT_VERSION_SYNTAX] = BAD("The version of the request line is not HTTP/1.1."),
    [HTTP_FAULT_VERSION] = {505, "http_version_unsupported",
                            "This server speaks HTTP/1.1 and HTTP/1.0 only."},
    [HTTP_FAULT_HEADER_FOLD] =
        BAD("A header line begins with white space; folded headers are obsolete."),
    [HTTP_FAULT_HEADER_SPACE] = BAD("There is white space between a header name and its colon."),
    [HTTP_FAULT_HEADER_NAME] =
        BAD("A header name is empty or contains a character that no name may have."),
    [HTTP_FAULT_HEADER_COLON] = BAD("A header line has no colon."),
    [HTTP_FAULT_HEADER_VALUE] = BAD("A header value contains a control character."),
    [HTTP_FAULT_HEADER_COUNT] = {431, "headers_too_large", "The request has too many headers."},
    [HTTP_FAULT_HEAD_LONG] = {431, "headers_too_large",
                              "The request line and headers are too long."},
    [HTTP_FAULT_HOST_MISSING] = BAD("The Host header is missing."),
    [HTTP_FAULT_HOST_TWICE] = BAD("There is more than one Host header."),
    [HTTP_FAULT_HOST_SYNTAX] = BAD("The Host header is not a host with an optional port."),
    [HTTP_FAULT_EXPECT] = {417, "expectation_failed",
                           "The only expectation this server meets is 100-continue."},
    [HTTP_FAULT_LENGTH_SYNTAX] = BAD("Content-Length is not a decimal number."),
    [HTTP_FAULT_LENGTH_TWICE] = BAD("There is more than one Content-Length header."),
    [HTTP_FAULT_LENGTH_AND_CODING] =
        BAD("The request has both Content-Length and Transfer-Encoding."),
    [HTTP_FAULT_CODING_TWICE] = BAD("There is more than one Transfer-Encoding header."),
    [HTTP_FAULT_CODING_1_0] = BAD("Transfer-Encoding does not exist in HTTP/1.0."),
    [HTTP_FAULT_CODING] = {501, "transfer_encoding_unsupported",
                           "The only transfer encoding this server knows is chunked, alone."},
    [HTTP_FAULT_BODY_LONG] = {413, "body_too_large", "The request body is too large."},
    [HTTP_FAULT_CHUNK_SIZE] = BAD("A chunk size is not 1 to 8 hexadecimal digits."),
    [HTTP_FAULT_CHUNK_LINE] = BAD("A line of the chunked body does not end in CR LF."),
    [HTTP_FAULT_CHUNK_EXTENSION] = BAD("A chunk extension is malformed."),
    [HTTP_FAULT_CHUNK_EXTENSION_LONG] = BAD("The chunk extensions are too long."),
    [HTTP_FAULT_CHUNK_END] = BAD("The data of a chunk is longer than its size says."),
    [HTTP_FAULT_TRAILER] = BAD("A trailer line of the chunked body is malformed."),
    [HTTP_FAULT_TRAILER_LONG] = {431, "headers_too_large",
                                 "The trailer of the chunked body is too long."},
    [HTTP_FAULT_HEAD_SLOW] = {408, "request_timeout",
                              "The request line and headers did not arrive in time."},
    [HTTP_FAULT_BODY_SLOW] = {408, "request_timeout", "The request body did not arrive in time."},
    [HTTP_FAULT_BODY_ENDS] = BAD("The connection was closed before the end of the request body."),
    [HTTP_FAULT_CONNECTIONS] = {503, "overloaded", "Too many connections; try again soon."},
    [HTTP_FAULT_MEMORY] = {503, "overloaded",
                           "Too many requests are being received; try again soon."},
};

const struct http_fault_info *http_fault_info(enum http_fault fault)
{
    assert(fault > HTTP_FAULT_NONE && fault < HTTP_FAULTS);
    return &table[fault];
}
