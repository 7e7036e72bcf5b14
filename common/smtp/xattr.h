/* The attributes of XCLIENT and XFORWARD (Postfix XCLIENT_README, XFORWARD_README; protocol.md X): what one side tells
 * the other of a client. */
#ifndef COMMON_SMTP_XATTR_H
#define COMMON_SMTP_XATTR_H

#include "common/netaddr.h"

/* ATTR(id, "NAME", in XCLIENT from a client, in XFORWARD) */
#define SMTP_XATTRS(ATTR)                                                                                              \
    ATTR(NAME, "NAME", true, true)                                                                                     \
    ATTR(REVERSE_NAME, "REVERSE_NAME", false, false)                                                                   \
    ATTR(PORT, "PORT", true, true)                                                                                     \
    ATTR(PROTO, "PROTO", true, true)                                                                                   \
    ATTR(HELO, "HELO", true, true)                                                                                     \
    ATTR(DESTADDR, "DESTADDR", true, false)                                                                            \
    ATTR(DESTPORT, "DESTPORT", true, false)                                                                            \
    ATTR(IDENT, "IDENT", false, true)                                                                                  \
    ATTR(SOURCE, "SOURCE", false, true)                                                                                \
    ATTR(ADDR, "ADDR", true, true)                                                                                     \
    ATTR(LOGIN, "LOGIN", true, false)

#define SMTP_XATTR_ENUM(id, name, xclient, xforward) SMTP_XATTR_##id,
enum smtp_xattr { SMTP_XATTRS(SMTP_XATTR_ENUM) SMTP_XATTR_COUNT };

/* ABSENT: not told of. TEMPUNAVAIL: NAME alone, where the lookup failed for now. */
enum smtp_xattr_state { SMTP_XATTR_ABSENT, SMTP_XATTR_UNAVAILABLE, SMTP_XATTR_TEMPUNAVAIL, SMTP_XATTR_GIVEN };

enum { SMTP_XATTR_VALUE_MAX = 255, SMTP_XATTR_LINE_MAX = 510 };
struct smtp_xattrs {
    struct smtp_xattr_value {
        enum smtp_xattr_state state;
        size_t len;
        char text[SMTP_XATTR_VALUE_MAX + 1]; /* decoded; GIVEN only */
    } value[SMTP_XATTR_COUNT];
};

enum smtp_xattr_command { SMTP_XCLIENT, SMTP_XFORWARD };

const char *smtp_xattr_name(enum smtp_xattr attr);
static inline bool smtp_xattr_given(const struct smtp_xattrs *x, enum smtp_xattr attr)
{
    return x->value[attr].state == SMTP_XATTR_GIVEN;
}
static inline struct span smtp_xattr_text(const struct smtp_xattrs *x, enum smtp_xattr attr)
{
    return span_of(x->value[attr].text, x->value[attr].len);
}
/* As a record shows it: the text, or the word for its being unknown. */
struct span smtp_xattr_shown(const struct smtp_xattrs *x, enum smtp_xattr attr);

/* "A=b C=d" behind the verb. False, and nothing is to be applied: no attribute, one without '=' or twice or unknown to
 * this command, a value that is empty, over 255 octets, not xtext, or not what the attribute takes. */
bool smtp_xattrs_parse(struct smtp_xattrs *out, struct span arg, enum smtp_xattr_command command) MUST_CHECK;
/* Those of ADDR and PORT (or DESTADDR and DESTPORT) that are given, as an address; port 0 where it is not. */
struct netaddr smtp_xattr_address(const struct smtp_xattrs *x, enum smtp_xattr addr, enum smtp_xattr port);

/* Sets a value; text longer than 255 octets, or empty, makes it UNAVAILABLE. */
void smtp_xattr_set(struct smtp_xattrs *x, enum smtp_xattr attr, struct span text);
void smtp_xattr_set_address(struct smtp_xattrs *x, enum smtp_xattr addr, enum smtp_xattr port,
                            const struct netaddr *value);
void smtp_xattr_set_unavailable(struct smtp_xattrs *x, enum smtp_xattr attr);
/* Whether this list of names ("NAME ADDR", as in smtp_caps) has the attribute. */
bool smtp_xattr_offered(const char *offered, enum smtp_xattr attr);
/* Calls line() for each command line to say, of at most 510 octets: of the attributes in `offered` those that are not
 * ABSENT. ADDR and LOGIN stand in the last one; a LOGIN that doesn't fit there is UNAVAILABLE. Returns how many lines
 * there were. */
unsigned smtp_xattrs_print(const struct smtp_xattrs *x, const char *offered, enum smtp_xattr_command command,
                           void (*line)(void *arg, struct span text), void *arg);

#endif
