/* A command line (RFC 5321 section 4.1.1) taken apart: verb and argument. Nothing is copied. */
#ifndef COMMON_SMTP_COMMAND_H
#define COMMON_SMTP_COMMAND_H

#include "common/smtp/verbs.h"
#include "common/span.h"

#define SMTP_VERB_ENUM(id, name) SMTP_VERB_##id,
enum smtp_verb { SMTP_VERBS(SMTP_VERB_ENUM) SMTP_VERB_UNKNOWN };
enum { SMTP_VERB_COUNT = SMTP_VERB_UNKNOWN };

/* Why a line can't be a command (protocol.md C8, C11, N4, N6). */
enum smtp_line_fault { SMTP_LINE_OK, SMTP_LINE_EMPTY, SMTP_LINE_LEADING_BLANK, SMTP_LINE_BARE_CR, SMTP_LINE_NUL };

struct smtp_command {
    enum smtp_verb verb;
    enum smtp_line_fault fault;
    struct span line; /* without its line end */
    struct span word; /* the first word, as written */
    struct span arg;  /* what follows the word, trimmed of blanks (space, tab) at both ends; empty if none */
};

/* Takes a line without its line end. Verbs in any case. "MAIL FROM:<a>" gives MAIL with arg "FROM:<a>". */
void smtp_command_parse(struct smtp_command *out, struct span line);
/* Upper-case name; "?" for SMTP_VERB_UNKNOWN. */
const char *smtp_verb_name(enum smtp_verb verb);
/* The verb of this name in any case, or SMTP_VERB_UNKNOWN. */
enum smtp_verb smtp_verb_find(struct span word);
/* A line that is to be treated as AUTH for secrecy: after white space it begins with "auth", any case (A15). */
bool smtp_line_is_auth(struct span line);
/* RFC 3207, G6: one of the verbs of other protocols (GET ... TRACE). */
bool smtp_verb_is_foreign(enum smtp_verb verb);

#endif
