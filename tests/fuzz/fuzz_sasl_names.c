/* Whatever a client sends: names are bounded UTF-8 (with most mechanisms without control characters), and what stands
 * where a password or token stands is never in one. */
#include <stdlib.h>

#include "common/codec.h"
#include "common/smtp/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            abort();                                                                                                   \
    } while (0)

#define SECRET "S3kr!t-0f-Xyzzy"

static const char *const NAMES[] = { "PLAIN",   "LOGIN",       "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
                                     "XOAUTH2", "OAUTHBEARER", "EXTERNAL", "SCRAM-SHA-1",   "DIGEST-MD5",
                                     "GSSAPI",  "NTLM" };

static bool may_have_control(const char *mechanism)
{
    return strcmp(mechanism, "PLAIN") == 0 || strcmp(mechanism, "LOGIN") == 0 || strcmp(mechanism, "CRAM-MD5") == 0;
}

static void check_name(const char *mechanism, const char *name, size_t size)
{
    CHECK(memchr(name, '\0', size) != NULL);
    struct span text = span_str(name);
    CHECK(codec_utf8_valid(text));
    for (size_t i = 0; i < text.n && !may_have_control(mechanism); i++) {
        CHECK((unsigned char)text.p[i] >= 0x20 && text.p[i] != 0x7f);
        CHECK(text.p[i] != '\xc2' || (unsigned char)text.p[i + 1] >= 0xa0);
    }
}

static struct sasl_names feed(const char *mechanism, unsigned step, struct span text)
{
    struct sasl_names n = { 0 };
    sasl_names_feed_named(&n, span_str(mechanism), step, text);
    check_name(mechanism, n.username, sizeof(n.username));
    check_name(mechanism, n.authzid, sizeof(n.authzid));
    return n;
}

/* Before and behind the secret stands what the fuzzer likes; `end` closes the message. */
struct plant {
    const char *mechanism;
    struct span head, middle, end;
    bool free_tail; /* the fuzzer writes behind the secret too */
};

static const struct plant PLANTS[] = {
    { "PLAIN", SPAN_LIT(""), SPAN_LIT("\0user\0"), SPAN_LIT(""), true },
    { "PLAIN", SPAN_LIT("\0"), SPAN_LIT("\0"), SPAN_LIT(""), true },
    { "PLAIN", SPAN_LIT(""), SPAN_LIT("\0\0"), SPAN_LIT(""), true },
    { "LOGIN", SPAN_LIT(""), SPAN_LIT("\0"), SPAN_LIT(""), true },
    { "LOGIN", SPAN_LIT("user="), SPAN_LIT("\1auth=Bearer "), SPAN_LIT("\1\1"), true },
    { "LOGIN", SPAN_LIT(""), SPAN_LIT("\n"), SPAN_LIT(""), true },
    { "CRAM-MD5", SPAN_LIT(""), SPAN_LIT(" "), SPAN_LIT(""), false },
    { "CRAM-MD5", SPAN_LIT("user "), SPAN_LIT(" "), SPAN_LIT(" cafe"), true },
    { "XOAUTH2", SPAN_LIT("user="), SPAN_LIT("\1auth=Bearer "), SPAN_LIT("\1\1"), true },
    { "OAUTHBEARER", SPAN_LIT(""), SPAN_LIT("\1auth=Bearer "), SPAN_LIT("\1\1"), true },
    { "OAUTHBEARER", SPAN_LIT("n,a="), SPAN_LIT(",\1host=x\1auth=Bearer "), SPAN_LIT("\1\1"), true },
    { "DIGEST-MD5", SPAN_LIT("username=\""), SPAN_LIT("\",nonce=\"x\",response="), SPAN_LIT(""), false },
};

static void check_plant(const struct plant *plant, struct span before, struct span behind)
{
    struct buf b;
    buf_init(&b, NULL);
    buf_append_span(&b, plant->head);
    buf_append_span(&b, before);
    buf_append_span(&b, plant->middle);
    buf_append(&b, SECRET, strlen(SECRET));
    if (plant->free_tail)
        buf_append_span(&b, behind);
    buf_append_span(&b, plant->end);
    struct sasl_names n = feed(plant->mechanism, 0, buf_span(&b));
    CHECK(strstr(n.username, SECRET) == NULL && strstr(n.authzid, SECRET) == NULL);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of((const char *)data, size);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        (void)feed(NAMES[i], 0, text);
        struct sasl_names later = feed(NAMES[i], 1, text);
        CHECK(later.username[0] == '\0' && later.authzid[0] == '\0');
    }
    if (size > 0 && memmem(data, size, SECRET, strlen(SECRET)) == NULL) {
        size_t cut = min_size(data[0], size - 1);
        for (size_t i = 0; i < ARRAY_LEN(PLANTS); i++)
            check_plant(&PLANTS[i], span_of(text.p + 1, cut), span_skip(text, 1 + cut));
    }
    return 0;
}
