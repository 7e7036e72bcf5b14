/* The file's bytes are kept and cut into names in place; two arrays of them, one in the order of names and one of
 * addresses, are searched by halving. A file that can't be read, or is too large to be a hosts file, is empty. */
#include "proxy/net/dns_hosts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 << 20 };
#define CHECK_EVERY USEC_PER_SEC

struct host {
    struct netaddr addr;
    const char *name; /* inside text, lower case */
    size_t order;
};

struct hosts_list {
    struct host *host; /* owned */
    size_t count, cap;
};

struct dns_hosts {
    char *path, *text; /* owned */
    struct stat seen;
    usec_t checked;
    bool read_once;
    struct hosts_list by_name, by_addr; /* by_addr: only the first name of a line */
};

static void list_add(struct hosts_list *l, struct host h)
{
    if (l->count == l->cap) {
        l->cap = l->cap > 0 ? l->cap * 2 : 16;
        l->host = reallocarray(l->host, l->cap, sizeof(*l->host));
        if (l->host == NULL)
            abort();
    }
    h.order = l->count;
    l->host[l->count++] = h;
}

static int compare_order(const struct host *a, const struct host *b)
{
    return a->order < b->order ? -1 : a->order > b->order;
}

static int compare_addr(const struct netaddr *a, const struct netaddr *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->ip, b->ip, sizeof(a->ip));
}

static int sort_name(const void *a, const void *b)
{
    int d = strcmp(((const struct host *)a)->name, ((const struct host *)b)->name);
    return d != 0 ? d : compare_order(a, b);
}

static int sort_addr(const void *a, const void *b)
{
    int d = compare_addr(&((const struct host *)a)->addr, &((const struct host *)b)->addr);
    return d != 0 ? d : compare_order(a, b);
}

static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t\r\f\v");
    if (*word == '\0')
        return NULL;
    *at = word + strcspn(word, " \t\r\f\v");
    if (**at != '\0')
        *(*at)++ = '\0';
    return word;
}

static void lower_name(char *name)
{
    size_t n = strlen(name);
    for (char *p = name; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 'a' - 'A');
    if (n > 1 && name[n - 1] == '.')
        name[n - 1] = '\0';
}

static void read_line(struct dns_hosts *h, char *line)
{
    struct host host;
    line[strcspn(line, "#")] = '\0';
    char *word = next_word(&line);
    if (word == NULL || !netaddr_parse_ip(&host.addr, span_str(word)))
        return;
    for (bool first = true; (word = next_word(&line)) != NULL; first = false) {
        if (!netaddr_is_hostname(span_str(word)))
            continue;
        lower_name(word);
        host.name = word;
        list_add(&h->by_name, host);
        if (first)
            list_add(&h->by_addr, host);
    }
}

static void clear(struct dns_hosts *h)
{
    free(h->text);
    free(h->by_name.host);
    free(h->by_addr.host);
    h->text = NULL;
    h->by_name = h->by_addr = (struct hosts_list){ .host = NULL };
}

/* The whole file, terminated, or NULL. */
static char *read_file(const char *path, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *text = NULL;
    if (fd < 0)
        return NULL;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size < FILE_MAX) {
        size_t size = (size_t)st->st_size, have = 0;
        text = malloc(size + 1);
        if (text == NULL)
            abort();
        for (ssize_t n; have < size && (n = read(fd, text + have, size - have)) > 0;)
            have += (size_t)n;
        text[have] = '\0';
    }
    close(fd);
    return text;
}

static void load(struct dns_hosts *h)
{
    clear(h);
    h->text = read_file(h->path, &h->seen);
    char *rest = h->text, *line;
    while (rest != NULL && (line = strsep(&rest, "\n")) != NULL)
        read_line(h, line);
    if (h->by_name.count > 0)
        qsort(h->by_name.host, h->by_name.count, sizeof(struct host), sort_name);
    if (h->by_addr.count > 0)
        qsort(h->by_addr.host, h->by_addr.count, sizeof(struct host), sort_addr);
}

static void refresh(struct dns_hosts *h, usec_t now)
{
    struct stat st = { .st_size = -1 };
    if (h->read_once && now < h->checked + CHECK_EVERY)
        return;
    h->checked = now;
    bool there = stat(h->path, &st) == 0;
    if (h->read_once && st.st_ino == h->seen.st_ino && st.st_size == h->seen.st_size &&
        st.st_mtim.tv_sec == h->seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == h->seen.st_mtim.tv_nsec)
        return;
    h->read_once = true;
    h->seen = st;
    if (there)
        load(h);
    else
        clear(h);
}

/* The first entry for which compare(entry, key) is 0 or more. */
static size_t lower_bound(const struct hosts_list *l, const void *key,
                          int (*compare)(const struct host *, const void *))
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(&l->host[mid], key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int match_name(const struct host *h, const void *name) { return strcmp(h->name, name); }

static int match_addr(const struct host *h, const void *addr) { return compare_addr(&h->addr, addr); }

unsigned dns_hosts_addrs(struct dns_hosts *h, usec_t now, const char *name, struct netaddr *out, unsigned max)
{
    unsigned n = 0;
    refresh(h, now);
    const struct hosts_list *l = &h->by_name;
    for (size_t i = lower_bound(l, name, match_name); i < l->count && n < max; i++) {
        if (match_name(&l->host[i], name) != 0)
            break;
        out[n++] = l->host[i].addr;
    }
    return n;
}

const char *dns_hosts_name(struct dns_hosts *h, usec_t now, const struct netaddr *addr)
{
    refresh(h, now);
    size_t i = lower_bound(&h->by_addr, addr, match_addr);
    if (i == h->by_addr.count || match_addr(&h->by_addr.host[i], addr) != 0)
        return NULL;
    return h->by_addr.host[i].name;
}

struct dns_hosts *dns_hosts_new(const char *path)
{
    struct dns_hosts *h = calloc(1, sizeof(*h));
    if (h == NULL || (h->path = strdup(path)) == NULL)
        abort();
    return h;
}

void dns_hosts_free(struct dns_hosts **h)
{
    if (*h == NULL)
        return;
    clear(*h);
    free((*h)->path);
    free(*h);
    *h = NULL;
}
