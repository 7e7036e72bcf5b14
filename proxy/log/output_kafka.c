/* Kafka by librdkafka: an idempotent producer, a record a message, its session as the key. A line counts as written
 * when its delivery report has come, so what waits in librdkafka is never more than one batch, and the queue before it
 * fills while the brokers can't be reached. All callbacks run in rd_kafka_poll(), on the writer's thread. */
#include "proxy/log/output.h"

#include <stdio.h>

#ifndef HAVE_RDKAFKA

struct output *output_open_kafka(const struct output_settings *set, const struct output_context *of,
                                 char why[OUTPUT_WHY_MAX])
{
    (void)set, (void)of;
    snprintf(why, OUTPUT_WHY_MAX, "this program is not built with kafka");
    return NULL;
}

bool output_kafka_check(const struct output_settings *set, char *option, size_t size, char why[OUTPUT_WHY_MAX])
{
    (void)set;
    snprintf(option, size, "kafka");
    snprintf(why, OUTPUT_WHY_MAX, "this program is not built with kafka");
    return false;
}

#else

#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/record/line.h"

enum { SECRET_MAX = 64 * 1024, MESSAGE_MAX = 1000000, MESSAGE_HEAD = 4096, POLL_MS = 1000, BACKOFF_KAFKA_MS = 5000 };

enum message_state { MESSAGE_WAITS, MESSAGE_DONE, MESSAGE_AGAIN, MESSAGE_REFUSED };

struct message {
    size_t octets; /* of its line, with the line's end */
    enum message_state state;
};

struct output_kafka {
    struct output output;
    char *name, *topic;
    rd_kafka_conf_t *conf; /* to make a producer of */
    rd_kafka_t *producer;
    /* Lines that were handed over, in order; message number n is at (n - first). */
    struct message *message;
    size_t messages, cap;
    uint64_t first;
    size_t octets; /* of all of them */
    bool trouble;  /* told of since the last write */
    char why[OUTPUT_WHY_MAX];
};

static struct output_kafka *kafka_of(struct output *o) { return CONTAINER_OF(o, struct output_kafka, output); }

/* Configuration. */

static bool set_option(rd_kafka_conf_t *conf, const char *name, const char *value, char why[OUTPUT_WHY_MAX])
{
    return rd_kafka_conf_set(conf, name, value, why, OUTPUT_WHY_MAX) == RD_KAFKA_CONF_OK;
}

/* Without the line's end. */
static bool set_from_file(rd_kafka_conf_t *conf, const char *name, const char *file, char why[OUTPUT_WHY_MAX])
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *secret = conf_grow(NULL, SECRET_MAX + 1, 1);
    ssize_t n = fd >= 0 ? read(fd, secret, SECRET_MAX) : -1;
    bool good = n >= 0;
    if (!good)
        snprintf(why, OUTPUT_WHY_MAX, "%s: %s", file, strerror(errno));
    while (n > 0 && (secret[n - 1] == '\n' || secret[n - 1] == '\r'))
        n--;
    if (good) {
        secret[n] = '\0';
        good = set_option(conf, name, secret, why);
    }
    explicit_bzero(secret, SECRET_MAX + 1);
    free(secret);
    if (fd >= 0)
        close(fd);
    return good;
}

static bool set_one(rd_kafka_conf_t *conf, const char *name, const char *value, char why[OUTPUT_WHY_MAX])
{
    static const char FILE_MARK[] = ".file";
    size_t n = strlen(name), mark = sizeof(FILE_MARK) - 1;
    if (n <= mark || strcmp(name + n - mark, FILE_MARK) != 0)
        return set_option(conf, name, value, why);
    char *bare = conf_dup(span_of(name, n - mark));
    bool good = set_from_file(conf, bare, value, why);
    free(bare);
    return good;
}

/* NULL, *option and why: which one is not taken. */
static rd_kafka_conf_t *make_conf(const struct output_settings *set, const char *component, size_t max_record,
                                  const char **option, char why[OUTPUT_WHY_MAX])
{
    char most[24];
    snprintf(most, sizeof(most), "%zu", max_size(MESSAGE_MAX, max_record + MESSAGE_HEAD));
    const char *const ours[][2] = {
        { "bootstrap.servers", set->brokers },
        { "client.id", component },
        { "enable.idempotence", "true" },
        { "message.timeout.ms", "0" }, /* how long a record may wait is for the queue to say */
        { "message.max.bytes", most },
        { "security.protocol", set->tls ? "ssl" : NULL },
        { "ssl.ca.location", set->tls_ca },
        { "ssl.certificate.location", set->tls_cert },
        { "ssl.key.location", set->tls_key },
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool good = true;
    for (size_t i = 0; i < ARRAY_LEN(ours) && good; i++) {
        *option = ours[i][0];
        good = ours[i][1] == NULL || set_option(conf, ours[i][0], ours[i][1], why);
    }
    for (size_t i = 0; i < set->options.count && good; i++) {
        *option = set->options.name[i];
        good = set_one(conf, set->options.name[i], set->options.value[i], why);
    }
    if (good)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

bool output_kafka_check(const struct output_settings *set, char *option, size_t size, char why[OUTPUT_WHY_MAX])
{
    const char *bad = "";
    rd_kafka_conf_t *conf = make_conf(set, "smtptap", MESSAGE_MAX, &bad, why);
    snprintf(option, size, "%s", bad);
    if (conf == NULL)
        return false;
    rd_kafka_conf_destroy(conf);
    return true;
}

/* Reports. */

/* No other try will do. */
static bool is_refused(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_INVALID_MSG ||
           error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE || error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
           error == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

static void on_trouble(struct output_kafka *k, rd_kafka_resp_err_t error, const char *text)
{
    k->trouble = true;
    snprintf(k->why, sizeof(k->why), "%s", text != NULL ? text : rd_kafka_err2str(error));
}

static void on_report(rd_kafka_t *producer, const rd_kafka_message_t *report, void *arg)
{
    struct output_kafka *k = arg;
    uint64_t number = (uintptr_t)report->_private;
    /* Of a producer that was given up, all are written again. */
    if (producer != k->producer || number < k->first || number - k->first >= k->messages)
        return;
    struct message *m = &k->message[number - k->first];
    if (report->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        m->state = MESSAGE_DONE;
    } else {
        m->state = is_refused(report->err) ? MESSAGE_REFUSED : MESSAGE_AGAIN;
        on_trouble(k, report->err, NULL);
    }
}

static void on_error(rd_kafka_t *producer, int error, const char *reason, void *arg)
{
    (void)producer;
    on_trouble(arg, (rd_kafka_resp_err_t)error, reason);
}

/* The producer. */

static rd_kafka_t *make_producer(struct output_kafka *k, char why[OUTPUT_WHY_MAX])
{
    static const uint64_t ONE = 1;
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(k->conf);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, OUTPUT_WHY_MAX);
    if (producer == NULL) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_queue_t *reports = rd_kafka_queue_get_main(producer);
    rd_kafka_queue_io_event_enable(reports, k->output.fd, &ONE, sizeof(ONE));
    rd_kafka_queue_destroy(reports);
    return producer;
}

static void drop_producer(struct output_kafka *k)
{
    rd_kafka_t *old = k->producer;
    k->producer = NULL;
    if (old == NULL)
        return;
    rd_kafka_purge(old, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy(old);
}

/* An idempotent producer that has lost its place can't go on: another one begins with what is not delivered. 0 or a
 * negative errno. */
static int renew(struct output_kafka *k)
{
    uint64_t again = 0;
    if (k->producer != NULL) {
        for (size_t i = 0; i < k->messages; i++) {
            bool open = k->message[i].state == MESSAGE_WAITS || k->message[i].state == MESSAGE_AGAIN;
            again += open;
            k->message[i].state = open ? MESSAGE_AGAIN : k->message[i].state;
        }
        output_note(&k->output, ERR_LOG_BROKEN, again, "%.100s; %llu records are sent again and may be doubled", k->why,
                    (unsigned long long)again);
        drop_producer(k);
    }
    k->producer = make_producer(k, k->output.why);
    return k->producer != NULL ? 0 : -EIO;
}

static rd_kafka_resp_err_t produce(struct output_kafka *k, const char *line, size_t n, uint64_t number)
{
    struct line l;
    struct span key = line_scan(&l, span_of(line, n)) ? l.value[LINE_CID] : SPAN_NONE;
    return rd_kafka_producev(k->producer, RD_KAFKA_V_TOPIC(k->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_KEY((void *)(uintptr_t)key.p, key.n),
                             RD_KAFKA_V_VALUE((void *)(uintptr_t)line, n), RD_KAFKA_V_OPAQUE((void *)(uintptr_t)number),
                             RD_KAFKA_V_END);
}

/* False: no more for now. */
static bool hand_over(struct output_kafka *k, const char *line, struct message *m, uint64_t number)
{
    rd_kafka_resp_err_t error = produce(k, line, m->octets - 1, number);
    m->state = MESSAGE_WAITS;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    m->state = is_refused(error) ? MESSAGE_REFUSED : MESSAGE_AGAIN;
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        on_trouble(k, error, NULL);
    return m->state == MESSAGE_REFUSED;
}

static struct message *add_message(struct output_kafka *k, size_t octets)
{
    if (k->messages == k->cap) {
        k->cap = max_size(256, 2 * k->cap);
        k->message = conf_grow(k->message, k->cap, sizeof(*k->message));
    }
    struct message *m = &k->message[k->messages++];
    *m = (struct message){ .octets = octets };
    k->octets += octets;
    return m;
}

/* Those that failed, then new ones. */
static void hand_over_all(struct output_kafka *k, const char *p, size_t n)
{
    size_t at = 0;
    bool going = true;
    for (size_t i = 0; i < k->messages && going; i++) {
        if (k->message[i].state == MESSAGE_AGAIN)
            going = hand_over(k, p + at, &k->message[i], k->first + i);
        at += k->message[i].octets;
    }
    while (going && k->octets < n) {
        const char *line = p + k->octets, *end = memchr(line, '\n', n - k->octets);
        if (end == NULL)
            return;
        struct message *m = add_message(k, (size_t)(end - line) + 1);
        going = hand_over(k, line, m, k->first + k->messages - 1);
    }
}

/* Octets of the lines at the front that nothing more is to be done about. */
static size_t take_done(struct output_kafka *k)
{
    size_t i = 0, octets = 0;
    for (; i < k->messages; i++) {
        const struct message *m = &k->message[i];
        if (m->state != MESSAGE_DONE && m->state != MESSAGE_REFUSED)
            break;
        octets += m->octets;
        if (m->state == MESSAGE_REFUSED) {
            k->output.lost++;
            output_note(&k->output, ERR_LOG_WRITE, 1, "a record of %zu octets is lost: %s", m->octets, k->why);
        }
    }
    memmove(k->message, k->message + i, (k->messages - i) * sizeof(*k->message));
    k->messages -= i;
    k->first += i;
    k->octets -= octets;
    return octets;
}

static void serve(struct output_kafka *k)
{
    eventfd_t count;
    eventfd_read(k->output.fd, &count);
    rd_kafka_poll(k->producer, 0);
}

static ssize_t kafka_write(struct output *o, const char *p, size_t n)
{
    struct output_kafka *k = kafka_of(o);
    char why[OUTPUT_WHY_MAX];
    if (k->producer != NULL)
        serve(k);
    if (k->producer == NULL || rd_kafka_fatal_error(k->producer, why, sizeof(why)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        int error = renew(k);
        if (error != 0)
            return error;
    }
    hand_over_all(k, p, n);
    serve(k);
    size_t done = take_done(k);
    o->events = POLLIN;
    o->pause_ms = POLL_MS;
    if (done > 0)
        return (ssize_t)done;
    if (!k->trouble)
        return -EAGAIN;
    k->trouble = false;
    snprintf(o->why, sizeof(o->why), "%s", k->why);
    return -EIO;
}

/* While nothing waits, trouble is nobody's. */
static int kafka_tend(struct output *o)
{
    struct output_kafka *k = kafka_of(o);
    if (k->producer != NULL)
        serve(k);
    k->trouble = false;
    o->events = POLLIN;
    o->pause_ms = -1;
    return 0;
}

static void kafka_free(struct output *o)
{
    struct output_kafka *k = kafka_of(o);
    drop_producer(k);
    if (k->conf != NULL)
        rd_kafka_conf_destroy(k->conf);
    if (o->fd >= 0)
        close(o->fd);
    free(k->message);
    free(k->name);
    free(k->topic);
    free(k);
}

static const struct output_ops KAFKA_OPS = {
    .write = kafka_write, .tend = kafka_tend, .free = kafka_free, .backoff_max_ms = BACKOFF_KAFKA_MS
};

struct output *output_open_kafka(const struct output_settings *set, const struct output_context *of,
                                 char why[OUTPUT_WHY_MAX])
{
    char reason[OUTPUT_WHY_MAX];
    const char *option = "";
    struct output_kafka *k = kafka_of(output_make(sizeof(*k), &KAFKA_OPS));
    k->topic = conf_dup(span_str(set->topic));
    if (asprintf(&k->name, "kafka %s", set->topic) < 0)
        abort();
    k->output.name = k->name;
    k->output.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    k->conf = make_conf(set, of->component, of->max_record, &option, reason);
    if (k->conf == NULL) {
        snprintf(why, OUTPUT_WHY_MAX, "%.64s: %.180s", option, reason);
        kafka_free(&k->output);
        return NULL;
    }
    rd_kafka_conf_set_opaque(k->conf, k);
    rd_kafka_conf_set_dr_msg_cb(k->conf, on_report);
    rd_kafka_conf_set_error_cb(k->conf, on_error);
    rd_kafka_conf_set_log_cb(k->conf, NULL);
    k->producer = make_producer(k, why);
    if (k->producer != NULL)
        return &k->output;
    kafka_free(&k->output);
    return NULL;
}

#endif
