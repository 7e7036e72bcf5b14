/* The file of local users as it stands on the disk: read at the start, looked at again at logins, once a second at the
 * most, and read again when it changed. A new one with a fault changes nothing; one that is being written neither, and
 * is read again at the next login.
 *
 * userfile_users() gives the table in use, which stays whole as long as it is held. Any thread; only userfile_refresh()
 * touches the disk, and belongs off the loop. */
#ifndef PROXY_RELAY_USERFILE_H
#define PROXY_RELAY_USERFILE_H

#include "common/smtp/users.h"

struct userfile;
struct userfile_table;

/* text: "PATH:LINE: ...", or "PATH: ...". */
typedef void userfile_fault(void *arg, const char *text);

/* NULL: it has a fault, or can't be read. The caller has one reference. */
struct userfile *userfile_open(const char *path, userfile_fault *fault, void *arg) MUST_CHECK;
struct userfile *userfile_ref(struct userfile *f);
void userfile_unref(struct userfile **f);

/* By which mechanisms its users can log in with a password; never waits. */
sasl_set userfile_mechanisms(const struct userfile *f);
/* Whether it is time to look at the file; true for one caller only. now: monotonic. */
bool userfile_is_due(struct userfile *f, usec_t now);
/* Looks, and reads it again if it changed. The first fault of a new file is returned once, owned by the caller; else
 * NULL. */
char *userfile_refresh(struct userfile *f) MUST_CHECK;

/* The table in use, to be given back. */
struct userfile_table *userfile_hold(struct userfile *f);
const struct users *userfile_users(const struct userfile_table *t);
void userfile_release(struct userfile_table **t);

#endif
