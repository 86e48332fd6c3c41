/* yaml_dir.c - the .yaml files of a folder.
 *
 * Hidden files are passed over: editors keep theirs beside the ones that are edited, and Kubernetes
 * mounts a ConfigMap with hidden folders.
 */
#include "wire/yaml_dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

enum { STEP = 4096 };

static int is_yaml(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && slice_ends(slice_str(entry->d_name), SLICE(".yaml"));
}

/* Appends the file's content to `text`, whose maximum bounds it. ST_IO, errno tells. */
static enum status file_read(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return ST_IO;
    char *place;
    size_t len = 0;
    while ((place = buf_reserve(text, STEP)) && (len = fread(place, 1, STEP, file)) > 0)
        text->len += len;
    enum status status = ferror(file) ? ST_IO : buf_status(text);
    int reason = errno;
    fclose(file);
    errno = reason;
    return status;
}

static enum status take_file(const char *path, size_t bytes_max, yaml_dir_fn *fn, void *arg,
                             char *error, size_t error_size)
{
    struct buf text;
    /* The parser has the limit; the buffer has room for what shows that it is passed. */
    buf_init(&text, bytes_max + 3 * STEP);
    enum status status = file_read(path, &text);
    if (status == ST_IO)
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
    if (status == ST_LIMIT)
        status = ST_OK;
    if (status == ST_OK)
        status = fn(arg, path, buf_slice(&text), error, error_size);
    if (text.ptr)
        explicit_bzero(text.ptr, text.len); /* it may have secrets */
    buf_free(&text);
    return status;
}

enum status yaml_dir_read(const char *dir, size_t bytes_max, yaml_dir_fn *fn, void *arg,
                          char *error, size_t error_size)
{
    struct dirent **entries;
    struct buf path;
    if (error_size > 0)
        error[0] = '\0';
    int count = scandir(dir, &entries, is_yaml, alphasort);
    if (count < 0) {
        snprintf(error, error_size, "%s: %s", dir, strerror(errno));
        return ST_IO;
    }
    enum status status = ST_OK;
    buf_init(&path, 4096);
    for (int i = 0; i < count && status == ST_OK; i++) {
        buf_clear(&path);
        buf_addf(&path, "%s/%s", dir, entries[i]->d_name);
        buf_add_char(&path, '\0');
        status = buf_status(&path);
        if (status == ST_OK)
            status = take_file(path.ptr, bytes_max, fn, arg, error, error_size);
    }
    buf_free(&path);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    if (status != ST_OK && error_size > 0 && error[0] == '\0')
        snprintf(error, error_size, "%s: %s", dir, status_text(status));
    return status;
}
