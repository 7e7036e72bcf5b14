/* Listeners on which no mail can ever work, whatever a client does: a person meant something else, and is told before
 * mail is refused. What some client could get through is left to the warnings of `check` (settings_warn.c). */
#include "proxy/settings_tables.h"

#include <stdio.h>

static bool is_disabled(const struct listener_settings *l, enum smtp_verb verb)
{
    return (l->server.disabled_commands >> verb & 1) != 0;
}

bool settings_has_tls(const struct listener_settings *l)
{
    return l->server.tls == SERVER_TLS_IMPLICIT ||
           (l->server.tls == SERVER_TLS_STARTTLS && !is_disabled(l, SMTP_VERB_STARTTLS));
}

bool settings_is_told_logins(const struct listener_settings *l)
{
    return l->server.xclient.count > 0 && !is_disabled(l, SMTP_VERB_XCLIENT);
}

sasl_set settings_possible_mechanisms(const struct listener_settings *l)
{
    sasl_set set = l->auth.mechanisms;
    bool tls = settings_has_tls(l);
    if (!tls || l->tls.verify_client == VERIFY_CLIENT_NONE || l->tls.client_ca == NULL)
        set &= ~SASL_BIT(EXTERNAL);
    if (!tls)
        set &= ~SASL_BIT(SCRAM_SHA_256_PLUS);
    switch (l->auth.backend) {
    case AUTH_BACKEND_UPSTREAM:
        set &= ~(SASL_BIT(EXTERNAL) | SASL_BIT(SCRAM_SHA_256_PLUS));
        break;
    case AUTH_BACKEND_FILE:
        set &= ~(SASL_BIT(XOAUTH2) | SASL_BIT(OAUTHBEARER));
        break;
    case AUTH_BACKEND_DOVECOT:
        break;
    }
    return set;
}

/* An entry of the list could not be read, so that the list is not the one that was meant. */
static bool is_list_faulty(const struct conf *c, const char *path, size_t most)
{
    char entry[SETTINGS_PATH + 8];
    if (conf_faulty(c, path))
        return true;
    for (size_t i = 0; i < most; i++) {
        snprintf(entry, sizeof entry, "%s[%zu]", path, i);
        if (conf_faulty(c, entry))
            return true;
    }
    return false;
}

/* What was read of TLS is what was written. */
static bool is_tls_known(const struct conf *c, size_t i)
{
    char mode[SETTINGS_PATH], certificates[SETTINGS_PATH];
    return !conf_faulty(c, settings_place_in(c, i, "server", "tls", mode)) &&
           !conf_faulty(c, settings_place_in(c, i, "tls", "certificates", certificates));
}

static void verify_tls(const struct listener_settings *l, struct conf *c, size_t i)
{
    char path[SETTINGS_PATH];
    if (!l->server.require_tls || settings_has_tls(l) || !is_tls_known(c, i))
        return;
    settings_place_in(c, i, "server", "require_tls", path);
    if (l->server.tls == SERVER_TLS_NONE)
        conf_fault(c, path, "needs tls \"starttls\" or \"implicit\"");
    else
        conf_fault(c, path, "needs STARTTLS, which disabled_commands takes away, or tls \"implicit\"");
}

static void verify_mechanisms(const struct listener_settings *l, struct conf *c, size_t i)
{
    static const char *const ABLE[] = {
        [AUTH_BACKEND_UPSTREAM] = "backend \"upstream\" can do PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256, XOAUTH2 and "
                                  "OAUTHBEARER",
        [AUTH_BACKEND_FILE] = "backend \"file\" can do PLAIN, LOGIN, CRAM-MD5 and SCRAM-SHA-256, over TLS "
                              "SCRAM-SHA-256-PLUS, and EXTERNAL with verify_client and client_ca",
        [AUTH_BACKEND_DOVECOT] = "SCRAM-SHA-256-PLUS needs TLS, EXTERNAL needs it with verify_client and client_ca",
    };
    char own[SETTINGS_PATH];
    const char *path = settings_place(c, i, "auth.mechanisms", "auth.mechanisms", own);
    if (settings_possible_mechanisms(l) == 0 && !is_list_faulty(c, path, 64) && is_tls_known(c, i))
        conf_fault(c, path, "nobody can ever log in to listener \"%s\" by these, and auth.mode is \"required\": %s",
                   l->name, ABLE[l->auth.backend]);
}

/* All mail would be refused, for nobody could ever log in. A peer that may use XCLIENT can tell of a login elsewhere.
 */
static void verify_login(const struct listener_settings *l, struct conf *c, size_t i)
{
    char own[SETTINGS_PATH];
    const char *path = settings_place(c, i, "auth.mode", "auth.mode", own);
    if (l->auth.mode != AUTH_REQUIRED || settings_is_told_logins(l))
        return;
    bool clear = l->auth.require_tls && !settings_has_tls(l) && is_tls_known(c, i);
    if (clear && l->server.tls == SERVER_TLS_NONE)
        conf_fault(c, path, "\"required\" needs tls \"starttls\" or \"implicit\", or auth.require_tls false");
    else if (clear)
        conf_fault(c, path,
                   "\"required\" needs STARTTLS, which disabled_commands takes away, or auth.require_tls false");
    if (is_disabled(l, SMTP_VERB_AUTH))
        conf_fault(c, path, "\"required\" needs AUTH, which disabled_commands takes away");
    verify_mechanisms(l, c, i);
}

static void verify_commands(const struct listener_settings *l, struct conf *c, size_t i)
{
    bool lmtp = l->server.protocol == PROTOCOL_LMTP;
    const char *missing = NULL;
    char path[SETTINGS_PATH];
    if (is_disabled(l, SMTP_VERB_MAIL))
        missing = "MAIL";
    else if (is_disabled(l, SMTP_VERB_RCPT))
        missing = "RCPT";
    else if (is_disabled(l, SMTP_VERB_DATA) && is_disabled(l, SMTP_VERB_BDAT))
        missing = "DATA or BDAT";
    else if (lmtp && is_disabled(l, SMTP_VERB_LHLO))
        missing = "LHLO";
    else if (!lmtp && is_disabled(l, SMTP_VERB_EHLO) && is_disabled(l, SMTP_VERB_HELO))
        missing = "EHLO or HELO";
    if (missing != NULL)
        conf_fault(c, settings_place_in(c, i, "server", "disabled_commands", path),
                   "without %s no mail can come in by listener \"%s\": take it off this list", missing, l->name);
}

void settings_verify_possible(const struct settings *s, struct conf *c)
{
    for (size_t i = 0; i < s->listeners; i++) {
        verify_tls(&s->listener[i], c, i);
        verify_login(&s->listener[i], c, i);
        verify_commands(&s->listener[i], c, i);
    }
}
