/* `smtptap verify`: reads the files of one log in the order of their writing, P.head before them, and tells what
 * breaks the chain. The lock that a running smtptap respects keeps the files from being rotated meanwhile. */
#include "proxy/cli/cli.h"

#include "common/record/chain_check.h"
#include "proxy/cli/usage.h"
#include "proxy/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

/* A line longer than any record may be is none; its rest is passed over. */
enum { LINE_MAX_OCTETS = 2 << 20, READ_OCTETS = 1 << 16, FILES_MAX = 4096 };

struct verify {
    const char *config, *key_file;
    bool no_head;
    char *file[FILES_MAX]; /* owned; the oldest first */
    size_t files;
    char *head; /* P.head; owned */
    struct log_key key;
    struct chain_check *check;
    bool failed; /* something couldn't be read */
};

static void tell_fault(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

static void tell_finding(void *arg, enum chain_finding finding, const char *file, uint64_t line, const char *text)
{
    (void)arg;
    const char *note = finding == CHAIN_NOTE ? "note: " : "";
    if (line > 0)
        fprintf(stderr, "%s:%llu: %s%s\n", file, (unsigned long long)line, note, text);
    else
        fprintf(stderr, "%s: %s%s\n", file, note, text);
}

static int parse_options(int argc, char **argv, struct verify *v)
{
    static const struct option LONG[] = { { "key-file", required_argument, NULL, 'k' },
                                          { "no-head", no_argument, NULL, 'n' },
                                          { "help", no_argument, NULL, 'h' },
                                          { NULL, 0, NULL, 0 } };
    int option;
    opterr = 0;
    optind = 0; /* getopt starts anew */
    while ((option = getopt_long(argc, argv, ":c:h", LONG, NULL)) != -1) {
        if (option == 'c')
            v->config = optarg;
        else if (option == 'k')
            v->key_file = optarg;
        else if (option == 'n')
            v->no_head = true;
        else if (option == 'h')
            return usage_print("verify");
        else
            return usage_bad_option("verify", option, argv);
    }
    if (optind == argc)
        return usage_error("verify", "which file?");
    if ((v->config != NULL) == (v->key_file != NULL))
        return usage_error("verify", "the key comes from -c FILE (the configuration) or --key-file FILE");
    return argc - optind <= FILES_MAX ? -1 : usage_error("verify", "too many files");
}

static bool read_key(struct verify *v)
{
    if (v->key_file != NULL) {
        const char *why = settings_read_key(v->key_file, &v->key);
        if (why != NULL)
            fprintf(stderr, "smtptap verify: %s: %s\n", v->key_file, why);
        return why == NULL;
    }
    struct settings *s = settings_load(v->config, NULL, NULL, tell_fault, NULL);
    if (s == NULL)
        return false;
    v->key = s->log.integrity_key;
    s->log.integrity_key = (struct log_key){ 0 };
    settings_unref(&s);
    if (v->key.p == NULL)
        fprintf(stderr, "smtptap verify: %s: log.integrity is \"off\"\n", v->config);
    return v->key.p != NULL;
}

/* Owned by the caller. */
static char *joined(const char *base, const char *end)
{
    char *path;
    if (asprintf(&path, "%s%s", base, end) < 0)
        abort();
    return path;
}

static char *numbered(const char *base, unsigned number)
{
    char *path;
    if (asprintf(&path, "%s.%u", base, number) < 0)
        abort();
    return path;
}

/* Of one file also those that it was rotated to; a crash may have left a gap of one. */
static void find_files(struct verify *v, char **name, int count)
{
    unsigned oldest = 0;
    for (int i = 0; count > 1 && i < count; i++)
        v->file[v->files++] = joined(name[i], "");
    if (count > 1)
        return;
    for (unsigned n = 1; n <= oldest + 2 && n < FILES_MAX - 1; n++) {
        char *path = numbered(name[0], n);
        oldest = access(path, F_OK) == 0 ? n : oldest;
        free(path);
    }
    for (unsigned n = oldest; n > 0; n--) {
        char *path = numbered(name[0], n);
        if (access(path, F_OK) == 0)
            v->file[v->files++] = path;
        else
            free(path);
    }
    v->file[v->files++] = joined(name[0], "");
}

static void fail(struct verify *v, const char *path)
{
    fprintf(stderr, "smtptap verify: %s: %s\n", path, strerror(errno));
    v->failed = true;
}

static ssize_t read_head(const struct verify *v, char *text, size_t size)
{
    int fd = open(v->head, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size) : -1;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return n;
}

/* Before the files, and after them once more: what began meanwhile is in it by then. */
static void check_head(struct verify *v, bool after)
{
    char text[CHAIN_SLOT * CHAIN_SLOTS + 1];
    ssize_t n = read_head(v, text, sizeof(text));
    if (n >= 0 && after)
        chain_check_newest(v->check, v->head, span_of(text, (size_t)n));
    for (size_t at = 0; !after && n > 0 && at < (size_t)n; at += CHAIN_SLOT)
        chain_check_slot(v->check, v->head, span_head(span_of(text + at, (size_t)n - at), CHAIN_SLOT));
    if (n < 0 && !after) {
        fail(v, v->head);
        fprintf(stderr, "smtptap verify: without it a log that was cut off looks whole (--no-head: be content)\n");
    }
}

/* Gives the check each line of the buffer that is whole; the rest stays. */
static void check_lines(struct verify *v, struct buf *text, bool *skipping)
{
    const char *end;
    struct span left = buf_span(text);
    size_t used = 0;
    while ((end = left.n > 0 ? memchr(left.p, '\n', left.n) : NULL) != NULL) {
        struct span line = span_of(left.p, (size_t)(end - left.p));
        if (!*skipping)
            chain_check_line(v->check, line, true);
        *skipping = false;
        left = span_skip(left, line.n + 1);
        used += line.n + 1;
    }
    if (left.n > LINE_MAX_OCTETS) {
        if (!*skipping)
            chain_check_line(v->check, span_head(left, 1), true);
        *skipping = true;
        used += left.n;
    }
    buf_consume(text, used);
}

static void check_file(struct verify *v, const char *path)
{
    struct buf text;
    bool skipping = false;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail(v, path);
        return;
    }
    buf_init(&text, NULL);
    chain_check_file(v->check, path);
    do {
        n = read(fd, buf_reserve(&text, READ_OCTETS), READ_OCTETS);
        buf_commit(&text, n > 0 ? (size_t)n : 0);
        check_lines(v, &text, &skipping);
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0)
        fail(v, path);
    if (!buf_empty(&text) && !skipping)
        chain_check_line(v->check, buf_span(&text), false);
    buf_free(&text);
    close(fd);
}

static int report(struct verify *v)
{
    struct chain_sum sum = chain_check_end(v->check);
    if (sum.records == 0 && !v->failed) {
        fprintf(stderr, "smtptap verify: %s: there is no record of a chain\n", v->file[v->files - 1]);
        v->failed = true;
    }
    printf("%llu records of %llu runs in %zu file%s: %s\n", (unsigned long long)sum.records,
           (unsigned long long)sum.runs, v->files, v->files == 1 ? "" : "s",
           sum.faults > 0 ? "the chain is broken"
           : v->failed    ? "not all could be read"
                          : "the chain is whole");
    return sum.faults == 0 && !v->failed && fflush(stdout) == 0 ? 0 : 1;
}

int cli_verify(int argc, char **argv)
{
    static struct verify v;
    int status = parse_options(argc, argv, &v);
    if (status >= 0)
        return status;
    if (!read_key(&v))
        return 1;
    int lock = open(argv[argc - 1], O_RDONLY | O_CLOEXEC);
    if (lock >= 0)
        flock(lock, LOCK_SH | LOCK_NB);
    find_files(&v, argv + optind, argc - optind);
    v.check = chain_check_new(span_of(v.key.p, v.key.n), tell_finding, NULL);
    v.head = joined(v.file[v.files - 1], ".head");
    if (!v.no_head)
        check_head(&v, false);
    for (size_t i = 0; i < v.files; i++)
        check_file(&v, v.file[i]);
    if (!v.no_head)
        check_head(&v, true);
    status = report(&v);
    chain_check_free(&v.check);
    for (size_t i = 0; i < v.files; i++)
        free(v.file[i]);
    free(v.head);
    explicit_bzero(v.key.p, v.key.n);
    free(v.key.p);
    if (lock >= 0)
        close(lock);
    return status;
}
