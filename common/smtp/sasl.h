/* SASL (RFC 4422) over SMTP (RFC 4954): the mechanisms, the names in an exchange that is relayed, the side that
 * verifies, the side that logs in. All texts are raw octets: base64 and the SMTP lines are the caller's. Memory that
 * held a secret is wiped before it is given back; secrets are compared in constant time. */
#ifndef COMMON_SMTP_SASL_H
#define COMMON_SMTP_SASL_H

#include "common/buf.h"

/* M(id, "NAME", client speaks first). */
#define SASL_MECHANISMS(M)                                                                                             \
    M(PLAIN, "PLAIN", true)                                                                                            \
    M(LOGIN, "LOGIN", false)                                                                                           \
    M(CRAM_MD5, "CRAM-MD5", false)                                                                                     \
    M(SCRAM_SHA_256, "SCRAM-SHA-256", true)                                                                            \
    M(SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS", true)                                                                  \
    M(XOAUTH2, "XOAUTH2", true)                                                                                        \
    M(OAUTHBEARER, "OAUTHBEARER", true)                                                                                \
    M(EXTERNAL, "EXTERNAL", true)

#define SASL_ENUM(id, name, client_first) SASL_##id,
enum sasl_mechanism { SASL_MECHANISMS(SASL_ENUM) SASL_COUNT };
#undef SASL_ENUM

typedef uint32_t sasl_set; /* bit 1 << enum sasl_mechanism */
#define SASL_BIT(id) ((sasl_set)1 << SASL_##id)

/* In any case of letters; false leaves *out. */
bool sasl_find(struct span name, enum sasl_mechanism *out) MUST_CHECK;
const char *sasl_name(enum sasl_mechanism m);
/* Whether its first message is the client's. */
bool sasl_client_first(enum sasl_mechanism m);
/* May AUTH carry an initial response: where the client speaks first, and with LOGIN, whose user name some send so. */
bool sasl_takes_initial(enum sasl_mechanism m);

/* Longest user name, and password (bearer tokens have no limit but the line's). */
enum { SASL_NAME_MAX = 255, SASL_PASSWORD_MAX = 1024 };
/* Random octets that each exchange needs; for sasl_server also its key. */
enum { SASL_NONCE = 18, SASL_KEY = 32 };

/* Wipes a buffer that held a secret, and frees it. */
void sasl_buf_free(struct buf *b);

/* Channel bindings of the TLS connection; empty is "not there". `exporter`: RFC 9266, 32 octets, only for TLS 1.3 or
 * TLS 1.2 with extended master secret. `end_point`: RFC 5929 section 4, hash of the server's certificate. */
struct sasl_bindings {
    struct span exporter, end_point;
};

/* --- the names in a relayed exchange ----------------------------------------------------------------------------- */

/* Empty where there is none (yet). UTF-8, repaired; cut at a character's border. PLAIN's, LOGIN's and CRAM-MD5's may
 * have control characters. */
struct sasl_names {
    char username[SASL_NAME_MAX + 1];
    char authzid[SASL_NAME_MAX + 1];
};

/* Reads a client's response, decoded. step: 0 is its first, initial or to the first challenge. Never a secret: where
 * the response isn't of the mechanism's form, no name is taken from it. Zero-initialise `n` before step 0. */
void sasl_names_feed(struct sasl_names *n, enum sasl_mechanism m, unsigned step, struct span decoded);
/* The same for any mechanism: SCRAM with every hash and DIGEST-MD5 too; those unknown (or GSSAPI, NTLM) give none. */
void sasl_names_feed_named(struct sasl_names *n, struct span mechanism, unsigned step, struct span decoded);

/* --- secrets of local users -------------------------------------------------------------------------------------- */

/* {PLAIN}text, {SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey (as Dovecot writes it), else what crypt(3) made.
 * The scheme's name in any case. BAD: empty, or of another scheme, or malformed. */
enum sasl_secret_kind { SASL_SECRET_BAD, SASL_SECRET_CRYPT, SASL_SECRET_PLAIN, SASL_SECRET_SCRAM };
enum sasl_secret_kind sasl_secret_kind(struct span secret);
/* The mechanisms by which a user with such a secret can log in (EXTERNAL with every kind). */
sasl_set sasl_secret_mechanisms(enum sasl_secret_kind kind);
/* Is it the password? False for CRYPT and BAD, and for an empty password. With SCRAM it may take long (PBKDF2). */
bool sasl_secret_check(struct span secret, struct span password);

/* What is to be computed off the loop. It owns a copy of all that it needs: the exchange may be freed before it. */
enum sasl_work_kind {
    SASL_WORK_HASH,  /* sasl_work_run() does it, in any thread */
    SASL_WORK_CRYPT, /* the caller: ok = crypt_r(password, secret) gives secret (digest_equal_text) */
    SASL_WORK_TOKEN, /* the caller: ok = `password` is a bearer token that is good for `username` */
};
struct sasl_work {
    enum sasl_work_kind kind;
    char *secret;   /* CRYPT: the hash */
    char *password; /* all */
    char *username; /* TOKEN: NULL where the token alone says who it is; then the caller puts the name here (malloc) */
    bool ok;        /* the answer */
    /* HASH */
    unsigned char salt[64];
    size_t salt_len;
    uint32_t iterations;
    unsigned char salted[32]; /* result: PBKDF2 of the password */
};
void sasl_work_run(struct sasl_work *work);
struct sasl_work *sasl_work_copy(const struct sasl_work *work);
/* Two of SASL_WORK_HASH that have one result. */
bool sasl_work_same(const struct sasl_work *a, const struct sasl_work *b);
void sasl_work_free(struct sasl_work **work);

/* --- the side that verifies -------------------------------------------------------------------------------------- */

enum sasl_step {
    SASL_CHALLENGE, /* send `challenge`, which may be empty; the answer goes into sasl_server_step() */
    SASL_LOOKUP,    /* look up s->username, then sasl_server_secret() */
    SASL_VERIFY,    /* sasl_server_take_work(), do it, then sasl_server_verified() */
    SASL_OK,        /* s->username is who it is */
    SASL_FAIL,      /* bad credentials (535) */
    SASL_MALFORMED, /* not the mechanism's form (501) */
};

struct sasl_server_params {
    const char *hostname;       /* of CRAM-MD5's challenge */
    const unsigned char *nonce; /* SASL_NONCE random octets, new for each exchange */
    const unsigned char *key;   /* SASL_KEY random octets, the same for all exchanges of the process: what
                                 * is made up for unknown users stays the same */
    int64_t time;               /* seconds since 1970, of CRAM-MD5's challenge */
    struct sasl_bindings bindings;
    bool plus_offered;         /* SCRAM-SHA-256-PLUS was offered to this client */
    const char *external_name; /* the verified client certificate's name; NULL: none */
    struct span decoy;         /* a secret of the kind that most users have (that of the file's first user),
                                * against which unknown users are checked, so that they take the same
                                * steps and time; empty: a {PLAIN} one */
};

/* One exchange. The names are NULL until they are known; they are UTF-8 without control characters, 1 to SASL_NAME_MAX
 * octets, and good for the log after a failure too. */
struct sasl_server {
    enum sasl_mechanism mechanism;
    char *username;
    char *authzid; /* only where the client named one */
    struct sasl_server_private *own;
};

/* Copies what it needs of the parameters. */
void sasl_server_init(struct sasl_server *s, enum sasl_mechanism m, const struct sasl_server_params *params);
/* The first call. initial: NULL where AUTH had no initial response; "=" is an empty span. Gives the first challenge
 * (empty where the client speaks first). An initial response that the mechanism can't have is MALFORMED.
 * `challenge` is only appended to, and only when SASL_CHALLENGE is returned. */
enum sasl_step sasl_server_start(struct sasl_server *s, const struct span *initial, struct buf *challenge);
/* The client's answer to a challenge. */
enum sasl_step sasl_server_step(struct sasl_server *s, struct span response, struct buf *challenge);
/* After SASL_LOOKUP. secret: empty where there is no such user (or a BAD secret): it fails, but not at once. EXTERNAL
 * asks too: a certificate's name logs in only where the user is known, whatever the secret. */
enum sasl_step sasl_server_secret(struct sasl_server *s, struct span secret, struct buf *challenge);
/* After SASL_VERIFY, once; the caller frees it. */
struct sasl_work *sasl_server_take_work(struct sasl_server *s);
enum sasl_step sasl_server_verified(struct sasl_server *s, const struct sasl_work *work, struct buf *challenge);
void sasl_server_free(struct sasl_server *s);

/* --- the side that logs in --------------------------------------------------------------------------------------- */

/* The strongest of a server's mechanisms: SCRAM-SHA-256-PLUS (with channel binding only), SCRAM-SHA-256, CRAM-MD5,
 * PLAIN, LOGIN. Where nobody secures the connection (neither TLS nor unix socket nor loopback: secured is false) only
 * SCRAM. False: none. */
bool sasl_client_choose(sasl_set offered, bool secured, bool have_binding, enum sasl_mechanism *m_r);

/* The work of SCRAM's last login, kept by the caller between logins of one user and password (zero-initialised; one
 * thread), so that a server that has asked for many iterations costs them once. */
struct sasl_client_cache {
    unsigned char about[32]; /* hash of password, salt and iterations */
    unsigned char salted[32];
    bool full;
};

enum { SASL_CLIENT_ITERATIONS_MIN = 4096, SASL_CLIENT_ITERATIONS_MAX = 600000 };

struct sasl_client_params {
    const char *username, *password;
    const unsigned char *nonce; /* SASL_NONCE random octets, new for each login */
    struct sasl_bindings bindings;
    struct sasl_client_cache *cache; /* may be NULL */
};

struct sasl_client {
    enum sasl_mechanism mechanism;
    const char *problem; /* after SASL_CLIENT_FAILED: why, for the log; static, without a secret */
    struct sasl_client_private *own;
};

enum sasl_client_step {
    SASL_CLIENT_SEND,   /* send `out`, which may be empty */
    SASL_CLIENT_WORK,   /* sasl_client_take_work(), do it, then sasl_client_worked() */
    SASL_CLIENT_FAILED, /* send "*": the server is not what it should be, or asks for what can't be given */
};

/* m: of those that sasl_client_choose() gives. Copies what it needs; the cache stays the caller's and outlives it. */
void sasl_client_init(struct sasl_client *c, enum sasl_mechanism m, const struct sasl_client_params *params);
/* The answer to a challenge. Where the client speaks first (sasl_client_first()), the first call with an empty
 * challenge gives the initial response. `out` is only appended to; it may hold a secret: sasl_buf_free(). */
enum sasl_client_step sasl_client_step(struct sasl_client *c, struct span challenge, struct buf *out);
/* After SASL_CLIENT_WORK (a SASL_WORK_HASH), once; the caller frees it. The work of another login that is the same
 * (sasl_work_same()) will do. */
struct sasl_work *sasl_client_take_work(struct sasl_client *c);
enum sasl_client_step sasl_client_worked(struct sasl_client *c, const struct sasl_work *work, struct buf *out);
/* After the server's 235: was everything said, and with SCRAM the server's signature seen and right? If not, the server
 * is a false one. */
bool sasl_client_accept(struct sasl_client *c);
void sasl_client_free(struct sasl_client *c);

#endif
