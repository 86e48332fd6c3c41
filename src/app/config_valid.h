/* config_valid.h - what strings of the configuration may be; config_options.c says which option is
 * judged by which. */
#ifndef TROTLINE_APP_CONFIG_VALID_H
#define TROTLINE_APP_CONFIG_VALID_H

#include <stdbool.h>

bool config_valid_not_empty(const char *text);
bool config_valid_worker_listen(const char *text);
bool config_valid_redis(const char *text);
bool config_valid_key_prefix(const char *text);
bool config_valid_api_key(const char *text);
bool config_valid_cidr(const char *text);
bool config_valid_log_level(const char *text);
bool config_valid_header_value(const char *text);
bool config_valid_proxy(const char *text);
bool config_valid_feed(const char *text);

#endif
