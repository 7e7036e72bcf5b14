/* Service extensions: an EHLO reply parsed, what may be offered computed, an offer printed (protocol.md H8). */
#ifndef COMMON_SMTP_CAPS_H
#define COMMON_SMTP_CAPS_H

#include "common/buf.h"

/* CAP(id, "KEYWORD"), in the order in which they are offered. */
#define SMTP_CAPS(CAP)                                                                                                 \
    CAP(PIPELINING, "PIPELINING")                                                                                      \
    CAP(SIZE, "SIZE")                                                                                                  \
    CAP(8BITMIME, "8BITMIME")                                                                                          \
    CAP(SMTPUTF8, "SMTPUTF8")                                                                                          \
    CAP(DSN, "DSN")                                                                                                    \
    CAP(ETRN, "ETRN")                                                                                                  \
    CAP(CHUNKING, "CHUNKING")                                                                                          \
    CAP(BINARYMIME, "BINARYMIME")                                                                                      \
    CAP(REQUIRETLS, "REQUIRETLS")                                                                                      \
    CAP(LIMITS, "LIMITS")                                                                                              \
    CAP(STARTTLS, "STARTTLS")                                                                                          \
    CAP(AUTH, "AUTH")                                                                                                  \
    CAP(XCLIENT, "XCLIENT")                                                                                            \
    CAP(XFORWARD, "XFORWARD")                                                                                          \
    CAP(ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES")

#define SMTP_CAP_ENUM(id, name) SMTP_CAP_##id,
enum smtp_cap { SMTP_CAPS(SMTP_CAP_ENUM) SMTP_CAP_COUNT };
/* A set of enum smtp_cap. */
typedef uint32_t smtp_cap_set;
#define SMTP_CAP_BIT(id) ((smtp_cap_set)1 << SMTP_CAP_##id)

struct smtp_caps {
    smtp_cap_set set;
    uint64_t size;                            /* octets; 0: bare SIZE or none */
    uint32_t rcptmax, mailmax, rcptdomainmax; /* RFC 9422; 0 none */
    char auth[256];    /* mechanisms, upper case, one blank between, each once; from "AUTH " and "AUTH=" lines */
    char xclient[128]; /* attribute names likewise */
    char xforward[128];
    char raw[1024]; /* keyword lines as the server wrote them, '\n' between, cut at a line's end; for the log */
};

const char *smtp_cap_name(enum smtp_cap cap);
/* The capability of this keyword in any case; SMTP_CAP_COUNT if unknown. */
enum smtp_cap smtp_cap_find(struct span keyword);
/* One keyword line of an EHLO reply, without code and line end (not the first line of the reply). A malformed value is
 * as if the keyword stood alone; an unknown keyword only goes to raw. A keyword given twice: the last one. */
void smtp_caps_parse_line(struct smtp_caps *caps, struct span line);

/* For rules.auth where the upstream decides (H8): the mechanisms of `wanted` (as smtp_caps.auth) that the upstream has
 * too and that can be relayed: not EXTERNAL or ANONYMOUS, no -PLUS, and not SCRAM-X where the upstream has
 * SCRAM-X-PLUS.
 */
void smtp_caps_relayed_auth(char out[256], const char *wanted, const struct smtp_caps *upstream);

/* What decides our offer besides the upstream. */
struct smtp_offer_rules {
    smtp_cap_set forbidden; /* by disabled_commands, by the state of TLS or AUTH, by permission, or not in this build */
    smtp_cap_set hidden;    /* hide_extensions: honoured, not shown */
    uint64_t max_message_size; /* 0 none */
    uint32_t max_recipients;   /* 0 none */
    uint32_t size_reserve;     /* octets that we add to a message (Received): taken off the upstream's SIZE */
    const char *auth;          /* mechanisms to offer, as in smtp_caps.auth, or NULL */
    const char *why_no_auth;   /* why it is forbidden, static; NULL: it is not, or for another reason */
};

/* offer->set is what is honoured ("offered" in T3, A3, B1, M3: before hiding). H8's column 2. A sink, which has no
 * upstream, passes what it can do itself as `upstream`. */
void smtp_caps_offer(struct smtp_caps *offer, const struct smtp_caps *upstream, const struct smtp_offer_rules *rules);
/* Calls line() for each keyword line to show, in order, hidden ones left out: "SIZE 10240000", "8BITMIME". */
void smtp_caps_print(const struct smtp_caps *offer, smtp_cap_set hidden, void (*line)(void *arg, struct span text),
                     void *arg);
/* Calls each() for each keyword that the upstream's EHLO (raw) has and the offer does not show, with a static reason:
 * "unknown", "hidden", "disabled", "needs TLS"... */
void smtp_caps_withheld(const struct smtp_caps *upstream, const struct smtp_caps *offer,
                        const struct smtp_offer_rules *rules,
                        void (*each)(void *arg, struct span keyword, const char *reason), void *arg);

#endif
