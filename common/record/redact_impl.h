/* The inside of redaction: redact.c (fields), redact_line.c (texts as a whole), redact_text.c and redact_ip.c
 * (what stands in text) and redact_value.c (one value). */
#ifndef COMMON_RECORD_REDACT_IMPL_H
#define COMMON_RECORD_REDACT_IMPL_H

#include "common/buf.h"
#include "common/netaddr.h"
#include "common/record/mailboxes.h"
#include "common/record/redact.h"

enum { REDACT_NAMES_MAX = 4, REDACT_OURS_MAX = 6 };

struct redact {
    struct redact_rules rules;
    struct digest_hmac *hmac; /* NULL: nothing is hashed */
    struct buf text;          /* the one under way */
    /* Of the record under way: names to look for, and addresses that are not the client's. */
    struct span client_name[REDACT_NAMES_MAX], user[REDACT_NAMES_MAX];
    unsigned client_names, users;
    /* Envelope addresses that don't look like one, and are known by their text alone. */
    struct span address[REDACT_NAMES_MAX];
    unsigned addresses;
    /* What mailboxes are called: those of the record's own fields, and the session's. */
    struct mailboxes *own_mailboxes;
    const struct mailboxes *mailboxes;
    struct span message_id, shown_id; /* as it came, and as it is shown; empty: none */
    struct netaddr ours[REDACT_OURS_MAX];
    unsigned our_count;
    struct netaddr client; /* is not ours, even where the two are one machine */
    struct arena *mem;
};

/* What a hash is of: equal texts of two kinds have nothing in common. */
enum redact_kind { REDACT_ADDRESS, REDACT_IP, REDACT_NAME, REDACT_USER, REDACT_SUBJECT };

/* Append to x->text what may stand for the value; with `drop` a '*'. */
void redact_put_address(struct redact *x, struct span local, struct span domain, enum redact_how how);
/* What stands for the local part in the above. */
void redact_put_local(struct redact *x, struct span local, struct span domain);
void redact_put_ip(struct redact *x, const struct netaddr *ip);
void redact_put_name(struct redact *x, struct span name);
void redact_put_user(struct redact *x, struct span user);
void redact_put_subject(struct redact *x, struct span subject);
/* A domain, which may be the client's own name or hold its address. */
void redact_put_domain(struct redact *x, struct span domain);
/* A user's name that is an address is under both rules. */
enum redact_how redact_user_how(const struct redact *x, struct span user);
/* Cuts an address in two at its last '@'; what can't be a domain is not in either. */
bool redact_split(struct span address, struct span *local, struct span *domain);

/* One walk over a text. */
struct redact_walk {
    struct redact *x;
    struct span text;
    size_t at, copied; /* text before `copied` is in x->text */
    bool changed;
    bool addresses_only; /* nothing else is looked for or copied */
    bool domain;         /* no address is looked for */
    bool reply;          /* mailboxes are looked for, from `said` on, and the Message-ID */
    size_t said;
};
static inline char redact_at(const struct redact_walk *w, size_t i) { return i < w->text.n ? w->text.p[i] : '\0'; }
static inline struct span redact_part(const struct redact_walk *w, size_t from, size_t end)
{
    return span_of(w->text.p + from, end - from);
}
static inline void redact_put_star(struct redact_walk *w) { buf_append(&w->x->text, "*", 1); }
/* Up to the text's end. */
void redact_walk(struct redact_walk *w);
/* What lies before `from` is copied; the caller puts what stands for [from, end). */
void redact_replace(struct redact_walk *w, size_t from, size_t end);
/* An IP address that stands at w->at, or what may be one, is replaced; in a Message-ID, the client's alone. */
bool redact_take_ip(struct redact_walk *w);
bool redact_take_client_ip(struct redact_walk *w);
/* Puts what stands for an address that is one as a whole. */
void redact_put_whole(struct redact *x, struct span address);

/* An envelope address that text may hold; false: it is found there by its looks. */
bool redact_know_address(struct redact *x, struct span address);
/* The text with all that it holds redacted; the text itself where nothing is to be changed. */
struct span redact_text(struct redact *x, struct span text);
/* The same of what a client said. */
struct span redact_command(struct redact *x, struct span line);
/* The same of a server's reply, which begins at `said`: mailboxes may be named in it without a domain. */
struct span redact_reply(struct redact *x, struct span text, size_t said);
/* A Message-ID without what the record's other fields hide. */
struct span redact_message_id(struct redact *x, struct span id);
/* The addresses in it alone, with commas between: display names are people's names. */
struct span redact_addresses_of(struct redact *x, struct span text);
/* Takes x->text into x->mem. */
struct span redact_take(struct redact *x);

static inline bool redact_is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

#endif
