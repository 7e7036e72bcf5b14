/* A change is seen by the inode, the size and the times of the file. Times have grains: a file that was young when it
 * was read may have changed since without a trace, and is read again until it is old enough. One that changed while it
 * was read is as if it had not been read.
 *
 * The lock is held for moments, never while the disk is read; userfile_is_due() lets one reader in at a time. */
#include "proxy/relay/userfile.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY USEC_PER_SEC
enum { SETTLED_SECONDS = 2, FAULT_TEXT = 512 };
enum { TRIES = 20, TRY_EVERY = 50000 /* microseconds */ };
#define BYTES_MAX ((size_t)64 << 20)

/* What was seen of a file; all zero where it couldn't be opened. */
struct sight {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
    int error;   /* errno, or 0 */
    bool young;  /* to be read again, whatever is seen */
    bool faulty; /* what was read was told of */
};

struct userfile_table {
    atomic_uint refs;
    struct users *users;
};

struct userfile {
    atomic_uint refs;
    char *path;
    pthread_mutex_t lock; /* of `table` */
    struct userfile_table *table;
    atomic_uint mechanisms;
    _Atomic usec_t looked;
    atomic_bool looking;
    struct sight sight; /* of the one who looks */
};

static void *checked(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

/* --- reading --- */

struct reading {
    const char *path;
    userfile_fault *fault;
    void *arg;
};

static void on_fault(void *arg, unsigned line, const char *text)
{
    const struct reading *r = arg;
    char where[24] = "", out[FAULT_TEXT];
    if (line > 0)
        snprintf(where, sizeof(where), ":%u", line);
    snprintf(out, sizeof(out), "%s%s: %s", r->path, where, text);
    r->fault(r->arg, out);
}

static bool same_time(struct timespec a, struct timespec b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

static bool same_sight(const struct sight *a, const struct sight *b)
{
    return a->error == b->error && a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static struct sight sight_of(const struct stat *st)
{
    return (struct sight){ .device = st->st_dev,
                           .inode = st->st_ino,
                           .size = st->st_size,
                           .modified = st->st_mtim,
                           .changed = st->st_ctim,
                           .young = time(NULL) - st->st_ctim.tv_sec < SETTLED_SECONDS };
}

/* The whole of it; NULL with errno. Owned by the caller, who wipes it. */
static char *read_all(int fd, size_t size, size_t *n)
{
    char *text = checked(malloc(size + 1));
    ssize_t got = 1;
    for (*n = 0; *n < size && got > 0; *n += got > 0 ? (size_t)got : 0) {
        do
            got = read(fd, text + *n, size - *n);
        while (got < 0 && errno == EINTR);
    }
    if (got >= 0)
        return text;
    explicit_bzero(text, *n);
    free(text);
    return NULL;
}

/* crypt(3) of this system knows how to check them. */
static bool can_check(const struct users *u, struct reading *r)
{
    char setting[CRYPT_OUTPUT_SIZE];
    unsigned faults = 0;
    for (size_t i = 0; i < u->count && faults < USERS_FAULTS_MAX; i++) {
        const struct user *user = &u->list[i];
        if (user->kind != SASL_SECRET_CRYPT)
            continue;
        snprintf(setting, sizeof(setting), "%.*s", SPAN_ARG(user->secret));
        int verdict = crypt_checksalt(setting);
        if (verdict != CRYPT_SALT_INVALID && verdict != CRYPT_SALT_METHOD_DISABLED)
            continue;
        on_fault(r, user->line, "crypt(3) of this system can't check this kind of hash");
        faults++;
    }
    explicit_bzero(setting, sizeof(setting));
    return faults == 0;
}

/* The text, as it stands; NULL: there is none to be had, which was told. *torn: it was being written meanwhile. */
static char *read_text(int fd, const struct stat *st, struct reading *r, size_t *n, bool *torn)
{
    struct stat after;
    if (!S_ISREG(st->st_mode)) {
        on_fault(r, 0, "is not a file");
        return NULL;
    }
    if ((size_t)st->st_size > BYTES_MAX) {
        on_fault(r, 0, "is larger than 64 MiB");
        return NULL;
    }
    char *text = read_all(fd, (size_t)st->st_size, n);
    if (text == NULL)
        on_fault(r, 0, strerror(errno));
    *torn = fstat(fd, &after) != 0 || after.st_size != st->st_size || !same_time(after.st_mtim, st->st_mtim) ||
            (text != NULL && *n != (size_t)st->st_size);
    return text;
}

static void forget(char *text, size_t n)
{
    explicit_bzero(text, n);
    free(text);
}

/* The text is taken over. */
static struct users *parse(char *text, size_t n, struct reading *r)
{
    struct users *u = users_parse(span_of(text, n), on_fault, r);
    forget(text, n);
    if (u != NULL && !can_check(u, r))
        users_free(&u);
    return u;
}

/* What is torn is no table, and its faults are not the file's: none is told. */
static struct users *read_users(struct reading *r, struct sight *sight, bool *torn)
{
    struct stat st;
    struct users *u = NULL;
    size_t n = 0;
    int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *sight = (struct sight){ .error = 0 };
    *torn = false;
    if (fd < 0 || fstat(fd, &st) != 0) {
        sight->error = errno;
        on_fault(r, 0, strerror(errno));
    } else {
        *sight = sight_of(&st);
        char *text = read_text(fd, &st, r, &n, torn);
        if (text != NULL && !*torn)
            u = parse(text, n, r);
        else if (text != NULL)
            forget(text, n);
    }
    if (fd >= 0)
        close(fd);
    return u;
}

/* --- the table in use --- */

static void use(struct userfile *f, struct users *users)
{
    struct userfile_table *t = checked(calloc(1, sizeof(*t)));
    atomic_init(&t->refs, 1);
    t->users = users;
    atomic_store(&f->mechanisms, users->mechanisms);
    pthread_mutex_lock(&f->lock);
    struct userfile_table *old = f->table;
    f->table = t;
    pthread_mutex_unlock(&f->lock);
    userfile_release(&old);
}

struct userfile_table *userfile_hold(struct userfile *f)
{
    pthread_mutex_lock(&f->lock);
    struct userfile_table *t = f->table;
    atomic_fetch_add(&t->refs, 1);
    pthread_mutex_unlock(&f->lock);
    return t;
}

const struct users *userfile_users(const struct userfile_table *t) { return t->users; }

void userfile_release(struct userfile_table **tp)
{
    struct userfile_table *t = *tp;
    *tp = NULL;
    if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    users_free(&t->users);
    free(t);
}

sasl_set userfile_mechanisms(const struct userfile *f) { return atomic_load(&f->mechanisms); }

/* --- its life --- */

struct userfile *userfile_open(const char *path, userfile_fault *fault, void *arg)
{
    struct reading r = { .path = path, .fault = fault, .arg = arg };
    struct sight sight;
    bool torn = true;
    struct users *users = NULL;
    for (int i = 0; i < TRIES && torn; i++) {
        if (i > 0)
            usleep(TRY_EVERY);
        users = read_users(&r, &sight, &torn);
    }
    if (torn)
        on_fault(&r, 0, "is being written all the time");
    if (users == NULL)
        return NULL;
    struct userfile *f = checked(calloc(1, sizeof(*f)));
    atomic_init(&f->refs, 1);
    f->path = checked(strdup(path));
    f->sight = sight;
    pthread_mutex_init(&f->lock, NULL);
    use(f, users);
    return f;
}

struct userfile *userfile_ref(struct userfile *f)
{
    atomic_fetch_add(&f->refs, 1);
    return f;
}

void userfile_unref(struct userfile **fp)
{
    struct userfile *f = *fp;
    *fp = NULL;
    if (f == NULL || atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    userfile_release(&f->table);
    pthread_mutex_destroy(&f->lock);
    free(f->path);
    free(f);
}

bool userfile_is_due(struct userfile *f, usec_t now)
{
    usec_t looked = atomic_load(&f->looked);
    return (looked == 0 || now - looked >= LOOK_EVERY) && !atomic_load(&f->looking) &&
           atomic_compare_exchange_strong(&f->looked, &looked, now);
}

static bool has_changed(const struct userfile *f)
{
    struct stat st;
    if (stat(f->path, &st) != 0)
        return f->sight.error != errno;
    struct sight now = sight_of(&st);
    return f->sight.young || !same_sight(&now, &f->sight);
}

struct first_fault {
    char *text;
};

static void keep_first(void *arg, const char *text)
{
    struct first_fault *first = arg;
    if (first->text == NULL)
        first->text = checked(strdup(text));
}

/* At the next login. */
static void look_again(struct userfile *f, const struct sight *before)
{
    f->sight = *before;
    f->sight.young = true;
    atomic_store(&f->looked, 0);
}

char *userfile_refresh(struct userfile *f)
{
    struct first_fault first = { .text = NULL };
    if (atomic_exchange(&f->looking, true))
        return NULL;
    if (has_changed(f)) {
        struct reading r = { .path = f->path, .fault = keep_first, .arg = &first };
        struct sight before = f->sight;
        bool torn;
        struct users *users = read_users(&r, &f->sight, &torn);
        if (users != NULL)
            use(f, users);
        if (torn || (before.faulty && same_sight(&before, &f->sight))) {
            free(first.text);
            first.text = NULL;
        }
        f->sight.faulty = users == NULL;
        if (torn)
            look_again(f, &before);
    }
    atomic_store(&f->looking, false);
    return first.text;
}
