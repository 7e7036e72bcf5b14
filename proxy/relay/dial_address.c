/* The addresses of a server: its own, or what its name has. Invariant: those of a name are remembered for all workers,
 * and serve again where no name server answers. */
#include "proxy/relay/dial_impl.h"

void dial_note_no_name(struct dial *d, enum dns_result result)
{
    dial_note_failure(d, ERR_UPSTREAM_NAME, "connect",
                      result == DNS_NONE ? "the name has no address" : "the name can't be looked up now");
}

/* A name server that is away leaves us with what it said last. False: there are none. */
static bool take_addresses(struct dial *d, const struct dns_answer *answer)
{
    if (answer->result == DNS_FOUND)
        balance_remember(dial_health_now(d), answer->addr, answer->count);
    d->addrs = answer->result == DNS_NONE ? 0 : balance_recall(dial_health_now(d), d->addr);
    if (d->addrs == 0) {
        dial_note_no_name(d, answer->result);
        return false;
    }
    for (size_t i = 0; i < d->addrs; i++)
        d->addr[i].port = dial_server_now(d)->at.addr.port;
    return true;
}

static void on_names(void *arg, const struct dns_answer *answer)
{
    struct dial *d = arg;
    d->query = NULL;
    if (take_addresses(d, answer))
        dial_next(d);
    else
        dial_next_server(d);
}

/* True: the addresses of the server are known now. */
bool dial_find_addresses(struct dial *d)
{
    const struct endpoint *at = &dial_server_now(d)->at;
    if (d->addrs > 0)
        return true;
    d->next_addr = 0;
    if (at->kind != ENDPOINT_NAME) {
        d->addr[0] = at->addr;
        d->addrs = 1;
        return true;
    }
    struct dns_answer now;
    d->query = dns_resolve(d->w->dns, at->host, d->set->timeouts.connect, &now, on_names, d);
    if (d->query != NULL)
        return false;
    if (take_addresses(d, &now))
        return true;
    dial_skip_server(d);
    return false;
}
