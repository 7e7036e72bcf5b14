/* Keys that the log works with (hashes of `redact`, the chain of `integrity`): read from their files once, with the
 * configuration, so that what is wrong with them is told with all else. A line's end behind the key is no part of it.
 */
#include "proxy/settings_tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_MIN = 16, KEY_MAX = 4096 };

/* Reads up to max octets; -1 and errno. */
static ssize_t read_some(const char *file, char *to, size_t max)
{
    size_t n = 0;
    ssize_t got = 1;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    while (n < max && got != 0) {
        got = read(fd, to + n, max - n);
        if (got < 0 && errno != EINTR)
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    int error = errno;
    close(fd);
    errno = error;
    return got < 0 ? -1 : (ssize_t)n;
}

static size_t without_line_end(const char *p, size_t n)
{
    if (n > 0 && p[n - 1] == '\n')
        n--;
    if (n > 0 && p[n - 1] == '\r')
        n--;
    return n;
}

const char *settings_read_key(const char *file, struct log_key *out)
{
    char text[KEY_MAX + 3];
    ssize_t got = read_some(file, text, sizeof text);
    const char *why = NULL;
    if (got < 0)
        return strerror(errno);
    size_t n = without_line_end(text, (size_t)got);
    if (n < KEY_MIN)
        why = "a key has at least 16 bytes";
    else if (n > KEY_MAX)
        why = "a key has at most 4096 bytes";
    else
        *out = (struct log_key){ .p = conf_grow(NULL, n, 1), .n = n };
    if (why == NULL)
        memcpy(out->p, text, n);
    explicit_bzero(text, sizeof text);
    return why;
}

static void open_key(struct conf *c, const char *path, const char *file, bool needed, const char *why_needed,
                     struct log_key *out)
{
    if (file == NULL) {
        if (needed && !conf_faulty(c, path))
            conf_fault(c, path, "this key is needed: %s", why_needed);
        return;
    }
    const char *why = settings_read_key(file, out);
    if (why != NULL)
        conf_fault(c, path, "\"%s\": %s", file, why);
}

static bool hashes(const struct redact_rules *r)
{
    return r->addresses == REDACT_HASH || r->client_ip == REDACT_HASH || r->username == REDACT_HASH ||
           r->subject == REDACT_HASH;
}

static bool has_file(const struct log_settings *log)
{
    for (size_t i = 0; i < log->outputs; i++) {
        if (log->output[i].type == OUTPUT_FILE)
            return true;
    }
    return false;
}

void settings_open_keys(struct settings *s, struct conf *c)
{
    struct log_settings *log = &s->log;
    open_key(c, "log.redact.key_file", log->redact_key_file, hashes(&log->redact), "a rule says \"hash\"",
             &log->redact_key);
    if (conf_faulty(c, "log.integrity"))
        open_key(c, "log.integrity_key_file", log->integrity_key_file, false, "", &log->integrity_key);
    if (log->integrity == INTEGRITY_CHAIN) {
        open_key(c, "log.integrity_key_file", log->integrity_key_file, true, "log.integrity is \"chain\"",
                 &log->integrity_key);
        if (!has_file(log))
            conf_fault(c, "log.integrity", "a chain needs an output of type file");
    }
}

static void close_key(struct log_key *key)
{
    if (key->p != NULL)
        explicit_bzero(key->p, key->n);
    free(key->p);
    *key = (struct log_key){ 0 };
}

void settings_close_keys(struct settings *s)
{
    close_key(&s->log.redact_key);
    close_key(&s->log.integrity_key);
}

static void inspect_key(struct conf *c, const char *path, const char *file)
{
    struct stat st;
    if (file != NULL && stat(file, &st) == 0 && (st.st_mode & (S_IRGRP | S_IROTH)) != 0)
        conf_warn(c, path, "\"%s\" can be read by others than its owner (mode %04o)", file,
                  (unsigned)(st.st_mode & 07777));
}

void settings_inspect_keys(const struct settings *s, struct conf *c)
{
    inspect_key(c, "log.redact.key_file", s->log.redact_key_file);
    inspect_key(c, "log.integrity_key_file", s->log.integrity_key_file);
}
