/* XCLIENT and XFORWARD attributes. What is taken is clean, and said again it is taken as the same. */
#include <stdlib.h>

#include "common/smtp/path.h"
#include "common/smtp/xattr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

struct said {
    struct smtp_xattrs all;
    enum smtp_xattr_command command;
    unsigned lines;
};

static void take_line(void *arg, struct span text)
{
    struct said *s = arg;
    struct smtp_xattrs part;
    size_t verb = s->command == SMTP_XCLIENT ? 8 : 9;
    require(text.n > verb && text.n <= SMTP_XATTR_LINE_MAX);
    for (size_t i = 0; i < text.n; i++)
        require(text.p[i] >= ' ' && text.p[i] < 0x7f);
    require(smtp_xattrs_parse(&part, span_skip(text, verb), s->command));
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++) {
        if (part.value[i].state == SMTP_XATTR_ABSENT)
            continue;
        require(s->all.value[i].state == SMTP_XATTR_ABSENT);
        s->all.value[i] = part.value[i];
    }
    s->lines++;
}

/* LOGIN, or a value of which each octet needs three, may have been given up. */
static bool is_same(const struct smtp_xattr_value *a, const struct smtp_xattr_value *b)
{
    if (a->state == SMTP_XATTR_GIVEN && b->state == SMTP_XATTR_UNAVAILABLE)
        return a->len > 100;
    return a->state == b->state &&
           (a->state != SMTP_XATTR_GIVEN || span_eq(span_of(a->text, a->len), span_of(b->text, b->len)));
}

static void check_values(const struct smtp_xattrs *x)
{
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++) {
        enum smtp_xattr attr = (enum smtp_xattr)i;
        if (!smtp_xattr_given(x, attr))
            continue;
        struct span text = smtp_xattr_text(x, attr);
        require(text.n > 0 && text.n <= SMTP_XATTR_VALUE_MAX && text.p[text.n] == '\0');
        for (size_t k = 0; k < text.n; k++)
            require((unsigned char)text.p[k] >= ' ' && text.p[k] != 0x7f);
    }
    if (smtp_xattr_given(x, SMTP_XATTR_ADDR))
        require(smtp_xattr_address(x, SMTP_XATTR_ADDR, SMTP_XATTR_PORT).family != NETADDR_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const lists[] = { "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT",
                                         "NAME ADDR PORT PROTO HELO IDENT SOURCE" };
    struct smtp_xattrs x;
    if (size == 0)
        return 0;
    struct said said = { .command = data[0] & 1 ? SMTP_XFORWARD : SMTP_XCLIENT };
    char *copy = malloc(size);
    require(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    bool ok = smtp_xattrs_parse(&x, span_of(copy, size - 1), said.command);
    free(copy);
    if (!ok)
        return 0;
    check_values(&x);
    unsigned lines = smtp_xattrs_print(&x, lists[said.command], said.command, take_line, &said);
    require(lines == said.lines && lines > 0);
    for (size_t i = 0; i < SMTP_XATTR_COUNT; i++)
        require(is_same(&x.value[i], &said.all.value[i]));
    return 0;
}
