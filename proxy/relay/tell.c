/* XCLIENT without ADDR tells nothing that matters: the upstream would still judge the client by our own address. */
#include "proxy/relay/tell.h"

#include "common/smtp/caps.h"
#include "common/smtp/xattr.h"

static void read_ehlo(struct smtp_caps *caps, const struct smtp_reply *ehlo)
{
    size_t pos = 0;
    struct span line;
    for (unsigned i = 0; smtp_reply_line(ehlo, &pos, false, &line); i++) {
        if (i > 0)
            smtp_caps_parse_line(caps, line);
    }
}

static enum balance_identity most_offered(const struct smtp_caps *caps)
{
    if (smtp_xattr_offered(caps->xclient, SMTP_XATTR_ADDR))
        return BALANCE_TELL_ALL;
    return caps->xforward[0] != '\0' ? BALANCE_TELL_LOG : BALANCE_TELL_NOTHING;
}

static bool fail(const char **why, const char *text)
{
    *why = text;
    return false;
}

static enum upstream_identity best(enum balance_identity offered)
{
    switch (offered) {
    case BALANCE_TELL_ALL:
        return IDENTITY_XCLIENT;
    case BALANCE_TELL_LOG:
        return IDENTITY_XFORWARD;
    case BALANCE_TELL_NOTHING:
        break;
    }
    return IDENTITY_NONE;
}

bool tell_choose(enum upstream_identity *out, char xclient[128], const struct upstream_settings *set,
                 struct balance_server *health, const struct smtp_reply *ehlo, const char **why)
{
    struct smtp_caps caps = { 0 };
    *out = set->identity;
    if (set->identity == IDENTITY_NONE || tell_proxy_version(set) > 0)
        return true;
    read_ehlo(&caps, ehlo);
    enum balance_identity offered = most_offered(&caps);
    memcpy(xclient, caps.xclient, sizeof(caps.xclient));
    if (set->identity == IDENTITY_XCLIENT && offered != BALANCE_TELL_ALL)
        return fail(why, "its EHLO offers no XCLIENT with ADDR, which upstream.identity names");
    if (set->identity == IDENTITY_XFORWARD && caps.xforward[0] == '\0')
        return fail(why, "its EHLO offers no XFORWARD, which upstream.identity names");
    if (set->identity != IDENTITY_AUTO)
        return true;
    if (!balance_identity(health, offered))
        return fail(why, "its EHLO offers less than before to tell it of clients by (XCLIENT, XFORWARD)");
    *out = best(offered);
    return true;
}

unsigned tell_proxy_version(const struct upstream_settings *set)
{
    if (set->identity == IDENTITY_PROXY_V1)
        return 1;
    return set->identity == IDENTITY_PROXY_V2 ? 2 : 0;
}

const char *tell_word(enum upstream_identity identity)
{
    switch (identity) {
    case IDENTITY_AUTO:
        return "auto";
    case IDENTITY_XCLIENT:
        return "xclient";
    case IDENTITY_XFORWARD:
        return "xforward";
    case IDENTITY_PROXY_V1:
        return "proxy-v1";
    case IDENTITY_PROXY_V2:
        return "proxy-v2";
    case IDENTITY_NONE:
        break;
    }
    return "none";
}
