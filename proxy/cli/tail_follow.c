/* A file is read to its end; then the name is looked at again. If another file has it, those that were rotated between
 * the two come first. The one under the name is gone over to once it has something in it: until then a writer that
 * hasn't reopened yet still appends to the old one. inotify only makes it quick; where it doesn't work, looking four
 * times a second is enough. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/cli/tail.h"

enum { READ_ROOM = 65536, LOOK_MS = 250 };

static void watch(struct tail_file *t)
{
    if (t->notify >= 0)
        close(t->notify);
    t->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (t->notify >= 0)
        inotify_add_watch(t->notify, t->path, IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB);
}

bool tail_file_open(struct tail_file *t, const char *path)
{
    struct stat st;
    *t = (struct tail_file){ .path = path, .fd = STDIN_FILENO, .notify = -1 };
    if (path == NULL)
        return true;
    t->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (t->fd < 0)
        return false;
    if (fstat(t->fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(t->fd);
        errno = EISDIR;
        return false;
    }
    watch(t);
    return true;
}

void tail_file_close(struct tail_file *t)
{
    if (t->path == NULL)
        return;
    close(t->fd);
    if (t->notify >= 0)
        close(t->notify);
}

/* Counts line ends from the back of block; true where the lines-th was found, *at is then behind it. */
static bool find_back(const char *block, size_t n, unsigned long *lines, size_t *at)
{
    while (n > 0) {
        const char *lf = memrchr(block, '\n', n);
        if (lf == NULL)
            return false;
        n = (size_t)(lf - block);
        if ((*lines)-- == 0) {
            *at = n + 1;
            return true;
        }
    }
    return false;
}

/* The last line's own end doesn't count, so one more end is looked for than lines are wanted. */
void tail_file_seek_last(struct tail_file *t, unsigned long lines)
{
    char block[READ_ROOM];
    off_t end = lseek(t->fd, 0, SEEK_END), from = end, found = 0;
    char last;
    if (end < 0)
        return;
    if (end > 0 && pread(t->fd, &last, 1, end - 1) == 1 && last != '\n' && lines > 0)
        lines--;
    while (from > 0) {
        size_t n = min_size(sizeof(block), (size_t)from), at;
        from -= (off_t)n;
        if (pread(t->fd, block, n, from) != (ssize_t)n)
            break;
        if (find_back(block, n, &lines, &at)) {
            found = from + (off_t)at;
            break;
        }
    }
    lseek(t->fd, found, SEEK_SET);
}

static ssize_t read_some(struct tail_file *t, struct buf *in)
{
    ssize_t n;
    do
        n = read(t->fd, buf_reserve(in, READ_ROOM), READ_ROOM);
    while (n < 0 && errno == EINTR);
    buf_commit(in, n > 0 ? (size_t)n : 0);
    return n;
}

static bool was_cut(const struct tail_file *t)
{
    struct stat st;
    off_t at = lseek(t->fd, 0, SEEK_CUR);
    return at > 0 && fstat(t->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < at;
}

ssize_t tail_file_read(struct tail_file *t, struct buf *in)
{
    t->cut = false;
    ssize_t n = read_some(t, in);
    if (n != 0 || t->path == NULL)
        return n;
    if (was_cut(t)) {
        lseek(t->fd, 0, SEEK_SET);
        t->cut = true;
        return 0;
    }
    int next = tail_row_next(t->path, t->fd);
    if (next < 0)
        return 0;
    n = read_some(t, in); /* what came between the two looks */
    if (n != 0) {
        close(next);
        return n;
    }
    close(t->fd);
    t->fd = next;
    t->cut = true;
    watch(t);
    return 0;
}

void tail_file_wait(struct tail_file *t)
{
    char events[4096];
    struct pollfd p = { .fd = t->notify, .events = POLLIN };
    poll(&p, t->notify >= 0 ? 1 : 0, LOOK_MS);
    while (t->notify >= 0 && read(t->notify, events, sizeof(events)) > 0)
        ;
}
