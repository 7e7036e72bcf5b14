/* A slot is written in one piece and lies in one sector, after the records that it tells of: whatever the instant of a
 * crash, it is as old as the file or older. The slot that nobody has written for the longest time is taken, under a
 * lock that only taking needs. */
#include "proxy/log/head.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/log/clock.h"

enum { OPEN_FLAGS = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW };

static int write_slot(struct head *h, uint64_t seq)
{
    char slot[CHAIN_SLOT];
    usec_t now = clock_real();
    h->time = now > h->time ? now : h->time;
    struct chain_head head = { .seq = seq, .time = h->time };
    memcpy(head.run, h->run, sizeof(head.run));
    memcpy(head.hash, h->chain.hash, sizeof(head.hash));
    chain_head_print(h->chain.hmac, &head, slot);
    ssize_t n = pwrite(h->fd, slot, sizeof(slot), (off_t)h->slot * CHAIN_SLOT);
    return n == CHAIN_SLOT ? 0 : n < 0 ? errno : EIO;
}

int head_write(struct head *h)
{
    if (h->written == h->chain.seq)
        return 0;
    int error = write_slot(h, h->chain.seq);
    if (error == 0)
        h->written = h->chain.seq;
    return error;
}

/* An empty slot, else the oldest; a slot that isn't ours to read is older than any, for it must not stay for ever. */
static void choose(struct head *h, const char *text, size_t n)
{
    usec_t oldest = INT64_MAX, newest = -1;
    memcpy(h->chain.hash, chain_zeros.p, CHAIN_HEX + 1);
    for (unsigned i = 0; i < CHAIN_SLOTS; i++) {
        struct chain_head head = { .time = -1 };
        struct span slot =
            i * CHAIN_SLOT < n ? span_head(span_of(text + i * CHAIN_SLOT, n - i * CHAIN_SLOT), CHAIN_SLOT) : SPAN_NONE;
        if (slot.n == 0 || !chain_head_read(h->chain.hmac, slot, &head))
            head.time = slot.n == 0 || chain_slot_empty(slot) ? -2 : -1;
        if (head.time < oldest) {
            oldest = head.time;
            h->slot = i;
        }
        if (head.time > newest) {
            newest = head.time;
            h->time = newest + 1;
            memcpy(h->chain.hash, head.hash, sizeof(head.hash));
        }
    }
}

/* Taken until the first record is written, so that no other process takes it: it says what the run follows. */
static int take_slot(struct head *h)
{
    char text[CHAIN_SLOT * CHAIN_SLOTS];
    while (flock(h->fd, LOCK_EX) != 0) {
        if (errno != EINTR)
            return errno;
    }
    ssize_t n = pread(h->fd, text, sizeof(text), 0);
    int error = n < 0 ? errno : 0;
    if (error == 0) {
        choose(h, text, (size_t)n);
        error = write_slot(h, 0);
    }
    flock(h->fd, LOCK_UN);
    return error;
}

static int open_file(struct head *h, const struct output_settings *set)
{
    struct stat log;
    h->fd = open(h->path, OPEN_FLAGS);
    if (h->fd >= 0 || errno != ENOENT)
        return h->fd >= 0 ? 0 : errno;
    h->fd = open(h->path, OPEN_FLAGS | O_CREAT, set->mode & S_IRWXU);
    if (h->fd < 0)
        return errno;
    if (stat(set->path, &log) == 0 && fchown(h->fd, (uid_t)-1, log.st_gid) != 0)
        return errno;
    return fchmod(h->fd, (mode_t)set->mode & 0777) == 0 ? 0 : errno;
}

struct head *head_open(const struct output_settings *set, struct span key, const char *run, char why[OUTPUT_WHY_MAX])
{
    struct head *h = calloc(1, sizeof(*h));
    if (h == NULL || asprintf(&h->path, "%s.head", set->path) < 0)
        abort();
    h->fd = -1;
    h->chain.hmac = digest_hmac_new(key);
    snprintf(h->run, sizeof(h->run), "%s", run);
    int error = open_file(h, set);
    if (error == 0)
        error = take_slot(h);
    if (error == 0)
        return h;
    snprintf(why, OUTPUT_WHY_MAX, "%s: %s", h->path, strerror(error));
    head_free(&h);
    return NULL;
}

void head_free(struct head **h)
{
    if (*h == NULL)
        return;
    if ((*h)->fd >= 0)
        close((*h)->fd);
    digest_hmac_free(&(*h)->chain.hmac);
    free((*h)->path);
    free(*h);
    *h = NULL;
}
