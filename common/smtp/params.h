/* Parameters of MAIL and RCPT (RFC 5321 section 4.1.1.11; protocol.md M3 to M10). Nothing is copied. */
#ifndef COMMON_SMTP_PARAMS_H
#define COMMON_SMTP_PARAMS_H

#include "common/buf.h"
#include "common/smtp/caps.h"

/* MALFORMED: 501 5.5.4, also a parameter given twice. UNKNOWN: 555 5.5.4, also one not offered or of the other command.
 */
enum smtp_param_fault { SMTP_PARAM_OK, SMTP_PARAM_UNKNOWN, SMTP_PARAM_MALFORMED };
enum smtp_body_type { SMTP_BODY_NONE, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_dsn_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };
enum { SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8 };

struct smtp_mail_params {
    bool has_size;
    uint64_t size;
    enum smtp_body_type body;
    bool smtputf8, requiretls;
    enum smtp_dsn_ret ret;
    struct span envid; /* xtext as given */
    bool has_auth;
    struct span auth; /* "<>" or xtext as given */
};
struct smtp_rcpt_params {
    unsigned notify;   /* SMTP_NOTIFY_*; 0 where not given */
    struct span orcpt; /* "rfc822;xtext" as given */
};

/* `text` is what follows the path; `offered` the capabilities honoured. SIZE needs no offer when max_message_size is
 * set: the caller passes SMTP_CAP_SIZE in `offered` where it is. */
enum smtp_param_fault smtp_mail_params_parse(struct smtp_mail_params *out, struct span text,
                                             smtp_cap_set offered) MUST_CHECK;
enum smtp_param_fault smtp_rcpt_params_parse(struct smtp_rcpt_params *out, struct span text,
                                             smtp_cap_set offered) MUST_CHECK;
/* Appends the parameters of `text`, each after one blank, unchanged but for those whose keyword is in `drop` ("SIZE
 * AUTH"). */
void smtp_params_copy(struct buf *out, struct span text, const char *drop);
const char *smtp_body_type_name(enum smtp_body_type body);

#endif
