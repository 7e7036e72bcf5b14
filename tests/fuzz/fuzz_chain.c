/* A chain of the fuzzer's texts, whole, and then changed as it says: whole it is found whole, changed it is not; and
 * any text at all is read without harm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/record/chain_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x))                                                                                                      \
            abort();                                                                                                   \
    } while (0)

enum { LINES_MAX = 24, LINE_MAX_OCTETS = 512 };
static const struct span KEY = SPAN_LIT("a key of sixteen");
static struct span input;
static char text[LINES_MAX][LINE_MAX_OCTETS + CHAIN_TAIL_MAX];
static struct span line[LINES_MAX];
static unsigned run_of[LINES_MAX];

static unsigned take_byte(void)
{
    unsigned c = input.n > 0 ? (unsigned char)input.p[0] : 0;
    input = span_skip(input, 1);
    return c;
}

static void tell(void *arg, enum chain_finding finding, const char *file, uint64_t at, const char *what)
{
    unsigned *faults = arg;
    CHECK(strlen(file) > 0 && strlen(what) > 0 && at <= 2 * LINES_MAX);
    *faults += finding != CHAIN_NOTE;
}

/* Two runs, mixed; the second follows what the first has written then. */
static size_t make(struct chain chain[2])
{
    static const char *const runs[2] = { "0000000a", "0000000b" };
    size_t n = 2 + take_byte() % (LINES_MAX - 2);
    for (size_t i = 0; i < n; i++) {
        unsigned run = i == 0 ? 0 : i == 1 ? 1 : take_byte() % 2;
        const struct record_format *f = i % 3 ? &record_native : &record_ecs;
        run_of[i] = run;
        struct span said = span_head(input, take_byte() % 64);
        input = span_skip(input, said.n);
        if (i == 1)
            memcpy(chain[1].hash, chain[0].hash, sizeof(chain[0].hash));
        int len = snprintf(text[i], LINE_MAX_OCTETS, "{\"t\":\"%.*s\",\"%s\":\"%s\",\"%s\":%u", (int)said.n,
                           said.n > 0 ? said.p : "", f->run, runs[run], f->seq, (unsigned)chain[run].seq + 1);
        char *end = chain_append(&chain[run], f, text[i], text[i] + len, chain[run].seq + 1);
        line[i] = span_of(text[i], (size_t)(end - text[i]));
    }
    return n;
}

static unsigned check(const char slot[CHAIN_SLOT], size_t n)
{
    unsigned faults = 0;
    struct chain_check *c = chain_check_new(KEY, tell, &faults);
    chain_check_slot(c, "head", span_of(slot, CHAIN_SLOT));
    chain_check_file(c, "log");
    for (size_t i = 0; i < n; i++)
        chain_check_line(c, line[i], true);
    struct chain_sum sum = chain_check_end(c);
    CHECK(sum.faults == faults && sum.records <= n);
    chain_check_free(&c);
    return faults;
}

/* The head knows the end of the second run, and the first line of each is known by what follows. How two runs are mixed
 * is in no chain. */
static void change(const char slot[CHAIN_SLOT], size_t n)
{
    size_t at = take_byte() % n, other = take_byte() % n;
    struct span was = line[at];
    char edited[LINE_MAX_OCTETS + CHAIN_TAIL_MAX];
    switch (take_byte() % 3) {
    case 0: /* one octet */
        memcpy(edited, was.p, was.n);
        edited[other * 31 % was.n] ^= (char)(1 + take_byte() % 255);
        line[at] = span_of(edited, was.n);
        break;
    case 1: /* two lines change places */
        line[at] = line[other];
        line[other] = was;
        if (run_of[at] != run_of[other] || at == other)
            return;
        break;
    default: /* any text */
        line[at] = input;
        break;
    }
    unsigned faults = check(slot, n);
    bool torn = line[at].n > 0 && line[at].p[0] == '{' && line[at].p[line[at].n - 1] != '}';
    CHECK(faults > 0 || torn || at == 0 || other == 0 || n < 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chain chain[2] = { { .seq = 0 }, { .seq = 0 } };
    char slot[CHAIN_SLOT];
    struct chain_line read;
    input = span_of((const char *)data, size);
    (void)chain_line_read(&read, input);
    for (unsigned i = 0; i < 2; i++) {
        chain[i].hmac = digest_hmac_new(KEY);
        memcpy(chain[i].hash, chain_zeros.p, CHAIN_HEX + 1);
    }
    size_t n = make(chain);
    struct chain_head head = { .seq = chain[1].seq, .run = "0000000b", .time = 1 };
    memcpy(head.hash, chain[1].hash, sizeof(head.hash));
    chain_head_print(chain[0].hmac, &head, slot);
    CHECK(check(slot, n) == 0);
    change(slot, n);
    digest_hmac_free(&chain[0].hmac);
    digest_hmac_free(&chain[1].hmac);
    return 0;
}
