/* The file of local users: "user:secret" lines. A secret is what crypt(3) made ("$y$...", "$2b$...", "$6$..."), also
 * behind Dovecot's {CRYPT}, {SHA512-CRYPT}, {SHA256-CRYPT} or {BLF-CRYPT}; {PLAIN}text; {SCRAM-SHA-256}...; or "*": no
 * password is right, only the user's certificate. Lines end in LF or CR LF; blank ones, and those that begin with '#',
 * mean nothing. {PLAIN} takes all to the line's end.
 *
 * A table never changes; it is read by any thread. Faults never show what stands in the file, for it may be a
 * password. */
#ifndef COMMON_SMTP_USERS_H
#define COMMON_SMTP_USERS_H

#include "common/smtp/sasl.h"

enum { USERS_LINE_MAX = 4096, USERS_FAULTS_MAX = 20 };

/* In `users`' own memory. */
struct user {
    struct span name, secret;   /* secret: as sasl_secret_kind() reads it; empty: "*" */
    enum sasl_secret_kind kind; /* BAD: "*" */
    unsigned line;
};

struct users {
    struct user *list; /* by name */
    size_t count;
    char *text; /* what the names and secrets point into */
    size_t size;
    sasl_set mechanisms; /* by which one user or more can log in with a password */
    struct span decoy;   /* the secret that costs most of them what it costs; empty: there is none */
};

/* line: from 1; 0: the file as a whole. */
typedef void users_fault(void *arg, unsigned line, const char *text);

/* Copies the text. Reports each fault, USERS_FAULTS_MAX at the most; NULL if there was one. */
struct users *users_parse(struct span text, users_fault *fault, void *arg) MUST_CHECK;
/* NULL: there is no such user. */
const struct user *users_find(const struct users *u, struct span name);
/* Wipes the secrets. */
void users_free(struct users **u);

#endif
