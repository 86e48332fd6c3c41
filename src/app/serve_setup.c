/* serve_setup.c - what a gateway and the parent of several workers begin and end with. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/api_key.h"
#include "app/serve.h"
#include "base/log.h"
#include "base/log_levels.h"
#include "net/lock_file.h"

/* Batches of some hundred KiB come and go many times a second. By itself glibc gives the end of the
 * heap back whenever some hundred KiB of it are free, and has the system clear new pages for the
 * next batch: one for every ten events, 2 % of the CPU. Batches that are much larger than usual are
 * still mapped by themselves, and so go back at once. */
void serve_keep_memory(void)
{
    enum { FREE_BYTES_MAX = 8 << 20, HEAP_PIECE_BYTES_MAX = 1 << 20 };
    /* A refusal leaves it as it was, which is only slower. */
    (void)mallopt(M_TRIM_THRESHOLD, FREE_BYTES_MAX);
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_PIECE_BYTES_MAX);
}

bool serve_start_log(const struct config *config, struct buf *error)
{
    struct log_levels levels = {.level = config->log.level};
    for (size_t i = 0; i < config->log.levels.count; i++) {
        const char *text = config->log.levels.items[i];
        if (log_levels_add(&levels, slice_str(text)) != ST_OK) {
            buf_addf(error, "log.levels: \"%s\" is not COMPONENT=LEVEL", text);
            return false;
        }
    }
    log_levels_apply(&levels);
    log_set_format(config->log.format);
    if (log_writer_start() == ST_OK)
        return true;
    buf_addf(error, "cannot start the log's writer: %s", strerror(errno));
    return false;
}

/* With an external Redis nothing else refuses the second of two servers that were started alike:
 * they may share even their port. The lock ends with the process. */
static bool lock_data(const char *data, struct buf *error)
{
    int lock = -1;
    pid_t holder = 0;
    int dir = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status status = dir < 0 ? ST_IO : lock_file_take(dir, "lock", &lock, &holder);
    if (status == ST_OK)
        status = lock_file_name_holder(lock, getpid());
    if (status == ST_EXISTS)
        buf_addf(error, "the data directory %s is in use by process %ld", data, (long)holder);
    else if (status != ST_OK)
        log_warn("serve.data_not_locked", "data=%s errno=%d", log_quote(slice_str(data)), errno);
    if (dir >= 0)
        close(dir);
    return status != ST_EXISTS;
}

bool serve_open_data(const struct config *config, bool owned, struct buf *api_key, bool *made,
                     struct buf *error)
{
    const char *data = config->data;
    if (mkdir(data, 0700) != 0 && errno != EEXIST) {
        buf_addf(error, "cannot create the data directory %s: %s", data, strerror(errno));
        return false;
    }
    if (owned && !serve_redis_is_embedded(config) && !lock_data(data, error))
        return false;
    if (api_key_open(data, api_key, made, error) != ST_OK)
        return false;
    if (*made)
        log_info("serve.api_key_made", "data=%s", log_quote(slice_str(data)));
    return true;
}

bool serve_start_redis(const struct config *config, struct reactor *reactor,
                       struct redis_server **redis, struct buf *error)
{
    static const char *const durability[] = {"always", "everysec", "memory"};
    struct redis_server_options options = {
        .data_dir = config->data,
        .durability = durability[config->durability],
        .max_memory_bytes = config->redis_options.max_memory_bytes,
    };
    char text[512];
    if (redis_server_start(reactor, &options, redis, text, sizeof(text)) == ST_OK)
        return true;
    buf_add_str(error, text);
    return false;
}

void serve_say_failed(const struct config *config, const struct buf *error)
{
    struct buf text;
    if (config->log.format == LOG_JSON) {
        log_error("serve.not_started", "reason=%s", log_quote(buf_slice(error)));
        return;
    }
    buf_init(&text, 8192);
    buf_addf(&text, "trotline: %.*s\n", SLICE_ARGS(buf_slice(error)));
    if (buf_status(&text) == ST_OK)
        log_plain(buf_slice(&text));
    buf_free(&text);
}
