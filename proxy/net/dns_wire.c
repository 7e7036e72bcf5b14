/* c-ares 1.18 can't take a question back, nor change the servers of a channel that has questions under way. So a
 * question belongs to the channel it was asked on; when resolv.conf changes a new channel is made, and the old one is
 * destroyed when its last question is answered, never from inside one of its callbacks. */
#include "proxy/net/dns_wire.h"

#include <ares.h>
#include <ares_nameser.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "proxy/net/dns_records.h"

/* A lost datagram costs the first wait only; the last try ends after 3.5 seconds for each server. */
enum { TRY_MSEC = 500, TRIES = 3, EDNS_SIZE = 1232 };
/* How often c-ares looks for its own timeouts while a question is open, and how often resolv.conf is looked at. */
#define TICK (100 * USEC_PER_MSEC)
#define CONF_CHECK (5 * USEC_PER_SEC)

struct channel {
    struct list node;
    struct dns_wire *wire;
    ares_channel ares;
    unsigned open;
    struct list socks;
};

struct sock {
    struct list node;
    struct channel *channel;
    ev_io io;
};

struct dns_wire {
    struct loop *loop;
    struct list channels; /* the first is the current one */
    struct timer tick;
    unsigned depth; /* > 0: c-ares is on the stack */
    bool closing;
    struct ares_addr_port_node *servers; /* owned; NULL: the system's */
    char *resolv_conf;                   /* owned */
    uint16_t port;                       /* of its servers; 0: the usual one */
    struct stat conf_seen;
    usec_t conf_checked;
    char **domains; /* owned */
    int domain_count, ndots;
};

struct question {
    struct channel *channel;
    dns_wire_done *done;
    void *arg;
    enum dns_type type;
    char name[DNS_NAME_SIZE];
};

static void *alloc(size_t n)
{
    void *p = calloc(1, n);
    if (p == NULL)
        abort();
    return p;
}

static struct channel *current(const struct dns_wire *w) { return LIST_ENTRY(w->channels.next, struct channel, node); }

static void channel_free(struct channel *c)
{
    list_remove(&c->node);
    ares_destroy(c->ares);
    assert(list_empty(&c->socks));
    free(c);
}

/* Old channels that have nothing left to do. */
static void sweep(struct dns_wire *w)
{
    if (w->depth > 0)
        return;
    for (struct list *n = current(w)->node.next, *next; n != &w->channels; n = next) {
        struct channel *c = LIST_ENTRY(n, struct channel, node);
        next = n->next;
        if (c->open == 0)
            channel_free(c);
    }
}

static void process(struct channel *c, ares_socket_t readable, ares_socket_t writable)
{
    c->wire->depth++;
    ares_process_fd(c->ares, readable, writable);
    c->wire->depth--;
}

static void on_io(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    struct channel *c = ((struct sock *)io->data)->channel;
    struct dns_wire *w = c->wire;
    int fd = io->fd;
    loop_tick(w->loop);
    process(c, events & EV_READ ? fd : ARES_SOCKET_BAD, events & EV_WRITE ? fd : ARES_SOCKET_BAD);
    sweep(w);
}

static void set_tick(struct dns_wire *w)
{
    for (struct list *n = w->channels.next; n != &w->channels; n = n->next) {
        if (LIST_ENTRY(n, struct channel, node)->open > 0) {
            loop_timer(w->loop, &w->tick, TICK);
            return;
        }
    }
}

/* No channel is freed while depth is above 0, and new ones come in front, so the walk is safe. */
static void on_tick(struct timer *t)
{
    struct dns_wire *w = CONTAINER_OF(t, struct dns_wire, tick);
    for (struct list *n = w->channels.next; n != &w->channels; n = n->next)
        process(LIST_ENTRY(n, struct channel, node), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    sweep(w);
    set_tick(w);
}

static struct sock *sock_find(struct channel *c, int fd)
{
    for (struct list *n = c->socks.next; n != &c->socks; n = n->next) {
        struct sock *s = LIST_ENTRY(n, struct sock, node);
        if (s->io.fd == fd)
            return s;
    }
    struct sock *s = alloc(sizeof(*s));
    s->channel = c;
    ev_io_init(&s->io, on_io, fd, 0);
    s->io.data = s;
    list_append(&c->socks, &s->node);
    return s;
}

static void on_sock_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct channel *c = arg;
    struct sock *s = sock_find(c, fd);
    struct ev_loop *ev = c->wire->loop->ev;
    ev_io_stop(ev, &s->io);
    if (!readable && !writable) {
        list_remove(&s->node);
        free(s);
        return;
    }
    ev_io_set(&s->io, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
    ev_io_start(ev, &s->io);
}

/* c-ares reads resolv.conf in any case; where servers are configured they replace what it says. */
static struct channel *channel_new(struct dns_wire *w)
{
    struct channel *c = alloc(sizeof(*c));
    struct ares_options o = { .flags = ARES_FLAG_EDNS,
                              .timeout = TRY_MSEC,
                              .tries = TRIES,
                              .ednspsz = EDNS_SIZE,
                              .sock_state_cb = on_sock_state,
                              .sock_state_cb_data = c,
                              .resolvconf_path = w->resolv_conf };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB |
               ARES_OPT_RESOLVCONF;
    if (w->port != 0) {
        o.udp_port = o.tcp_port = w->port;
        mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
    }
    c->wire = w;
    list_init(&c->socks);
    list_init(&c->node);
    if (ares_init_options(&c->ares, &o, mask) != ARES_SUCCESS) {
        free(c);
        return NULL;
    }
    if (w->servers != NULL && ares_set_servers_ports(c->ares, w->servers) != ARES_SUCCESS) {
        channel_free(c);
        return NULL;
    }
    return c;
}

static void free_domains(struct dns_wire *w)
{
    for (int i = 0; i < w->domain_count; i++)
        free(w->domains[i]);
    free(w->domains);
    w->domains = NULL;
    w->domain_count = 0;
}

static void read_search_list(struct dns_wire *w, ares_channel ares)
{
    struct ares_options o = { .flags = 0 };
    int mask;
    free_domains(w);
    w->ndots = 1;
    if (w->servers != NULL || ares_save_options(ares, &o, &mask) != ARES_SUCCESS)
        return;
    w->ndots = o.ndots;
    w->domains = alloc((size_t)o.ndomains * sizeof(*w->domains) + 1);
    for (int i = 0; i < o.ndomains; i++) {
        w->domains[i] = strdup(o.domains[i]);
        if (w->domains[i] == NULL)
            abort();
    }
    w->domain_count = o.ndomains;
    ares_destroy_options(&o);
}

static bool open_channel(struct dns_wire *w)
{
    struct channel *c = channel_new(w);
    if (c == NULL)
        return false;
    list_insert_before(w->channels.next, &c->node);
    read_search_list(w, c->ares);
    return true;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A channel that can't be made leaves the old one in use until the file changes again. */
static void check_resolv_conf(struct dns_wire *w)
{
    struct stat st;
    if (w->servers != NULL || w->loop->mono < w->conf_checked + CONF_CHECK)
        return;
    w->conf_checked = w->loop->mono;
    if (stat(w->resolv_conf, &st) != 0 || same_file(&st, &w->conf_seen))
        return;
    w->conf_seen = st;
    if (open_channel(w))
        sweep(w);
}

static bool parse_server(struct netaddr *out, struct span text, const char **why)
{
    struct endpoint at;
    if (netaddr_parse_ip(out, text)) {
        out->port = 53;
        return true;
    }
    if (!endpoint_parse(&at, text, why))
        return false;
    *why = "a name server is an IP address, with or without a port";
    *out = at.addr;
    return at.kind == ENDPOINT_IP && at.addr.port != 0;
}

static bool add_servers(struct dns_wire *w, const struct dns_options *opt, const char **why)
{
    struct ares_addr_port_node **tail = &w->servers;
    for (size_t i = 0; i < opt->count; i++) {
        struct netaddr a;
        if (!parse_server(&a, span_str(opt->servers[i]), why))
            return false;
        struct ares_addr_port_node *node = *tail = alloc(sizeof(*node));
        node->family = a.family == NETADDR_IPV4 ? AF_INET : AF_INET6;
        node->udp_port = node->tcp_port = a.port;
        memcpy(&node->addr, a.ip, a.family == NETADDR_IPV4 ? 4 : 16);
        tail = &node->next;
    }
    return true;
}

struct dns_wire *dns_wire_new(struct loop *loop, const struct dns_options *opt, const char **why)
{
    struct dns_wire *w = alloc(sizeof(*w));
    w->loop = loop;
    w->port = opt->port;
    w->conf_checked = loop->mono;
    list_init(&w->channels);
    timer_init(&w->tick, on_tick);
    w->resolv_conf = strdup(opt->resolv_conf != NULL ? opt->resolv_conf : "/etc/resolv.conf");
    if (w->resolv_conf == NULL)
        abort();
    if (!add_servers(w, opt, why)) {
        dns_wire_free(&w);
        return NULL;
    }
    if (w->servers == NULL && stat(w->resolv_conf, &w->conf_seen) != 0)
        w->conf_seen = (struct stat){ .st_size = -1 };
    if (!open_channel(w)) {
        *why = "the resolver library can't start";
        dns_wire_free(&w);
    }
    return w;
}

void dns_wire_free(struct dns_wire **wire)
{
    struct dns_wire *w = *wire;
    if (w == NULL)
        return;
    assert(w->depth == 0);
    w->closing = true;
    while (!list_empty(&w->channels))
        channel_free(current(w));
    timer_clear(&w->tick);
    free_domains(w);
    while (w->servers != NULL) {
        struct ares_addr_port_node *node = w->servers;
        w->servers = node->next;
        free(node);
    }
    free(w->resolv_conf);
    free(w);
    *wire = NULL;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
    (void)timeouts;
    struct question *q = arg;
    struct dns_records got = { .result = DNS_TEMPFAIL };
    if (status == ARES_SUCCESS)
        dns_records_parse(&got, msg, (size_t)len, q->name, q->type);
    else if (status == ARES_ENODATA || status == ARES_ENOTFOUND || status == ARES_EBADNAME)
        got.result = DNS_NONE;
    q->channel->open--;
    if (!q->channel->wire->closing)
        q->done(q->arg, &got);
    free(q);
}

void dns_wire_ask(struct dns_wire *w, const char *name, enum dns_type type, dns_wire_done *done, void *arg)
{
    int wire_type = type == DNS_TYPE_A ? ns_t_a : type == DNS_TYPE_AAAA ? ns_t_aaaa : ns_t_ptr;
    check_resolv_conf(w);
    struct channel *c = current(w);
    struct question *q = alloc(sizeof(*q));
    *q = (struct question){ .channel = c, .done = done, .arg = arg, .type = type };
    strncpy(q->name, name, sizeof(q->name) - 1);
    c->open++;
    if (!timer_is_set(&w->tick))
        loop_timer(w->loop, &w->tick, TICK);
    w->depth++;
    ares_query(c->ares, q->name, ns_c_in, wire_type, on_answer, q);
    w->depth--;
}

/* As glibc does it: a name with a dot at the end is whole; one with ndots dots or more is tried as it is first, others
 * last. */
bool dns_wire_candidate(const struct dns_wire *w, const char *host, unsigned i, char out[DNS_NAME_SIZE])
{
    size_t n = strlen(host);
    int dots = 0, at = (int)i;
    bool whole = n > 0 && host[n - 1] == '.';
    for (const char *p = host; *p != '\0'; p++)
        dots += *p == '.';
    int domains = whole ? 0 : w->domain_count;
    if (at > domains)
        return false;
    int plain = dots >= w->ndots ? 0 : domains;
    struct span domain = SPAN_NONE;
    if (at != plain)
        domain = span_str(w->domains[at < plain ? at : at - 1]);
    if (domain.n > 0 && domain.p[domain.n - 1] == '.')
        domain.n--;
    n -= whole;
    out[0] = '\0';
    if (n == 0 || n + domain.n + 1 >= DNS_NAME_SIZE)
        return true;
    memcpy(out, host, n);
    if (domain.n > 0) {
        out[n++] = '.';
        memcpy(out + n, domain.p, domain.n);
        n += domain.n;
    }
    out[n] = '\0';
    return true;
}
