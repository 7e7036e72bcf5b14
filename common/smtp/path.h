/* Reverse-path and forward-path (RFC 5321 sections 4.1.1.2, 4.1.1.3, 4.1.2; RFC 6531), protocol.md section P. */
#ifndef COMMON_SMTP_PATH_H
#define COMMON_SMTP_PATH_H

#include "common/span.h"

enum smtp_path_kind { SMTP_REVERSE_PATH, SMTP_FORWARD_PATH };
enum smtp_path_fault { SMTP_PATH_OK, SMTP_PATH_SYNTAX };

struct smtp_path {
    struct span raw;           /* as given, without brackets, with its source route; for the log */
    struct span address;       /* what goes upstream between < and >: without the route; empty is the null sender */
    struct span local, domain; /* parts of address; domain empty where there is none */
    bool non_ascii;
    bool valid_utf8;
    bool strict; /* it obeys RFC 5321 (with RFC 6531 for non-ASCII): what `lenient_addresses: false` accepts */
};

/* *arg begins behind "FROM:" or "TO:"; on success it is moved behind the path and the blanks after it, to the
 * parameters. Accepts what the lenient rules accept and says in `strict` whether the strict ones would; P9 and P10
 * refuse in both. */
enum smtp_path_fault smtp_path_parse(struct smtp_path *out, struct span *arg, enum smtp_path_kind kind) MUST_CHECK;
/* P9: control (C0, DEL, C1) or invisible (U+200B, U+2060, U+FEFF) characters, in bytes that may or may not be UTF-8. */
bool smtp_text_has_control(struct span text);
/* The same for one character. */
bool smtp_char_is_control(uint32_t cp);
/* The argument of HELO, EHLO, LHLO (H3): not empty, at most 255 octets, no control bytes. */
bool smtp_helo_valid(struct span arg);

#endif
