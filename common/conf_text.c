/* Lists of networks as a type of the tables, and the distance of two words for "did you mean". */
#include "common/conf_private.h"

#include <stdlib.h>

static bool add_cidr(void *member, struct span text, const char **why)
{
    struct cidr_list *l = member;
    struct cidr one;
    if (!cidr_parse(&one, text, why))
        return false;
    l->list = conf_grow(l->list, l->count + 1, sizeof *l->list);
    l->list[l->count++] = one;
    return true;
}

static bool print_cidr(const void *member, size_t i, struct buf *out)
{
    const struct cidr_list *l = member;
    char ip[NETADDR_STRLEN];
    if (i >= l->count)
        return false;
    struct netaddr a = { .family = l->list[i].family };
    memcpy(a.ip, l->list[i].ip, sizeof a.ip);
    buf_append_span(out, span_str(netaddr_print_ip(&a, ip)));
    if (a.family != NETADDR_UNIX)
        buf_printf(out, "/%u", l->list[i].bits);
    return true;
}

static void clear_cidr_list(void *member) { cidr_list_free(member); }

const struct conf_text conf_cidr_list = { "an address or network", add_cidr, print_cidr, clear_cidr_list };

enum { WORD_MAX = 48 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Row by row over `a`; a swap of neighbours looks two rows back. */
unsigned conf_distance(struct span a, struct span b)
{
    unsigned row[3][WORD_MAX + 1];
    if (a.n > WORD_MAX || b.n > WORD_MAX)
        return (unsigned)max_size(a.n, b.n);
    for (unsigned j = 0; j <= b.n; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *now = row[i % 3], *before = row[(i + 2) % 3];
        const unsigned *two_before = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned replace = before[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            now[j] = least(before[j] + 1, now[j - 1] + 1, replace);
            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            if (swapped && two_before[j - 2] + 1 < now[j])
                now[j] = two_before[j - 2] + 1;
        }
    }
    return row[a.n % 3][b.n];
}
